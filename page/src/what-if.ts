/** What a customer's own values are overridden by, and how the address says it: "days_since_last:60,revenue:99.5". */

import type { Schemas } from "./schemas";

export type Overrides = Readonly<Record<string, number>>;

/** Empty for nothing. */
export const inAddress = (overrides: Overrides): string =>
  Object.entries(overrides)
    .map(([name, value]) => `${encodeURIComponent(name)}:${value}`)
    .join(",");

/** What an address says of these features; what it says else was not made here, and is left out. */
export function fromAddress(said: string | null, features: readonly string[]): Overrides {
  const found: Record<string, number> = {};
  for (const pair of (said ?? "").split(",")) {
    const [name = "", value = ""] = pair.split(":");
    const feature = features.find((each) => encodeURIComponent(each) === name);
    if (feature !== undefined && value.trim() && Number.isFinite(Number(value))) found[feature] = Number(value);
  }
  return found;
}

type Card = Pick<Schemas["ModelCardAnswer"], "baseline">;

/** The features that stand for the other categories of the same text: a customer has one category at a time. */
export function otherCategories(feature: string, cards: readonly Card[]): string[] {
  const found = new Set<string>();
  for (const { baseline } of cards)
    for (const categories of Object.values((baseline?.["categories"] ?? {}) as Record<string, object>))
      if (Object.hasOwn(categories, feature)) for (const name of Object.keys(categories)) found.add(name);
  found.delete(feature);
  return [...found];
}

/**
 * The overrides with a feature at a value, null for what it is. A category that is given takes the place of the others,
 * and who puts one back has the customer's own again.
 */
export function changed(
  overrides: Overrides,
  feature: string,
  value: number | null,
  own: Readonly<Record<string, number | null>>,
  cards: readonly Card[],
): Overrides {
  const found = new Map(Object.entries(overrides));
  if (value !== 0)
    for (const other of otherCategories(feature, cards)) {
      if (value !== null && own[other] !== 0) found.set(other, 0);
      else found.delete(other);
    }
  if (value === null) found.delete(feature);
  else found.set(feature, value);
  return Object.fromEntries(found);
}
