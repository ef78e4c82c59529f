/** Every request of the page. */

import type { Asked, Batch, Schemas, Single } from "./schemas";
import { bearer, type Issuer, renewed, signInWanted, token } from "./session";
import { text } from "./text";

const BASE = import.meta.env.BASE_URL.replace(/\/admin\/$/, "");

/** A request that came to nothing. `status` is 0 where no answer came, or one that broke off. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly code: string,
    readonly details: Record<string, unknown> = {},
    readonly correlationId: string | null = null,
    readonly retryAfterSeconds: number | null = null,
  ) {
    super(message);
  }
}

export interface Reply<T> {
  answer: T;
  status: number;
  etag: string | null;
}

interface Sent {
  body?: unknown;
  signal?: AbortSignal;
  headers?: Record<string, string>;
}

async function request<T>(method: string, path: string, asked: Sent = {}, isFirst = true): Promise<Reply<T>> {
  // A browser takes ".." out of a path, also where it is encoded, and asks for something else.
  if (/\/\.{1,2}(?=[/?]|$)/.test(path)) throw new ApiError(text.errors.ofStatus(404), 404, "HTTP_404");
  const headers: Record<string, string> = { ...asked.headers };
  if (asked.body !== undefined) headers["Content-Type"] = "application/json";
  const used = await bearer();
  if (used !== null) headers["Authorization"] = `Bearer ${used}`;
  let response: Response;
  let raw: string;
  try {
    response = await fetch(BASE + path, {
      method,
      headers,
      ...(asked.body === undefined ? {} : { body: JSON.stringify(asked.body) }),
      ...(asked.signal ? { signal: asked.signal } : {}),
      credentials: "omit",
      cache: "no-store",
    });
    raw = response.status === 204 ? "" : await response.text();
  } catch (error) {
    if (asked.signal?.aborted) throw error;
    throw new ApiError(text.errors.away, 0, "AWAY");
  }
  // What was refused was not done: it is asked once more, with a token that is new.
  if (response.status === 401 && isFirst && used !== null && (await renewed(used))) {
    return request(method, path, asked, false);
  }
  if (!response.ok) throw refusal(response, raw);
  const answer = raw ? parsed(raw) : null;
  // Such as the page of a network that wants a sign-in of its own.
  if (answer === undefined) throw new ApiError(text.errors.notTheService, response.status, "NOT_JSON");
  return {
    answer: answer as T,
    status: response.status,
    etag: response.headers.get("ETag"),
  };
}

/** What is in a JSON text; undefined if it is none. */
function parsed(raw: string): unknown {
  try {
    return JSON.parse(raw);
  } catch {
    return undefined;
  }
}

function refusal(response: Response, raw: string): ApiError {
  // The gateway's own answers need not be JSON, nor have these fields.
  const given = parsed(raw);
  const body = (given !== null && typeof given === "object" ? given : {}) as Partial<Schemas["ErrorAnswer"]>;
  if (response.status === 401) signInWanted.value = true;
  const sentence = typeof body.error === "string" ? body.error : text.errors.ofStatus(response.status);
  const retryAfter = Number(response.headers.get("Retry-After"));
  return new ApiError(
    sentence,
    response.status,
    body.code ?? `HTTP_${response.status}`,
    body.details ?? {},
    response.headers.get("X-Correlation-Id"),
    retryAfter > 0 ? retryAfter : null,
  );
}

const at = (...parts: string[]): string => parts.map((part) => `/${encodeURIComponent(part)}`).join("");
const query = (parameters: Record<string, string | number | null | undefined>): string => {
  const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return given.length ? `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}` : "";
};
const answerOf = async <T>(reply: Promise<Reply<T>>): Promise<T> => (await reply).answer;

/** How one signs in; null where the page knows no issuer. */
export const getIssuer = async (signal?: AbortSignal): Promise<Issuer | null> =>
  (await answerOf(request<{ sign_in: Issuer | null }>("GET", "/admin/config.json", withSignal(signal)))).sign_in;

export const getStatus = (signal?: AbortSignal) =>
  answerOf(request<Schemas["StatusAnswer"]>("GET", "/config/ml/status", withSignal(signal)));

export const listModels = (signal?: AbortSignal) =>
  answerOf(request<Schemas["ModelListAnswer"]>("GET", "/models", withSignal(signal)));

