/** The file that is being sent. An upload goes on while another panel is looked at. */

import { signal } from "@preact/signals";
import { type Schemas, startJob, upload } from "../../api";
import { formatOfFile } from "../../files";
import { text } from "../../text";

export type Type = Schemas["JobRequest"]["type"];
export type Sending = { name: string; share: number; stop: AbortController };

export const sending = signal<Sending | null>(null);
export const sent = signal<string | null>(null);
/** What the files were called that were sent from here; the service knows them by their keys. */
export const names = signal<Record<string, string>>({});
export const problem = signal<{ error?: unknown; sentence?: string } | null>(null);

export async function send(file: File, type: Type, keep: boolean): Promise<void> {
  problem.value = null;
  sent.value = null;
  const as = await formatOfFile(file);
  if (!as || file.size === 0) {
    problem.value = { sentence: as ? text.files.emptyFile(file.name) : text.files.unknownFormat(file.name) };
    return;
  }
  const stop = new AbortController();
  sending.value = { name: file.name, share: 0, stop };
  try {
    const job = (await startJob({
      type,
      format: as,
      ...(keep ? { keep: "*" as const } : {}),
    })) as Schemas["UploadAwaited"];
    await upload(job.upload, file, (share) => (sending.value = { name: file.name, share, stop }), stop.signal);
    names.value = { ...names.value, [job.job_id]: file.name };
    sent.value = job.job_id;
  } catch (error) {
    if (!stop.signal.aborted) problem.value = { error };
  } finally {
    sending.value = null;
  }
}
