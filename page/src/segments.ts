/** Segments' definitions as the builder has them, and what a spread of probabilities says. */

import * as format from "./format";
import { tidy } from "./ids";
import { type ChurnQuality, heldOutShare, type Ranged } from "./quality";
import type { FieldOf, Schemas } from "./schemas";
import { type DriftWord, text } from "./text";

export type Definition = Schemas["SegmentDefinition"];
type Stored = Schemas["SegmentDefinitionAnswer"];
type Rule = Record<string, unknown>;
/** A way to say who is in a segment; a definition has one or several, and then all are true of its members. */
export type Kind = Exclude<Schemas["SegmentSummary"]["kind"], "combined">;
/** Members that one file can have that is made of the best of a segment. */
export const MOST_IN_A_FILE = 1_000_000;
export const KINDS: Kind[] = ["rule", "customer_ids", "churn_risk", "rfm_segment", "recommended_offer"];
export const OPERATORS = [">=", ">", "<=", "<", "==", "!="] as const;
/** Those that a text may have. */
export const SAME_OR_NOT = ["==", "!="] as const;
export const RFM_NAMES = [
  "Champions",
  "Loyal Customers",
  "Potential Loyalists",
  "New Customers",
  "Promising",
  "Need Attention",
  "About to Sleep",
  "At Risk",
  "Can't Lose Them",
  "Hibernating",
] satisfies NonNullable<Definition["rfm_segment"]>[];

/** The predictions that a rule may read, and whether each is a number or a text. */
export const PREDICTIONS: Readonly<Record<string, "number" | "text">> = {
  churn_probability: "number",
  churn_risk: "text",
  rfm_segment: "text",
  recommended_offer: "text",
  r_score: "number",
  f_score: "number",
  m_score: "number",
  recency: "number",
  frequency: "number",
  monetary: "number",
};
export const isText = (feature: string): boolean =>
  Object.hasOwn(PREDICTIONS, feature) && PREDICTIONS[feature] === "text";

/** What a feature or a prediction is, in a reader's words. */
export const meaningOf = (name: string): string | undefined => text.builder.predictions[name] ?? text.features[name];

export interface Condition {
  feature: string;
  operator: string;
  value: string;
}

/** `id`: what a definition names it by. Of a file that was chosen here there is a name, of a stored list the number of ids. */
export interface LongList {
  id: string;
  name: string | null;
  customers: number | null;
}

/** What the builder's fields hold. `raw` is a rule that is more than conditions can say. */
export interface Draft {
  id: string;
  name: string;
  /** What the segment is defined by; the fields of the others are only remembered. */
  kinds: Kind[];
  match: "and" | "or";
  conditions: Condition[];
  raw: string | null;
  ids: string;
  /** A list that is a file, and takes the place of `ids`. */
  list: LongList | null;
  band: string;
  rfm: string;
  offer: string;
}

export function emptyDraft(): Draft {
  return {
    id: "",
    name: "",
    kinds: ["rule"],
    match: "and",
    conditions: [{ feature: "days_since_last", operator: ">=", value: "30" }],
    raw: null,
    ids: "",
    list: null,
    band: "high",
    rfm: "At Risk",
    offer: "",
  };
}

/** What a definition says, in the builder's order. */
export const kindsOf = (definition: Partial<Stored>): Kind[] =>
  KINDS.filter(
    (kind) => definition[kind] !== undefined || (kind === "customer_ids" && definition.customer_list !== undefined),
  );

export function draftOf(definition: Stored): Draft {
  const { rule, customer_ids, customer_list, churn_risk, rfm_segment, recommended_offer } = definition;
  const draft = emptyDraft();
  const read = rule && conditionsOf(rule);
  return {
    ...draft,
    id: definition.segment_id,
    name: definition.segment_name,
    kinds: kindsOf(definition),
    ...(read ?? {}),
    raw: rule && !read ? JSON.stringify(rule, null, 2) : null,
    ids: customer_ids?.join("\n") ?? "",
    list: customer_list ? { id: customer_list, name: null, customers: definition.listed_customers ?? null } : null,
    band: churn_risk ?? draft.band,
    rfm: rfm_segment ?? draft.rfm,
    offer: String(recommended_offer ?? ""),
  };
}

/** A rule as the builder's conditions; null if it says more than they can. */
export function conditionsOf(rule: Rule): Pick<Draft, "match" | "conditions"> | null {
  const [operator, ...others] = Object.keys(rule);
  if (operator === undefined) return { match: "and", conditions: [] };
  if (others.length) return null;
  const isList = operator === "and" || operator === "or";
  const parts = isList ? rule[operator] : [rule];
  if (!Array.isArray(parts)) return null;
  const conditions = (parts as unknown[]).map(conditionOf);
  if (!conditions.every((condition) => condition !== null)) return null;
  return { match: operator === "or" ? "or" : "and", conditions };
}

