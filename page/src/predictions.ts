/** Answers of one type, or of the three side by side: by type for one customer, a row for each of many. */

import { toCsv } from "./csv";
import { type ChurnQuality, likest } from "./quality";
import type { Asked, Batch, PredictionType, Schemas, Single } from "./schemas";
import { text } from "./text";

export const TYPES: PredictionType[] = ["churn", "nbo", "rfm"];
export const typesOf = (asked: Asked): PredictionType[] => (asked === "all" ? TYPES : [asked]);

export type Churn = Schemas["ChurnResult"];
export type Nbo = Schemas["NboResult"];
export type Rfm = Schemas["RfmResult"];

export interface Row {
  id: string;
  churn?: Churn;
  nbo?: Nbo;
  rfm?: Rfm;
}
export interface Failure {
  id: string;
  /** The types that have no answer for one and the same reason. */
  types: PredictionType[];
  error: string;
  code: string;
}

/** A customer's answer of one type, or why there is none. */
export type OfType = Pick<Schemas["SingleAnswer"], "type" | "mock" | "model"> &
  ({ result: Schemas["SingleAnswer"]["result"] } | { failure: Schemas["TypeFailure"] });

const MOCK = "mock";

/** The answers in an answer, by type. Of `all`, those are invented whose model is. */
export function byType(answer: Single): OfType[] {
  if (answer.type !== "all") return [answer];
  return TYPES.flatMap((type): OfType[] => {
    const [result, failure, model] = [answer.results[type], answer.errors[type], answer.models[type]];
    const of = { type, model, mock: model.version === MOCK };
    return result ? [{ ...of, result }] : failure ? [{ ...of, failure }] : [];
  });
}

/** The rows and the failures of a batch, in the order of the ids asked for; what fails alike is one failure. */
export function tabled(answer: Batch): { rows: Row[]; failures: Failure[] } {
  if (answer.type !== "all") {
    const { type } = answer;
    return {
      rows: answer.results.map(({ customer_id: id, result }) => ({ id, [type]: result })),
      failures: answer.errors.map(({ customer_id: id, error, code }) => ({ id, types: [type], error, code })),
    };
  }
  return {
    rows: answer.results.map(({ customer_id: id, results }) => ({ id, ...results })),
    failures: [...answer.results, ...answer.errors].flatMap(({ customer_id, errors }) =>
      failuresOf(customer_id, errors),
    ),
  };
}

function failuresOf(id: string, errors: Schemas["ErrorsByType"]): Failure[] {
  const failures = new Map<string, Failure>();
  for (const type of TYPES) {
    const failure = errors[type];
    if (!failure) continue;
    const { error, code } = failure;
    const key = JSON.stringify([error, code]);
    failures.set(key, { id, types: [...(failures.get(key)?.types ?? []), type], error, code });
  }
  return [...failures.values()];
}

/** How many of a batch have an answer of a type, and how many have none. */
export function countsOf(answer: Batch, type: PredictionType): { answered: number; failed: number } {
  if (answer.type !== "all") return { answered: answer.successful, failed: answer.failed };
  const answered = answer.results.filter(({ results }) => results[type]).length;
  return { answered, failed: answer.total - answered };
}

export function rowsAsCsv(rows: Row[], types: PredictionType[]): string {
  const has = (type: PredictionType) => types.includes(type);
  const header = [
    "customer_id",
    ...(has("churn") ? ["churn_probability", "churn_risk"] : []),
    ...(has("nbo") ? ["offer_code", "offer_name", "confidence"] : []),
    ...(has("rfm") ? ["rfm_segment", "segment", "recency", "frequency", "monetary"] : []),
  ];
  return toCsv(
    header,
    rows.map(({ id, churn, nbo, rfm }) => [
      id,
      ...(has("churn") ? [churn?.churn_probability, churn?.churn_risk] : []),
      ...(has("nbo") ? [nbo?.top_offer?.offer_code, nbo?.top_offer?.offer_name, nbo?.confidence] : []),
      ...(has("rfm") ? [rfm?.rfm_segment, rfm?.segment, rfm?.recency, rfm?.frequency, rfm?.monetary] : []),
    ]),
  );
}

/** What a churn answer means, first of all in customers, and who was counted for it; null where nobody was. */
export function churnSentence(
  result: Churn,
  quality: ChurnQuality | null,
): { sentence: string; counted: string | null } {
  const lapsed = result.churn_risk === "lapsed";
  const like = likest(quality, result.churn_probability, result.churn_risk);
  if (!like) {
    const unknown = lapsed ? text.predict.sentenceLapsed : text.predict.sentenceUnknown(result.churn_probability);
    return { sentence: unknown, counted: null };
  }
  return {
    sentence: (lapsed ? text.predict.ofHundredLapsed : text.predict.ofHundred)(like.share),
    counted: text.predict.counted(like.customers, like.happened, like.by === "band" ? result.churn_risk : null),
  };
}

export function matches(row: Row, filter: string): boolean {
  const wanted = filter.trim().toLowerCase();
  const words = [row.id, row.churn?.churn_risk, row.nbo?.top_offer?.offer_name, row.rfm?.segment, row.rfm?.rfm_segment];
  return words.some((word) => word?.toLowerCase().includes(wanted));
}
