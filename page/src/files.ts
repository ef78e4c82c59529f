/** Files that the service reads, by their names. */

import type { FieldOf, Schemas } from "./schemas";

export type Format = FieldOf<Schemas["JobRequest"], "format">;
type Compression = "" | ".gz" | ".zst";
/** What names end in, before what says how they are compressed. */
const TEXTS = { csv: "csv", tsv: "csv", jsonl: "jsonl", ndjson: "jsonl", json: "jsonl" } as const;
const ENDINGS: Readonly<Record<string, Format>> = {
  ...Object.fromEntries(
    Object.entries(TEXTS).flatMap(([ending, kind]) =>
      (["", ".gz", ".zst"] as const).map((compression) => [ending + compression, `${kind}${compression}`] as const),
    ),
  ),
  parquet: "parquet",
};
/** How files begin that the service does not read: Excel and zip, old Excel, PDF, ORC, Avro, Arrow, bzip2, xz, 7-Zip. */
const UNREAD = ["PK\x03\x04", "\xd0\xcf\x11\xe0", "%PDF", "ORC", "Obj\x01", "ARROW1", "BZh", "\xfd7zXZ", "7z\xbc\xaf"];
/** More than a block of Zstandard, of which nothing is known before its end. */
const HEAD_BYTES = 262_144;

/** The format that a file's name says; null if it tells nothing, as of part-0000 or export.txt. */
export function formatOf(name: string): Format | null {
  const lower = name.toLowerCase();
  return Object.entries(ENDINGS).find(([ending]) => lower.endsWith(`.${ending}`))?.[1] ?? null;
}

/** The format of a file by its name or else by its content; null for one that the service does not read. */
export async function formatOfFile(file: File): Promise<Format | null> {
  const named = formatOf(file.name);
  if (named) return named;
  const head = file.slice(0, HEAD_BYTES);
  const stored = await beginning(head);
  const compression = compressionOf(stored);
  const begins = compression ? await unpacked(head, compression) : stored;
  if (begins.startsWith("PAR1")) return compression ? null : "parquet";
  if (UNREAD.some((magic) => begins.startsWith(magic))) return null;
  const isJson = /^(\xef\xbb\xbf)?\s*[{[]/u.test(begins);
  return `${isJson ? "jsonl" : "csv"}${compression}`;
}

function compressionOf(begins: string): Compression {
  if (begins.startsWith("\x1f\x8b")) return ".gz";
  // A frame of Zstandard, or one that is to be skipped.
  return begins.startsWith("(\xb5/\xfd") || begins.slice(1, 4) === "*M\x18" ? ".zst" : "";
}

/** The first bytes, a character each. */
async function beginning(head: Blob): Promise<string> {
  return String.fromCharCode(...new Uint8Array(await head.slice(0, 1024).arrayBuffer()));
}

/** The first bytes of what is packed; empty if it is damaged, as the service says then what is wrong. */
async function unpacked(head: Blob, compression: Compression): Promise<string> {
  try {
    return await beginning(compression === ".gz" ? await gunzipped(head) : await unzstd(head));
  } catch {
    return "";
  }
}

async function gunzipped(head: Blob): Promise<Blob> {
  const reader = head.stream().pipeThrough(new DecompressionStream("gzip")).getReader();
  try {
    const { value } = await reader.read();
    return new Blob(value ? [value] : []);
  } finally {
    reader.cancel().catch(() => null);
  }
}

/** Browsers do not read Zstandard themselves; what does is fetched when it is needed. */
async function unzstd(head: Blob): Promise<Blob> {
  const { Decompress } = await import("fzstd");
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  try {
    new Decompress((piece) => pieces.push(piece.slice())).push(new Uint8Array(await head.arrayBuffer()), true);
  } catch {
    // The head of a larger file ends within a block: those before it are there.
  }
  return new Blob(pieces);
}

export const SAMPLE = ["customer_id", "1", "2", "3", "nobody", ""].join("\r\n");

type Job = Pick<Schemas["JobListed"], "status">;
export const isOver = (job: Job): boolean => ["succeeded", "partly_failed", "failed"].includes(job.status);

/** How much of a job is done, 0 to 1; null if that is not known. */
export function shareOf({ progress }: Pick<Schemas["JobListed"], "progress">): number | null {
  if (typeof progress.share === "number") return progress.share;
  return progress.total ? progress.processed / progress.total : null;
}
