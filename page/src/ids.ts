/** Customers' ids as people paste them. */

export const MAX_BATCH = 100;
const MAX_ID_CHARACTERS = 256;

/** Characters as the service counts them: an emoji is one, where the browser counts two. */
export const isTooLong = (id: string): boolean => [...id].length > MAX_ID_CHARACTERS;

export interface Tidied {
  ids: string[];
  /** Ids that were given again; each is asked for once. */
  duplicates: number;
  tooLong: string[];
}

/** An id without the blanks and quotes around it, however many: what is tidied again stays as it is. */
function bare(part: string): string {
  const without = part
    .trim()
    .replace(/^(["'])(.*)\1$/u, "$2")
    .trim();
  return without === part ? part : bare(without);
}

/**
 * Ids from text: one a line, or with commas, semicolons or tabs between them, quoted or not. Blanks around an id go, and
 * blanks within one stay, as an id may have some.
 */
export function tidy(pasted: string): Tidied {
  const found = pasted
    .split(/[\r\n,;\t\u2028\u2029]+/u)
    .map(bare)
    .filter(Boolean);
  const ids = [...new Set(found)];
  return {
    ids: ids.filter((id) => !isTooLong(id)),
    duplicates: found.length - ids.length,
    tooLong: ids.filter(isTooLong),
  };
}
