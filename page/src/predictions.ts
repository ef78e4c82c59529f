/** Answers of the three types side by side, a row for each customer. */

import type { PredictionType, Schemas } from "./api";
import { toCsv } from "./csv";
import { type ChurnQuality, likest } from "./quality";
import { text } from "./text";

export type Asked = PredictionType | "all";
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

/** The rows and the failures of batch answers, in the order of the ids asked for; what fails alike is one failure. */
export function merge(answers: Schemas["BatchAnswer"][]): { rows: Row[]; failures: Failure[] } {
  const rows = new Map<string, Row>();
  const failures = new Map<string, Failure>();
  for (const answer of answers) {
    for (const { customer_id, result } of answer.results) {
      rows.set(customer_id, { ...(rows.get(customer_id) ?? { id: customer_id }), [answer.type]: result });
    }
    for (const { customer_id, error, code } of answer.errors) {
      const key = JSON.stringify([customer_id, error, code]);
      const types = failures.get(key)?.types ?? [];
      failures.set(key, { id: customer_id, types: [...types, answer.type], error, code });
    }
  }
  return { rows: [...rows.values()], failures: [...failures.values()] };
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
