/** What the list of jobs and a job's own view both show. */

import type { Schemas } from "../../schemas";
import { text } from "../../text";
import { names } from "./upload";

/** How often an open job is looked at. */
export const EVERY_MILLISECONDS = 2000;
/** And after the service did not answer, so that a reader is not told so all the time. */
export const AFTER_FAILURE_MILLISECONDS = 10_000;

const TONES = new Map([
  ["succeeded", "good"],
  ["partly_failed", "warning"],
  ["failed", "danger"],
]);

export function nameOf({ job_id, request }: Pick<Schemas["JobListed"], "job_id" | "request">): string {
  return names.value[job_id] ?? text.files.what(request).replace(/^.*\/(?=.)/u, "");
}

export function Status({ status }: { status: string }) {
  const tone = TONES.get(status) ?? "";
  return <span class={`mark ${tone}`}>{text.files.statuses[status] ?? status}</span>;
}
