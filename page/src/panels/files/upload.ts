/** The files that are being sent. An upload goes on while another panel is looked at. */

import { computed, signal } from "@preact/signals";
import { type Schemas, startJob, upload } from "../../api";
import { formatOf } from "../../files";
import { limiter } from "../../parts/limited";
import { text } from "../../text";

export type Type = Schemas["JobRequest"]["type"];
export interface Upload {
  file: File;
  type: Type;
  stop: AbortController;
  state: "sending" | "sent" | "failed" | "refused";
  /** 0 to 1. */
  share: number;
  /** Of one that failed. */
  error: unknown;
  /** Why one that was refused cannot be sent. */
  sentence: string;
  /** The job of one that was sent. */
  job: string;
}

export const uploads = signal<Upload[]>([]);
/** What the files were called that were sent from here, by their jobs; the service knows them by their keys. */
export const names = signal<Record<string, string>>({});
export const isSent = (job: string): boolean => Object.hasOwn(names.value, job);
export const sentCount = computed(() => Object.keys(names.value).length);

const limited = limiter(2);

/** Sends files beside those that are still being sent; what was said of earlier ones goes. */
export function send(files: File[], type: Type): void {
  const added = files.map((file): Upload => {
    const sentence = !formatOf(file.name)
      ? text.files.unknownFormat(file.name)
      : file.size === 0
        ? text.files.emptyFile(file.name)
        : "";
    const state = sentence ? "refused" : "sending";
    return { file, type, stop: new AbortController(), state, share: 0, error: null, sentence, job: "" };
  });
  uploads.value = [...uploads.value.filter(({ state }) => state === "sending"), ...added];
  for (const each of added) if (each.state === "sending") void limited(() => sendOne(each));
}

/** Sends one again that failed. */
export function again(failed: Upload): void {
  uploads.value = uploads.value.filter((each) => each.stop !== failed.stop);
  const stop = new AbortController();
  const anew: Upload = { ...failed, stop, state: "sending", share: 0, error: null };
  uploads.value = [...uploads.value, anew];
  void limited(() => sendOne(anew));
}

export function cancel({ stop }: Upload): void {
  stop.abort();
  uploads.value = uploads.value.filter((each) => each.stop !== stop);
}

async function sendOne({ file, type, stop: { signal: stopped }, stop }: Upload): Promise<void> {
  const put = (changed: Partial<Upload>) => {
    uploads.value = uploads.value.map((each) => (each.stop === stop ? { ...each, ...changed } : each));
  };
  const format = formatOf(file.name);
  if (stopped.aborted || !format) return;
  try {
    const job = (await startJob({ type, format }, stopped)) as Schemas["UploadAwaited"];
    await upload(job.upload, file, (share) => put({ share }), stopped);
    names.value = { ...names.value, [job.job_id]: file.name };
    put({ state: "sent", job: job.job_id });
  } catch (error) {
    if (!stopped.aborted) put({ state: "failed", error });
  }
}
