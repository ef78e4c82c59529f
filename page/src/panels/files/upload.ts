/** The files that are being sent. An upload goes on while another panel is looked at. */

import { computed, signal } from "@preact/signals";
import { newKey, startJob, upload } from "../../api";
import { type Format, formatOfFile } from "../../files";
import { limiter } from "../../parts/limited";
import type { Asked, Schemas } from "../../schemas";
import { text } from "../../text";

export interface Upload {
  /** Its own: files of one format are a job each, and a start whose answer got lost is one when it is tried again. */
  id: string;
  file: File;
  type: Asked;
  /** Whether its predictions have its own columns too. */
  keep: boolean;
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
export function send(files: File[], type: Asked, keep: boolean): void {
  const added = files.map((file): Upload => {
    const sentence = file.size === 0 ? text.files.emptyFile(file.name) : "";
    const state = sentence ? "refused" : "sending";
    const stop = new AbortController();
    return { id: newKey(), file, type, keep, stop, state, share: 0, error: null, sentence, job: "" };
  });
  uploads.value = [...uploads.value.filter(({ state }) => state === "sending"), ...added];
  for (const each of added) if (each.state === "sending") void begin(each);
}

/** Sends one again that failed. */
export function again(failed: Upload): void {
  uploads.value = uploads.value.filter((each) => each.stop !== failed.stop);
  const stop = new AbortController();
  const anew: Upload = { ...failed, stop, state: "sending", share: 0, error: null };
  uploads.value = [...uploads.value, anew];
  void begin(anew);
}

export function cancel({ stop }: Upload): void {
  stop.abort();
  uploads.value = uploads.value.filter((each) => each.stop !== stop);
}

/** No longer says that a job was sent from here, as when it is removed. */
export function forget(job: string): void {
  uploads.value = uploads.value.filter((each) => each.job !== job);
}

function put({ stop }: Upload, changed: Partial<Upload>): void {
  uploads.value = uploads.value.map((each) => (each.stop === stop ? { ...each, ...changed } : each));
}

/** Tells at once what cannot be sent; what can waits for its turn. */
async function begin(sending: Upload): Promise<void> {
  const { file, stop } = sending;
  try {
    const format = await formatOfFile(file);
    if (format) await limited(() => sendOne(sending, format));
    else put(sending, { state: "refused", sentence: text.files.unknownFormat(file.name) });
  } catch (error) {
    if (!stop.signal.aborted) put(sending, { state: "failed", error });
  }
}

async function sendOne(sending: Upload, format: Format): Promise<void> {
  const { id, file, type, keep, stop } = sending;
  const { signal: stopped } = stop;
  if (stopped.aborted) return;
  const job = (await startJob(
    { type, format, ...(keep ? { keep: "*" as const } : {}) },
    { signal: stopped, of: id },
  )) as Schemas["UploadAwaited"];
  await upload(job.upload, file, (share) => put(sending, { share }), stopped);
  names.value = { ...names.value, [job.job_id]: file.name };
  put(sending, { state: "sent", job: job.job_id });
}
