/** What a card says of a model's worth, as the page reads it. Cards of before there was any have none. */

import type { Schemas } from "./schemas";

export interface Ranged {
  value: number;
  low: number;
  high: number;
}
export interface Group {
  name: string;
  customers: number;
  happened: number;
  predicted: number | null;
  share: Ranged | null;
}
export interface ListQuality {
  share: number;
  customers: number;
  found: Ranged;
  rule: Ranged;
  rule_days: number;
  chance: Ranged;
  word: string;
  sentence: string;
}
export interface ChurnQuality {
  customers: number;
  left: number;
  lists: ListQuality[];
  bands: Group[];
  tenths: Group[];
}
export interface OfferQuality {
  exposures: number;
  recommended: Ranged;
  shown: Ranged;
  best_single: Ranged;
  best_offer: string;
  over_shown: Ranged;
  over_best_single: Ranged;
  sentence: string;
}
type Card = Schemas["ModelCardAnswer"];

export const churnQuality = (card: Card): ChurnQuality | null => card.churn_quality as ChurnQuality | null;
export const offerQuality = (card: Card): OfferQuality | null => card.offer_quality as OfferQuality | null;

/** The list that a marketer is most likely to write to: the one nearest to a tenth of the active. */
export function usualList(quality: ChurnQuality): ListQuality | null {
  const [first = null, ...others] = quality.lists;
  return others.reduce(
    (best, list) => (best && Math.abs(list.share - 0.1) >= Math.abs(best.share - 0.1) ? best : list),
    first,
  );
}

const groupOf = (quality: ChurnQuality, band: string): Group | null =>
  quality.bands.find((group) => group.name === band && group.customers > 0) ?? null;

/** Held-out customers who were counted because they are like one; `by` says how they were found. */
export interface Likeness {
  by: "probability" | "band";
  customers: number;
  happened: number;
  share: Ranged;
}

/**
 * The held-out customers who are the most like one: the tenth whose mean probability is the nearest, or the band where
 * no tenths were counted. One who has lapsed is like the lapsed. Null if nobody like it was counted.
 */
export function likest(quality: ChurnQuality | null, probability: number, band: string): Likeness | null {
  if (!quality) return null;
  const distance = (group: Group) => Math.abs((group.predicted ?? 0) - probability);
  const tenths = band === "lapsed" ? [] : quality.tenths.filter(isCounted);
  const nearest = tenths.reduce<Group | null>(
    (best, group) => (best && distance(best) <= distance(group) ? best : group),
    null,
  );
  const group = nearest ?? groupOf(quality, band);
  if (!group?.share) return null;
  return {
    by: nearest ? "probability" : "band",
    customers: group.customers,
    happened: group.happened,
    share: group.share,
  };
}

type Counted = Group & { predicted: number; share: Ranged };
const isCounted = (group: Group): group is Counted =>
  group.customers > 0 && group.predicted !== null && group.share !== null;

/**
 * The share of held-out customers with such a probability who left: on the straight line between the means of the
 * tenths on either side, beyond the outermost that of the outermost. Null if no tenths were counted.
 */
export function heldOutShare(quality: ChurnQuality | null): ((probability: number) => Ranged) | null {
  const tenths = (quality?.tenths ?? []).filter(isCounted).sort((a, b) => a.predicted - b.predicted);
  const [first] = tenths;
  const last = tenths.at(-1);
  if (!first || !last) return null;
  return (probability) => {
    const above = tenths.find((tenth) => tenth.predicted >= probability) ?? last;
    const below = tenths.findLast((tenth) => tenth.predicted <= probability) ?? first;
    const width = above.predicted - below.predicted;
    const part = width > 0 ? (probability - below.predicted) / width : 0;
    const between = (end: keyof Ranged) => below.share[end] + part * (above.share[end] - below.share[end]);
    return { value: between("value"), low: between("low"), high: between("high") };
  };
}

/** Whether the service has a band of customers who have lapsed. */
export const knowsLapsed = (model: Schemas["ModelStatus"] | undefined): boolean => typeof model?.active === "object";

/** 1 if the whole interval is above 0, -1 if it is below, 0 if that cannot be told. */
export const signOf = ({ low, high }: Ranged): number => (low > 0 ? 1 : high < 0 ? -1 : 0);

/** What people call an offer of the card's catalogue; its code where it has none. */
export function offerName(card: Card | null, code: string): string {
  const offer = card?.offers.find((each) => each["offer_code"] === code);
  return offer ? String(offer["offer_name"]) : code;
}
