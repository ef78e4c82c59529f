/** Customers' ids as people paste them. */

export const MAX_BATCH = 100;
export const MAX_ID_CHARACTERS = 256;

export interface Tidied {
  ids: string[];
  /** Ids that were given again; each is asked for once. */
  duplicates: number;
  tooLong: string[];
}

/**
 * Ids from text: one a line, or with commas, semicolons or tabs between them, quoted or not. Blanks around an id go, and
 * blanks within one stay, as an id may have some.
 */
export function tidy(pasted: string): Tidied {
  const found = pasted
    .split(/[\r\n,;\t\u2028\u2029]+/u)
    .map((part) =>
      part
        .trim()
        .replace(/^(["'])(.*)\1$/u, "$2")
        .trim(),
    )
    .filter(Boolean);
  const ids = [...new Set(found)];
  return {
    ids: ids.filter((id) => [...id].length <= MAX_ID_CHARACTERS),
    duplicates: found.length - ids.length,
    tooLong: ids.filter((id) => [...id].length > MAX_ID_CHARACTERS),
  };
}
