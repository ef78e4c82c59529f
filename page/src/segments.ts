/** Segments' definitions as the builder has them, and what a spread of probabilities says. */

import type { FieldOf, Schemas } from "./api";
import * as format from "./format";
import { tidy } from "./ids";
import { type ChurnQuality, heldOutShare, type Ranged } from "./quality";
import { text } from "./text";

export type Definition = Schemas["SegmentDefinition"];
export type Kind = Exclude<Schemas["SegmentSummary"]["kind"], "combined">;
/** Members that one file can have that is made of the best of a segment. */
export const MOST_IN_A_FILE = 1_000_000;
export const KINDS: Kind[] = ["rule", "customer_ids", "churn_risk", "rfm_segment", "recommended_offer"];
export const OPERATORS = [">=", ">", "<=", "<", "==", "!="] as const;

export interface Condition {
  feature: string;
  operator: string;
  value: string;
}

/** What the builder's fields hold. `raw` is a rule that is more than conditions can say. */
export interface Draft {
  id: string;
  name: string;
  kind: Kind;
  match: "and" | "or";
  conditions: Condition[];
  raw: string | null;
  ids: string;
  band: string;
  rfm: string;
  offer: string;
}

export function emptyDraft(): Draft {
  return {
    id: "",
    name: "",
    kind: "rule",
    match: "and",
    conditions: [{ feature: "days_since_last", operator: ">=", value: "30" }],
    raw: null,
    ids: "",
    band: "high",
    rfm: "At Risk",
    offer: "",
  };
}

export function draftOf(definition: Schemas["SegmentDefinitionAnswer"]): Draft {
  const draft = { ...emptyDraft(), id: definition.segment_id, name: definition.segment_name };
  if (definition.rule) {
    const read = conditionsOf(definition.rule);
    return read
      ? { ...draft, kind: "rule", ...read }
      : { ...draft, kind: "rule", raw: JSON.stringify(definition.rule, null, 2) };
  }
  if (definition.customer_ids) return { ...draft, kind: "customer_ids", ids: definition.customer_ids.join("\n") };
  if (definition.churn_risk) return { ...draft, kind: "churn_risk", band: definition.churn_risk };
  if (definition.rfm_segment) return { ...draft, kind: "rfm_segment", rfm: definition.rfm_segment };
  return { ...draft, kind: "recommended_offer", offer: String(definition.recommended_offer ?? "") };
}

/** A rule as the builder's conditions; null if it says more than they can. */
export function conditionsOf(rule: Record<string, unknown>): Pick<Draft, "match" | "conditions"> | null {
  const [operator, ...others] = Object.keys(rule);
  if (operator === undefined) return { match: "and", conditions: [] };
  if (others.length) return null;
  const isList = operator === "and" || operator === "or";
  const parts = isList ? (rule[operator] as unknown) : [rule];
  if (!Array.isArray(parts)) return null;
  const conditions: Condition[] = [];
  for (const part of parts as Record<string, unknown>[]) {
    const [name = "", ...more] = Object.keys(part ?? {});
    const operands = part?.[name];
    if (more.length || !(OPERATORS as readonly string[]).includes(name) || !Array.isArray(operands)) return null;
    const [left, right, ...further] = operands as unknown[];
    const feature = (left as { var?: unknown } | null)?.var;
    if (typeof feature !== "string" || typeof right !== "number" || further.length) return null;
    conditions.push({ feature, operator: name, value: format.typed(right) });
  }
  return { match: operator === "or" ? "or" : "and", conditions };
}

/** The definition that a draft says, or what is missing in it, as a sentence. */
export function definitionOf(draft: Draft): { definition: Definition } | { problem: string } {
  const segment_name = draft.name.trim();
  if (!segment_name) return { problem: text.builder.needName };
  switch (draft.kind) {
    case "rule": {
      if (draft.raw !== null) {
        try {
          return { definition: { segment_name, rule: JSON.parse(draft.raw) as Record<string, unknown> } };
        } catch {
          return { problem: text.builder.rawWrong };
        }
      }
      if (draft.conditions.some(({ feature }) => !feature.trim())) return { problem: text.builder.needFeature };
      const numbers = draft.conditions.map(({ value }) => format.numberOf(value));
      if (numbers.some((number) => !Number.isFinite(number))) return { problem: text.builder.needValue };
      const parts = draft.conditions.map(({ feature, operator }, place) => ({
        [operator]: [{ var: feature }, numbers[place]],
      }));
      const [only] = parts;
      const rule = parts.length === 0 ? {} : parts.length === 1 && only ? only : { [draft.match]: parts };
      return { definition: { segment_name, rule } };
    }
    case "customer_ids": {
      const { ids } = tidy(draft.ids);
      return ids.length ? { definition: { segment_name, customer_ids: ids } } : { problem: text.builder.needIds };
    }
    case "churn_risk":
      return { definition: { segment_name, churn_risk: draft.band as FieldOf<Definition, "churn_risk"> } };
    case "rfm_segment":
      return { definition: { segment_name, rfm_segment: draft.rfm as FieldOf<Definition, "rfm_segment"> } };
    case "recommended_offer":
      return draft.offer.trim()
        ? { definition: { segment_name, recommended_offer: draft.offer.trim() } }
        : { problem: text.builder.needOffer };
  }
}

