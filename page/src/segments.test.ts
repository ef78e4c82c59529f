import { expect, test } from "vitest";
import { choose, conditionsOf, definitionOf, draftOf, emptyDraft, idOf, isSegmentId } from "./segments";

test("a rule that conditions can say comes back as it was", () => {
  const rule = { and: [{ ">=": [{ var: "revenue" }, 10] }, { "<": [{ var: "days_since_last" }, 3.5] }] };
  const draft = draftOf({ segment_id: "x", segment_name: "X", version: 1, updated: "", rule });
  expect(draft.raw).toBeNull();
  expect(definitionOf(draft)).toEqual({ definition: { segment_name: "X", rule } });
  expect(conditionsOf({ "<=": [{ var: "a" }, 1] })?.conditions).toHaveLength(1);
});

test("a rule that says more is kept as it is, as text", () => {
  const rule = { or: [{ "!": { var: "a" } }, { "==": [{ var: "b" }, "x"] }] };
  const draft = draftOf({ segment_id: "x", segment_name: "X", version: 1, updated: "", rule });
  expect(draft.raw).toContain('"!"');
  expect(definitionOf(draft)).toEqual({ definition: { segment_name: "X", rule } });
  expect(definitionOf({ ...draft, raw: "{" })).toHaveProperty("problem");
});

test("what is missing is said and not sent", () => {
  const draft = { ...emptyDraft(), name: "X" };
  expect(definitionOf({ ...draft, name: " " })).toEqual({ problem: expect.stringContaining("name") });
  expect(definitionOf({ ...draft, conditions: [{ feature: "a", operator: ">", value: " " }] })).toHaveProperty(
    "problem",
  );
  expect(definitionOf({ ...draft, kind: "customer_ids", ids: " , " })).toHaveProperty("problem");
  expect(definitionOf({ ...draft, kind: "recommended_offer" })).toHaveProperty("problem");
  expect(definitionOf({ ...draft, conditions: [] })).toEqual({ definition: { segment_name: "X", rule: {} } });
});

test("an id is made of the name where something of it can be in one", () => {
  expect(idOf("Château & Höhe!")).toBe("chateau-hohe");
  expect(isSegmentId(idOf("日本"))).toBe(false);
  expect(isSegmentId("a-b_C1")).toBe(true);
});

test("who is chosen are the active from a bin on, and what becomes of them", () => {
  const bin = (begins: number, by_risk: Record<string, number>, expected: number) => ({
    begins,
    ends: begins + 0.05,
    by_risk,
    expected,
  });
  const bins = [bin(0, { low: 10 }, 1), bin(0.5, { medium: 4, lapsed: 7 }, 2.2), bin(0.95, { high: 2 }, 1.9)];
  expect(choose(bins, 1, null)).toEqual({
    members: 6,
    leave: expect.closeTo(4.1),
    stay: expect.closeTo(1.9),
    leaveHeldOut: null,
  });
  const tenth = (predicted: number, value: number) => ({
    name: "1",
    customers: 9,
    happened: 1,
    predicted,
    share: { value, low: 0, high: 1 },
  });
  const quality = { customers: 1, left: 1, lists: [], bands: [], tenths: [tenth(0.9, 0.5), tenth(0.5, 0.25)] };
  expect(choose(bins, 1, quality).leaveHeldOut).toBeCloseTo(4 * 0.25 + 2 * 0.5);
});
