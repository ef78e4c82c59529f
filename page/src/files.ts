/** Files that the service reads, by their names. */

import type { FieldOf, Schemas } from "./api";

export type Format = FieldOf<Schemas["JobRequest"], "format">;
/** What names end in, and the format that it is of. */
const ENDINGS: Readonly<Record<string, Format>> = {
  csv: "csv",
  "csv.gz": "csv.gz",
  tsv: "csv",
  "tsv.gz": "csv.gz",
  jsonl: "jsonl",
  "jsonl.gz": "jsonl.gz",
  ndjson: "jsonl",
  "ndjson.gz": "jsonl.gz",
  json: "jsonl",
  "json.gz": "jsonl.gz",
  parquet: "parquet",
};
/** How files begin that the service does not read: Excel and zip, old Excel, PDF, ORC, Avro, Arrow, bzip2, xz, Zstandard, 7-Zip. */
const UNREAD = [
  "PK\x03\x04",
  "\xd0\xcf\x11\xe0",
  "%PDF",
  "ORC",
  "Obj\x01",
  "ARROW1",
  "BZh",
  "\xfd7zXZ",
  "(\xb5/\xfd",
  "7z\xbc\xaf",
];
const HEAD_BYTES = 65_536;

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
  const packed = (await beginning(head)).startsWith("\x1f\x8b");
  const begins = packed ? await unpacked(head) : await beginning(head);
  if (begins.startsWith("PAR1")) return packed ? null : "parquet";
  if (UNREAD.some((magic) => begins.startsWith(magic))) return null;
  const isJson = /^(\xef\xbb\xbf)?\s*[{[]/u.test(begins);
  return packed ? (isJson ? "jsonl.gz" : "csv.gz") : isJson ? "jsonl" : "csv";
}

/** The first bytes, a character each. */
async function beginning(head: Blob): Promise<string> {
  return String.fromCharCode(...new Uint8Array(await head.slice(0, 1024).arrayBuffer()));
}

/** The first bytes of what is packed; empty if it is damaged, as the service says then what is wrong. */
async function unpacked(head: Blob): Promise<string> {
  const reader = head.stream().pipeThrough(new DecompressionStream("gzip")).getReader();
  try {
    const { value } = await reader.read();
    return value ? await beginning(new Blob([value])) : "";
  } catch {
    return "";
  } finally {
    reader.cancel().catch(() => null);
  }
}

export const SAMPLE = ["customer_id", "1", "2", "3", "nobody", ""].join("\r\n");

type Job = Pick<Schemas["JobListed"], "status">;
export const isOver = (job: Job): boolean => ["succeeded", "partly_failed", "failed"].includes(job.status);

/** How much of a job is done, 0 to 1; null if that is not known. */
export function shareOf({ progress }: Pick<Schemas["JobListed"], "progress">): number | null {
  if (typeof progress.share === "number") return progress.share;
  return progress.total ? progress.processed / progress.total : null;
}