export const getCard = (name: string, version: string, signal?: AbortSignal) =>
  answerOf(request<Schemas["ModelCardAnswer"]>("GET", `/models${at(name, version)}`, withSignal(signal)));

export const promote = (body: Schemas["PromoteRequest"]) =>
  answerOf(request<Schemas["ModelChangeAnswer"]>("POST", "/models/promote", { body }));

export const rollback = (body: Schemas["RollbackRequest"]) =>
  answerOf(request<Schemas["ModelChangeAnswer"]>("POST", "/models/rollback", { body }));

/** Whether the answer has its reasons, and what if: values in place of the customer's own. */
export type More = Pick<Schemas["PredictRequest"], "explain" | "overrides">;

/** One customer's answer, with the feature values that it was made from. */
export const bodyOfOne = (customer_id: string, type: Asked, more: More): Schemas["PredictRequest"] => ({
  customer_id,
  type,
  features: true,
  ...more,
});
export const bodyOfMany = (customer_ids: string[], type: Asked): Schemas["BatchRequest"] => ({ customer_ids, type });

export const predictOne = (customer_id: string, type: Asked, more: More, signal?: AbortSignal) =>
  answerOf(request<Single>("POST", "/ml/predict", { body: bodyOfOne(customer_id, type, more), ...withSignal(signal) }));

export const predictMany = (customer_ids: string[], type: Asked, signal?: AbortSignal) =>
  answerOf(
    request<Batch>("POST", "/ml/predict/batch", { body: bodyOfMany(customer_ids, type), ...withSignal(signal) }),
  );

export const listSegments = (limit: number, next: string | null, signal?: AbortSignal) =>
  answerOf(request<Schemas["SegmentListAnswer"]>("GET", `/segments${query({ limit, next })}`, withSignal(signal)));

export const getSegment = (id: string, signal?: AbortSignal) =>
  request<Schemas["SegmentDefinitionAnswer"]>("GET", `/segments${at(id)}`, withSignal(signal));

export const putSegment = (id: string, body: Schemas["SegmentDefinition"], headers: Record<string, string>) =>
  request<Schemas["SegmentDefinitionAnswer"]>("PUT", `/segments${at(id)}`, { body, headers });

export const deleteSegment = (id: string) => request<null>("DELETE", `/segments${at(id)}`);

/** A segment's answer, or the job that makes it where it takes longer than a request may. */
type NowOrLater<T> = Reply<T | Schemas["JobStarted"]>;

export const getStatistics = (id: string, history: number, signal?: AbortSignal) =>
  nowOrLater<Schemas["SegmentStatsAnswer"]>(
    request("GET", `/segments${at(id)}/ml/stats${query({ history })}`, withSignal(signal)),
    signal,
  );

async function nowOrLater<T>(reply: Promise<NowOrLater<T>>, signal?: AbortSignal): Promise<T> {
  const first = await reply;
  if (first.status !== 202) return first.answer as T;
  const { job_id } = first.answer as Schemas["JobStarted"];
  for (;;) {
    await pause(2000, signal);
    const job = await getJob(job_id, signal);
    if (job.status === "succeeded") return job.answer as T;
    if (job.status === "failed") throw new ApiError(job.error ?? "", 200, job.code ?? "INTERNAL");
  }
}

/** The keys of starts that have no answer yet, by what was asked: tried again, a start has the same key, and is one job. */
const keys = new Map<string, string>();

/** `of` tells apart starts that ask for the same, such as those of several files. */
export async function startJob(
  body: Schemas["JobRequest"],
  { signal, of = "" }: { signal?: AbortSignal; of?: string } = {},
): Promise<Schemas["JobStarted"] | Schemas["UploadAwaited"]> {
  const asked = JSON.stringify([body, of]);
  const key = keys.get(asked) ?? newKey();
  keys.set(asked, key);
  const { answer } = await request<Schemas["JobStarted"] | Schemas["UploadAwaited"]>("POST", "/ml/jobs", {
    body,
    headers: { "Idempotency-Key": key },
    ...withSignal(signal),
  });
  keys.delete(asked);
  return answer;
}

/** Not crypto.randomUUID: that is there only in a secure context. */
export const newKey = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Stops a job, and removes it with all that it made. */
export const deleteJob = (id: string) => request<null>("DELETE", `/ml/jobs${at(id)}`);

