/** What was asked, as a request for a terminal. */

import { type Asked, asCurl, bodyOfMany, bodyOfOne } from "../../api";

export function curlOf(mode: "single" | "batch", asked: Asked, ids: string[]): string {
  return mode === "single"
    ? asCurl("/ml/predict", bodyOfOne(ids[0] ?? "", asked))
    : asCurl("/ml/predict/batch", bodyOfMany(ids, asked));
}
