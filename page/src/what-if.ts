/** What a customer's own values are overridden by, and how the address says it: "days_since_last:60,revenue:99.5". */

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