export const listJobs = (next: string | null, signal?: AbortSignal) =>
  answerOf(request<Schemas["JobListAnswer"]>("GET", `/ml/jobs${query({ limit: 20, next })}`, withSignal(signal)));

export const getJob = (id: string, signal?: AbortSignal) =>
  answerOf(request<Schemas["JobAnswer"]>("GET", `/ml/jobs${at(id)}`, withSignal(signal)));

/** Sends a file by a job's signed form, without the token. onProgress is told a share from 0 to 1. */
export function upload(
  address: Schemas["UploadAddress"],
  file: Blob,
  onProgress: (share: number) => void,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const form = new FormData();
    for (const [name, value] of Object.entries(address.fields)) form.append(name, value);
    form.append("file", file);
    const sending = new XMLHttpRequest();
    sending.open(address.method, address.url);
    sending.upload.onprogress = (event) => onProgress(event.total ? event.loaded / event.total : 0);
    sending.onload = () =>
      sending.status < 300
        ? resolve()
        : reject(new ApiError(text.errors.uploadRefused(sending.status), sending.status, "UPLOAD_REFUSED"));
    sending.onerror = () => reject(new ApiError(text.errors.uploadAway, 0, "AWAY"));
    sending.onabort = () => reject(new DOMException("", "AbortError"));
    signal.addEventListener("abort", () => sending.abort());
    sending.send(form);
  });
}

/** Sends a file of customers' ids; gives what a definition names it by, within a day. */
export async function sendList(
  file: Blob,
  onProgress: (share: number) => void,
  signal: AbortSignal = new AbortController().signal,
): Promise<string> {
  const { upload_id, upload: address } = await answerOf(
    request<Schemas["ListUploadAnswer"]>("POST", "/segments/lists", withSignal(signal)),
  );
  await upload(address, file, onProgress, signal);
  return upload_id;
}

const copies = new Map<string, string>();

/**
 * A definition that can be previewed, and stored as another segment: only its own segment can name a stored list, so
 * the list at `listUrl` is sent again as a file, once.
 */
export async function anywhere(
  definition: Schemas["SegmentDefinition"],
  listUrl: string | undefined,
  signal?: AbortSignal,
): Promise<Schemas["SegmentDefinition"]> {
  const { customer_list } = definition;
  if (!customer_list || !listUrl || customer_list.startsWith("upload-")) return definition;
  const copy = copies.get(customer_list) ?? (await sendList(await readAll(listUrl, signal), () => undefined, signal));
  copies.set(customer_list, copy);
  return { ...definition, customer_list: copy };
}

async function readAll(url: string, signal?: AbortSignal): Promise<Blob> {
  try {
    const response = await fetch(url, { credentials: "omit", ...withSignal(signal) });
    if (!response.ok) throw new ApiError(text.errors.ofStatus(response.status), response.status, "RESULT_UNREAD");
    return await response.blob();
  } catch (error) {
    if (error instanceof ApiError || signal?.aborted) throw error;
    throw new ApiError(text.errors.listAway, 0, "AWAY");
  }
}

/** The beginning of a result, by its signed address, and whether it is all of it. */
export async function readStart(url: string, bytes: number): Promise<{ text: string; whole: boolean }> {
  try {
    const response = await fetch(url, { headers: { Range: `bytes=0-${bytes - 1}` }, credentials: "omit" });
    if (!response.ok) throw new ApiError(text.errors.ofStatus(response.status), response.status, "RESULT_UNREAD");
    const read = await response.arrayBuffer();
    return { text: new TextDecoder().decode(read), whole: read.byteLength < bytes };
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError(text.errors.resultAway, 0, "AWAY");
  }
}

export function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("", "AbortError"));
    });
  });
}

function withSignal(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal ? { signal } : {};
}

/** A prediction as a command, for whoever goes on in a terminal. */
export function asCurl(path: string, body: unknown): string {
  const quoted = JSON.stringify(body).replace(/'/g, `'\\''`);
  const bearer = token.value === null ? "" : ` -H "Authorization: Bearer $TOKEN"`;
  return `curl -s '${location.origin}${BASE}${path}' -H 'Content-Type: application/json'${bearer} -d '${quoted}'`;
}

export const previewSegment = (body: Schemas["SegmentDefinition"], signal?: AbortSignal) =>
  answerOf(request<Schemas["SegmentPreviewAnswer"]>("POST", "/segments/preview", { body, ...withSignal(signal) }));