const MAX_ID = 64;
export const isSegmentId = (id: string): boolean => /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/.test(id);

/** An id made of a name, such as "high-value"; empty if nothing of the name can be in one. */
export function idOf(name: string): string {
  const ascii = name.normalize("NFKD").replace(/[\u0300-\u036f]/g, "");
  return ascii
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "")
    .slice(0, MAX_ID);
}

/** The id of a segment that is made of another: that one's, cut to what still fits, and what makes it its own. */
export function idFrom(id: string, suffix: string): string {
  return `${id.slice(0, MAX_ID - suffix.length)}${suffix}`;
}

export type Bin = Schemas["RiskBin"];

export const activeIn = (bin: Bin): number =>
  Object.entries(bin.by_risk).reduce((sum, [band, members]) => (band === "lapsed" ? sum : sum + members), 0);

export interface Outcome {
  leave: Ranged;
  stay: Ranged;
}
export interface Chosen {
  members: number;
  /** How many of them leave, and how many would have stayed anyway, by the sum of their probabilities. */
  leave: number;
  stay: number;
  /** The same by what happened to held-out customers with such probabilities; null if nobody was counted. */
  heldOut: Outcome | null;
}

/** The members who have not lapsed from the bin at `from` on. */
export function choose(bins: Bin[], from: number, quality: ChurnQuality | null): Chosen {
  const chosen = bins.slice(from);
  const members = chosen.reduce((sum, bin) => sum + activeIn(bin), 0);
  const leave = chosen.reduce((sum, bin) => sum + bin.expected, 0);
  const shareOf = heldOutShare(quality);
  if (!shareOf) return { members, leave, stay: members - leave, heldOut: null };
  const left: Ranged = { value: 0, low: 0, high: 0 };
  for (const bin of chosen) {
    const active = activeIn(bin);
    if (active === 0) continue;
    const share = shareOf(bin.expected / active);
    left.value += active * share.value;
    left.low += active * share.low;
    left.high += active * share.high;
  }
  const stay = { value: members - left.value, low: members - left.high, high: members - left.low };
  return { members, leave, stay: members - leave, heldOut: { leave: left, stay } };
}

/** A cell of the RFM map as the address has it, such as "R5F3". */
export const cellName = ({ r_score, f_score }: Pick<Schemas["RfmCell"], "r_score" | "f_score">): string =>
  `R${r_score}F${f_score}`;

/** All bins of `whole`, with the members of those of `part`, which has only the bins with members. */
export function binsOf(whole: Bin[], part: Bin[]): Bin[] {
  const found = new Map(part.map((bin) => [bin.begins, bin]));
  return whole.map(({ begins, ends }) => found.get(begins) ?? { begins, ends, by_risk: {}, expected: 0 });
}

type Answered = Schemas["ChurnStatistics"] | Schemas["NboStatistics"] | Schemas["RfmStatistics"];

/**
 * How many members have no answer, by error code, most first. What the codes do not account for, as in statistics that
 * were stored before there were any, has the code "": so that they add up to all who failed.
 */
export function reasonsOf({ failed, failed_by_code = {} }: Pick<Answered, "failed" | "failed_by_code">) {
  const counts = Object.entries(failed_by_code).filter(([, members]) => members > 0);
  const rest = failed - counts.reduce((sum, [, members]) => sum + members, 0);
  return new Map([...counts.sort((a, b) => b[1] - a[1]), ...(rest > 0 ? ([["", rest]] as const) : [])]);
}

/** What a feature's drift means: how it moved, and whether that matters to the model. */
export type DriftWord = "alarm" | "unweighted" | "unknown" | "luck" | "stable" | "too_few";

/** Over this, luck alone may have moved so many customers. */
const LUCK = 0.001;

export function driftOf({ psi, band, alarm, weight, p_value }: Omit<Schemas["Drift"], "count">): DriftWord {
  if (band === "too_few" || psi === null) return "too_few";
  if (alarm) return "alarm";
  if (band === "stable") return "stable";
  if (p_value !== null && p_value >= LUCK) return "luck";
  return alarm === null || weight === null ? "unknown" : "unweighted";
}

/** Where a value has none beside it: a line has no end to draw there. */
export function aloneIn(values: readonly (number | null)[]): number[] {
  const isThere = (place: number) => typeof values[place] === "number";
  return [...values.keys()].filter((place) => isThere(place) && !isThere(place - 1) && !isThere(place + 1));
}
