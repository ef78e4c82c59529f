import { expect, test } from "vitest";
import { changed, fromAddress, inAddress, type Overrides } from "./what-if";

test("what is overridden is in the address, and read back from it", () => {
  for (const overrides of [{}, { a: 0 }, { "a:b, c=d&é": -1.5e-7, b: 1e12 }, { constructor: 3 }]) {
    const query = new URLSearchParams({ if: inAddress(overrides) });
    expect(fromAddress(new URLSearchParams(String(query)).get("if"), Object.keys(overrides))).toEqual(overrides);
  }
});

test("what nobody made here is left out", () => {
  for (const said of [null, "", "a", "a:", "a: ", ":1", "a:x", "a:NaN", "a:1e999", "b:1", "%:1", ",,:,", "__proto__:1"])
    expect(fromAddress(said, ["a"]), String(said)).toEqual({});
  expect(fromAddress("b:1,a:2,a:x", ["a"])).toEqual({ a: 2 });
});

test("a customer has one category of a text at a time, whatever is moved, and the own one back", () => {
  const tiers = ["tier_gold", "tier_silver", "tier_bronze"];
  const cards = [
    { baseline: null },
    { baseline: { values: {} } },
    { baseline: { categories: { tier: { tier_gold: "gold", tier_silver: "silver", tier_bronze: "bronze" } } } },
  ];
  const of = (own: Record<string, number>, moves: [string, number | null][]) =>
    moves.reduce<Overrides>((said, [name, value]) => changed(said, name, value, own, cards), { spent: 7 });
  for (const mine of [...tiers, "another"]) {
    const own = { spent: 5, ...Object.fromEntries(tiers.map((name) => [name, Number(name === mine)])) };
    for (const first of tiers)
      for (const second of tiers) {
        // As the page says it: what is the customer's own is no override.
        const give = (name: string): [string, number | null] => [name, name === mine ? null : 1];
        const said = of(own, [give(first), give(second)]);
        const now = { ...own, ...said };
        expect(tiers.filter((name) => now[name as keyof typeof now])).toEqual([second]);
        expect(said["spent"]).toBe(7);
        expect(changed(said, second, null, own, cards)).toEqual({ spent: 7 });
      }
  }
  expect(of({ spent: 5, tier_gold: 1, tier_silver: 0, tier_bronze: 0 }, [["tier_gold", 0]])).toEqual({
    spent: 7,
    tier_gold: 0,
  });
  expect(of({ spent: 5 }, [["spent", null]])).toEqual({});
});
