/** Predictions with their reasons, and what is printed of these. */

import { ApiError } from "./api";
import { type OfType, TYPES } from "./predictions";
import type { Asked, PredictionType, Schemas, Single } from "./schemas";

export type Reason = Schemas["Reason"];
export type ExplainedScore = Schemas["Explained"];

/** A prediction, and of the types that have no reasons why not. */
export interface WithReasons {
  answer: Single;
  unexplained: Partial<Record<PredictionType, ApiError>>;
}

const NOT_EXPLAINED = "NOT_EXPLAINED";

/** The prediction is there, and only its reasons cannot be had. */
const isUnexplained = (error: unknown): error is ApiError =>
  error instanceof ApiError && ["NO_BASELINE", NOT_EXPLAINED].includes(error.code);

type Ask = (asked: Asked, explain: boolean) => Promise<Single>;

/**
 * Asks with reasons, and without them where there are none: a prediction is never lost for want of its reasons. Of the
 * three types each that has reasons keeps them. `known` are those of which it is known that they have none.
 */
export async function withReasons(
  ask: Ask,
  asked: Asked,
  known: WithReasons["unexplained"] = {},
): Promise<WithReasons> {
  if (Object.keys(known).length > 0) return explainRest(await ask(asked, false), ask, known);
  try {
    const answer = await ask(asked, true);
    const failures = answer.type === "all" ? Object.values(answer.errors) : [];
    if (!failures.some(({ code }) => code === NOT_EXPLAINED)) return { answer, unexplained: {} };
  } catch (error) {
    if (!isUnexplained(error)) throw error;
    if (asked !== "all") return { answer: await ask(asked, false), unexplained: { [asked]: error } };
  }
  return explainRest(await ask(asked, false), ask, {});
}

/** Of three types' answers, the reasons of each that may have some. */
async function explainRest(plain: Single, ask: Ask, known: WithReasons["unexplained"]): Promise<WithReasons> {
  if (plain.type !== "all") return { answer: plain, unexplained: known };
  const answer = { ...plain, results: { ...plain.results }, models: { ...plain.models } };
  const unexplained = { ...known };
  for (const type of TYPES) {
    if (!plain.results[type] || known[type]) continue;
    try {
      const alone = await ask(type, true);
      if (alone.type === "all") continue;
      // With the model that answered this time: a set may have been promoted meanwhile.
      Object.assign(answer.results, { [type]: alone.result });
      answer.models[type] = alone.model;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      unexplained[type] = error;
    }
  }
  return { answer, unexplained };
}

/** A reason as it is shown. `added` is whole steps of what is printed, such as tenths of a percentage point. */
export interface Shown {
  key: string;
  words: string;
  added: number;
  /** From -1 to 1, beside the largest. */
  length: number;
  /** In the same steps; null of one that is exact. */
  error: number | null;
}

/** What is printed of a score and its reasons: whole steps, which add up as they are printed. */
export interface Printed {
  baseline: number;
  score: number;
  /** The sums of what is above zero, and of what is below. */
  raises: number;
  lowers: number;
  reasons: Shown[];
}

/** The steps that a whole score of 1 has: probabilities are printed with a tenth of a percentage point. */
export const stepsOf = (type: PredictionType): number => (type === "rfm" ? 1 : 1000);

/**
 * Rounds each number so that baseline and contributions add up to the score as printed: those that are off are rounded
 * the other way where that is the least wrong.
 */
export function printed(explained: ExplainedScore, reasons: Reason[], steps: number): Printed {
  const exact = reasons.map(({ contribution }) => steps * contribution);
  const added = exact.map((value) => Math.round(value));
  const [baseline, score] = [Math.round(steps * explained.baseline_score), Math.round(steps * explained.score)];
  const off = score - baseline - sum(added);
  const way = Math.sign(off);
  const byFit = exact
    .map((value, place) => ({ place, gain: way * (value - (added[place] ?? 0)) }))
    .sort((a, b) => b.gain - a.gain);
  for (let step = 0; step < Math.abs(off) && byFit.length > 0; step++) {
    const { place = 0 } = byFit[step % byFit.length] ?? {};
    added[place] = (added[place] ?? 0) + way;
  }
  const largest = Math.max(...exact.map(Math.abs), Number.MIN_VALUE);
  return {
    baseline,
    score,
    raises: sum(added.filter((value) => value > 0)),
    lowers: sum(added.filter((value) => value < 0)),
    reasons: reasons.map((reason, place) => ({
      key: reason.feature ?? reason.group ?? "",
      words: reasonWords(reason),
      added: (added[place] ?? 0) + 0, // no minus before a zero
      length: (exact[place] ?? 0) / largest,
      error: reason.standard_error === undefined ? null : steps * reason.standard_error,
    })),
  };
}

const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);

/** The words of a reason without the number at their end, which is shown beside them. */
export const reasonWords = ({ words }: Pick<Reason, "words">): string => words.replace(/: [+-]?[\d.,]+$/, "");

/** Whether the recommended offer is explained beside others: a single one that was learnt has none. */
export const hasOthers = ({ offers, top_offer }: Schemas["NboResult"]): boolean =>
  offers.some(({ offer_id, evidence }) => evidence !== "too_few" && offer_id !== top_offer?.offer_id);

export type Explainable = Pick<Schemas["ChurnResult"], "explained" | "reasons" | "what_if">;

/** What a result has besides, if it was asked for. */
export const explainable = (answer: OfType): Explainable => ("result" in answer ? answer.result : {});

/** The features that reasons are of, the largest first, with what is typical of each. */
export function featuresOf(reasons: Reason[]): Map<string, number | undefined> {
  const found = new Map<string, number | undefined>();
  for (const { feature, typical, features } of reasons) {
    const each = feature === undefined ? (features ?? []) : [{ feature, typical }];
    for (const one of each) if (!found.has(one.feature)) found.set(one.feature, one.typical);
  }
  return found;
}
