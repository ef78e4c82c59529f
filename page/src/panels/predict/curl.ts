/** What was asked, as a request for a terminal. */

import { asCurl, bodyOfMany, bodyOfOne, type More } from "../../api";
import type { Asked } from "../../schemas";

export const curlOfOne = (id: string, asked: Asked, more: More): string =>
  asCurl("/ml/predict", bodyOfOne(id, asked, more));

export const curlOfMany = (ids: string[], asked: Asked): string => asCurl("/ml/predict/batch", bodyOfMany(ids, asked));
