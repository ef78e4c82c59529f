/** What a card says of a model's worth, as the page reads it. Cards of before there was any have none. */

import type { Schemas } from "./api";

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

/** The held-out customers of a band. */
export function groupOf(quality: ChurnQuality | null, band: string): Group | null {
  return quality?.bands.find((group) => group.name === band && group.customers > 0) ?? null;
}

/** What a status says of a model that knows itself; services of before that say nothing. */
export interface Knowledge {
  advice?: string;
  active?: { feature: string; days: number } | "unknown";
  evidence?: { learnt: string[]; too_few: string[] } | "unknown";
}
export const knowledgeOf = (model: Schemas["ModelStatus"]): Knowledge => model as Knowledge;

/** Whether the service has a band of customers who have lapsed. */
export const knowsLapsed = (model: Schemas["ModelStatus"] | undefined): boolean =>
  typeof (model && knowledgeOf(model).active) === "object";

/** 1 if the whole interval is above 0, -1 if it is below, 0 if that cannot be told. */
export const signOf = ({ low, high }: Ranged): number => (low > 0 ? 1 : high < 0 ? -1 : 0);

/** What people call an offer of the card's catalogue; its code where it has none. */
export function offerName(card: Card | null, code: string): string {
  const offer = card?.offers.find((each) => each["offer_code"] === code);
  return offer ? String(offer["offer_name"]) : code;
}
