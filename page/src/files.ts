/** Files that the service reads, by their names. */

import type { Schemas } from "./api";

export type Format = NonNullable<Schemas["JobRequest"]["format"]>;
const FORMATS: Format[] = ["csv", "csv.gz", "jsonl", "jsonl.gz", "parquet"];

/** The format that a file's name says; null for one that the service does not read. */
export function formatOf(name: string): Format | null {
  const lower = name.toLowerCase();
  return FORMATS.find((format) => lower.endsWith(`.${format}`)) ?? null;
}

export const SAMPLE = ["customer_id", "1", "2", "3", "nobody"].join("\r\n") + "\r\n";

type Job = Pick<Schemas["JobListed"], "status">;
export const isOver = (job: Job): boolean => ["succeeded", "partly_failed", "failed"].includes(job.status);

/** How much of a job is done, 0 to 1; null if that is not known. */
export function shareOf({ progress }: Pick<Schemas["JobListed"], "progress">): number | null {
  if (typeof progress.share === "number") return progress.share;
  return progress.total ? progress.processed / progress.total : null;
}
