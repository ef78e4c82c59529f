/** Segments' definitions as the builder has them, and what a spread of probabilities says. */

import type { FieldOf, Schemas } from "./api";
import { tidy } from "./ids";
import type { ChurnQuality } from "./quality";
import { text } from "./text";

export type Definition = Schemas["SegmentDefinition"];
export type Kind = Schemas["SegmentSummary"]["kind"];
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
    conditions.push({ feature, operator: name, value: String(right) });
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
      const numbers = draft.conditions.map(({ value }) => (value.trim() === "" ? NaN : Number(value)));
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

export const isSegmentId = (id: string): boolean => /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/.test(id);

/** An id made of a name, such as "high-value"; empty if nothing of the name can be in one. */
export function idOf(name: string): string {
  const ascii = name.normalize("NFKD").replace(/[\u0300-\u036f]/g, "");
  return ascii.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 64);
}

export type Bin = Schemas["RiskBin"];

export const activeIn = (bin: Bin): number =>
  Object.entries(bin.by_risk).reduce((sum, [band, members]) => (band === "lapsed" ? sum : sum + members), 0);

export interface Chosen {
  members: number;
  /** How many of them leave, and how many would have stayed anyway, by the sum of their probabilities. */
  leave: number;
  stay: number;
  /** How many leave by what happened to held-out customers with such a score; null if nobody was counted. */
  leaveHeldOut: number | null;
}

/** The members who have not lapsed from the bin at `from` on. */
export function choose(bins: Bin[], from: number, quality: ChurnQuality | null): Chosen {
  const chosen = bins.slice(from);
  const members = chosen.reduce((sum, bin) => sum + activeIn(bin), 0);
  const leave = chosen.reduce((sum, bin) => sum + bin.expected, 0);
  const tenths = (quality?.tenths ?? []).flatMap((tenth) =>
    tenth.predicted === null || tenth.share === null ? [] : [{ predicted: tenth.predicted, share: tenth.share.value }],
  );
  const shareOf = (probability: number) =>
    tenths.reduce((best, tenth) =>
      Math.abs(tenth.predicted - probability) < Math.abs(best.predicted - probability) ? tenth : best,
    ).share;
  return {
    members,
    leave,
    stay: members - leave,
    leaveHeldOut: tenths.length
      ? chosen.reduce((sum, bin) => {
          const active = activeIn(bin);
          return active ? sum + active * shareOf(bin.expected / active) : sum;
        }, 0)
      : null,
  };
}
