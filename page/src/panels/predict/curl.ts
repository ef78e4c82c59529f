/** What was asked, as requests for a terminal. */

import { asCurl, bodyOfOne } from "../../api";
import { type Asked, typesOf } from "../../predictions";

/** A command for each type; of one customer, or of a batch. */
export function curlOf(mode: "single" | "batch", asked: Asked, ids: string[]): string {
  return typesOf(asked)
    .map((type) =>
      mode === "single"
        ? asCurl("/ml/predict", bodyOfOne(ids[0] ?? "", type))
        : asCurl("/ml/predict/batch", { customer_ids: ids, type }),
    )
    .join("\n");
}
