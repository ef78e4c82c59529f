/** The types of requests and answers, by the names that the API's description has for them. */

import type { components } from "./api.gen";

export type Schemas = components["schemas"];
/** A field's type, of the forms of an object that have it. */
export type FieldOf<T, K extends string> = T extends unknown ? (K extends keyof T ? NonNullable<T[K]> : never) : never;
export type PredictionType = Schemas["SingleAnswer"]["type"];
/** A type, or `all`, which answers the three at once. */
export type Asked = NonNullable<Schemas["PredictRequest"]["type"]>;
export type Single = Schemas["SingleAnswer"] | Schemas["AllAnswer"];
export type Batch = Schemas["BatchAnswer"] | Schemas["AllBatchAnswer"];