function conditionOf(part: unknown): Condition | null {
  const [name = "", ...more] = Object.keys((part as Rule | null) ?? {});
  const operands = (part as Rule | null)?.[name];
  if (more.length || !Array.isArray(operands)) return null;
  const [left, right, ...further] = operands as unknown[];
  const asked = left as Rule | null;
  const feature = asked?.["var"];
  if (typeof feature !== "string" || Object.keys(asked ?? {}).length !== 1 || further.length) return null;
  const operators: readonly string[] = isText(feature) ? SAME_OR_NOT : OPERATORS;
  if (!operators.includes(name) || typeof right !== (isText(feature) ? "string" : "number")) return null;
  return { feature, operator: name, value: typeof right === "number" ? format.typed(right) : String(right) };
}

/** What a body of 1 MiB holds of a list beside the rest. */
const MAX_IDS_CHARACTERS = 900_000;

/** The definition that a draft says, or what is missing in it, as a sentence. */
export function definitionOf(draft: Draft): { definition: Definition } | { problem: string } {
  const definition: Definition = { segment_name: draft.name.trim() };
  if (!definition.segment_name) return { problem: text.builder.needName };
  if (draft.kinds.length === 0) return { problem: text.builder.needKind };
  const has = (kind: Kind) => draft.kinds.includes(kind);
  if (has("rule")) {
    const made = ruleOf(draft);
    if ("problem" in made) return made;
    definition.rule = made.rule;
  }
  if (has("customer_ids") && draft.list) definition.customer_list = draft.list.id;
  else if (has("customer_ids")) {
    const { ids } = tidy(draft.ids);
    if (!ids.length) return { problem: text.builder.needIds };
    if (JSON.stringify(ids).length > MAX_IDS_CHARACTERS) return { problem: text.builder.tooManyIds };
    definition.customer_ids = ids;
  }
  if (has("churn_risk")) definition.churn_risk = draft.band as FieldOf<Definition, "churn_risk">;
  if (has("rfm_segment")) definition.rfm_segment = draft.rfm as FieldOf<Definition, "rfm_segment">;
  if (has("recommended_offer")) {
    if (!draft.offer.trim()) return { problem: text.builder.needOffer };
    definition.recommended_offer = draft.offer.trim();
  }
  return { definition };
}

function ruleOf(draft: Draft): { rule: Rule } | { problem: string } {
  if (draft.raw !== null) {
    try {
      return { rule: JSON.parse(draft.raw) as Rule };
    } catch {
      return { problem: text.builder.rawWrong };
    }
  }
  const parts: Rule[] = [];
  for (const { feature, operator, value } of draft.conditions) {
    const written = value.trim();
    if (!feature.trim()) return { problem: text.builder.needFeature };
    const operand = isText(feature) ? written : format.numberOf(written);
    const isSaid = typeof operand === "string" ? operand !== "" : Number.isFinite(operand);
    if (!isSaid) return { problem: text.builder.needValue };
    parts.push({ [operator]: [{ var: feature }, operand] });
  }
  const [first, ...others] = parts;
  return { rule: first === undefined ? {} : others.length === 0 ? first : { [draft.match]: parts } };
}

/** A condition with another feature; its operator and value stay where they can be of that feature too. */
export function withFeature(condition: Condition, feature: string): Condition {
  if (isText(feature) === isText(condition.feature)) {
    return isText(feature) && feature !== condition.feature
      ? { ...condition, feature, value: FIRST_TEXT.get(feature) ?? "" }
      : { ...condition, feature };
  }
  return { feature, operator: isText(feature) ? "==" : ">=", value: FIRST_TEXT.get(feature) ?? "" };
}
const FIRST_TEXT: ReadonlyMap<string, string> = new Map([
  ["churn_risk", "high"],
  ["rfm_segment", "Champions"],
]);

/** What says who is in a segment, of a definition as it is stored: what PUT would take. */
export function sayingWho(stored: Stored): Definition {
  const { segment_id: _, version: __, updated: ___, listed_customers: ____, list_url: _____, ...said } = stored;
  return said as Definition;
}

/**
 * A definition of those of a segment's members of whom the conditions are true too. It names no customer, so it goes on
 * saying the same when they move.
 */
export function narrowed(definition: Definition, segment_name: string, conditions: Rule[]): Definition {
  const own = definition.rule ?? {};
  const parts = "and" in own && Object.keys(own).length === 1 && Array.isArray(own["and"]) ? own["and"] : [own];
  const said = (parts as Rule[]).filter((part) => Object.keys(part).length > 0);
  return { ...definition, segment_name, rule: { and: [...said, ...conditions] } };
}

/** Those who have not lapsed and leave with a probability of at least so much. */
export const likelyToLeave = (least: number): Rule[] => [
  { ">=": [{ var: "churn_probability" }, least] },
  { "!=": [{ var: "churn_risk" }, "lapsed"] },
];

/** Those of one cell of the RFM map. */
export const inCell = ({ r_score, f_score }: Pick<Schemas["RfmCell"], "r_score" | "f_score">): Rule[] => [
  { "==": [{ var: "r_score" }, r_score] },
  { "==": [{ var: "f_score" }, f_score] },
];

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
