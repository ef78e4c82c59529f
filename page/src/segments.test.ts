import { expect, test } from "vitest";
import {
  aloneIn,
  binsOf,
  choose,
  conditionsOf,
  definitionOf,
  draftOf,
  driftOf,
  emptyDraft,
  idFrom,
  idOf,
  inCell,
  isSegmentId,
  likelyToLeave,
  narrowed,
  reasonsOf,
  withFeature,
} from "./segments";

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

const stored = { segment_id: "x", version: 1, updated: "" };

test("whatever a definition combines comes back as it was, and what is left out goes", () => {
  const said = {
    segment_name: "X",
    rule: { or: [{ "==": [{ var: "churn_risk" }, "high"] }, { ">=": [{ var: "r_score" }, 4] }] },
    customer_ids: ["1", "a b"],
    rfm_segment: "At Risk",
    churn_risk: "medium",
    recommended_offer: "FREE_SHIP",
  } as const;
  const parts = ["rule", "customer_ids", "rfm_segment", "churn_risk", "recommended_offer"] as const;
  for (let chosen = 1; chosen < 2 ** parts.length; chosen++) {
    const some = parts.filter((_, place) => (chosen >> place) & 1);
    const definition = { segment_name: "X", ...Object.fromEntries(some.map((part) => [part, said[part]])) };
    const draft = draftOf({ ...stored, ...definition });
    expect(draft.raw).toBeNull();
    expect(definitionOf(draft)).toEqual({ definition });
    expect(definitionOf({ ...draft, kinds: draft.kinds.slice(1) })).not.toEqual({ definition });
  }
  expect(definitionOf({ ...draftOf({ ...stored, ...said } as never), kinds: [] })).toHaveProperty("problem");
});

test("a condition is kept as conditions only where a field can say it", () => {
  for (const rule of [
    { "==": [{ var: "churn_risk" }, 3] },
    { ">": [{ var: "churn_risk" }, "high"] },
    { ">": [{ var: "revenue" }, "high"] },
    { ">": [{ var: "revenue", x: 1 }, 3] },
    { and: [null] },
    { and: [{ "!": { var: "a" } }, { ">": [{ var: "revenue" }, 3] }] },
    { "<=": [1, { var: "revenue" }, 3] },
  ]) {
    expect(conditionsOf(rule)).toBeNull();
    expect(definitionOf(draftOf({ ...stored, segment_name: "X", rule }))).toEqual({
      definition: { segment_name: "X", rule },
    });
  }
});

test("a condition takes a text or a number, as its feature is", () => {
  const number = { feature: "revenue", operator: ">", value: "5" };
  expect(withFeature(number, "days_since_last")).toEqual({ ...number, feature: "days_since_last" });
  expect(withFeature(number, "rfm_segment")).toEqual({ feature: "rfm_segment", operator: "==", value: "Champions" });
  const offer = { feature: "recommended_offer", operator: "!=", value: "6" };
  expect(withFeature(offer, "churn_risk")).toEqual({ feature: "churn_risk", operator: "!=", value: "high" });
  expect(withFeature(offer, "r_score")).toEqual({ feature: "r_score", operator: ">=", value: "" });
  // Every object has something of this name.
  expect(withFeature(offer, "constructor")).toEqual({ feature: "constructor", operator: ">=", value: "" });
});

test("a segment is narrowed by conditions beside whatever it says itself", () => {
  const more = [...inCell({ r_score: 4, f_score: 5 }), ...likelyToLeave(0.3)];
  expect(more).toHaveLength(4);
  const rule = (own: Record<string, unknown>) => narrowed({ segment_name: "X", rule: own }, "Y", more).rule;
  const one = { ">": [{ var: "revenue" }, 1] };
  expect(rule(one)).toEqual({ and: [one, ...more] });
  expect(rule({ and: [one, one] })).toEqual({ and: [one, one, ...more] });
  expect(rule({ or: [one, one] })).toEqual({ and: [{ or: [one, one] }, ...more] });
  expect(rule({})).toEqual({ and: more });
  expect(narrowed({ segment_name: "X", churn_risk: "high", customer_ids: ["1"] }, "Y", more)).toEqual({
    segment_name: "Y",
    churn_risk: "high",
    customer_ids: ["1"],
    rule: { and: more },
  });
});

test("what is missing is said and not sent", () => {
  const draft = { ...emptyDraft(), name: "X" };
  expect(definitionOf({ ...draft, name: " " })).toEqual({ problem: expect.stringContaining("name") });
  expect(definitionOf({ ...draft, conditions: [{ feature: "a", operator: ">", value: " " }] })).toHaveProperty(
    "problem",
  );
  expect(definitionOf({ ...draft, conditions: [{ feature: " ", operator: ">", value: "1" }] })).toEqual({
    problem: expect.stringContaining("feature"),
  });
  expect(definitionOf({ ...draft, conditions: [{ feature: "a", operator: ">", value: "many" }] })).toEqual({
    problem: expect.stringContaining("number, such as 1,000"),
  });
  expect(
    definitionOf({ ...draft, conditions: [{ feature: "recommended_offer", operator: "==", value: " " }] }),
  ).toHaveProperty("problem");
  expect(definitionOf({ ...draft, kinds: ["customer_ids"], ids: " , " })).toHaveProperty("problem");
  expect(definitionOf({ ...draft, kinds: ["recommended_offer"] })).toHaveProperty("problem");
  expect(definitionOf({ ...draft, conditions: [] })).toEqual({ definition: { segment_name: "X", rule: {} } });
});

test("an id is made of the name where something of it can be in one", () => {
  expect(idOf("Château & Höhe!")).toBe("chateau-hohe");
  expect(isSegmentId(idOf("日本"))).toBe(false);
  expect(isSegmentId("a-b_C1")).toBe(true);
});

test("the id of a segment made of another is its own, however long that one's is", () => {
  for (const id of ["a", "x".repeat(64), "A_".repeat(31)]) {
    const made = ["-likeliest-1000", "-likeliest-1000-20"].map((suffix) => idFrom(id, suffix));
    expect(made.every(isSegmentId)).toBe(true);
    expect(new Set([id, ...made]).size).toBe(3);
  }
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
    heldOut: null,
  });
  // The means of the chosen bins are 0.55 and 0.95: the first an eighth of the way between the tenths, the second beyond.
  const tenth = (predicted: number, value: number, low: number, high: number) => ({
    name: "1",
    customers: 9,
    happened: 1,
    predicted,
    share: { value, low, high },
  });
  const tenths = [tenth(0.9, 0.5, 0.4, 0.7), tenth(0.5, 0.25, 0.2, 0.3)];
  const { heldOut } = choose(bins, 1, { customers: 1, left: 1, lists: [], bands: [], tenths });
  expect(heldOut?.leave.value).toBeCloseTo(4 * (0.25 + 0.25 / 8) + 2 * 0.5);
  expect(heldOut?.leave.low).toBeCloseTo(4 * (0.2 + 0.2 / 8) + 2 * 0.4);
  expect(heldOut?.leave.high).toBeCloseTo(4 * (0.3 + 0.4 / 8) + 2 * 0.7);
  // Who does not leave stays: the most who stay are where the fewest leave.
  expect(heldOut?.stay.low).toBeCloseTo(6 - (heldOut?.leave.high ?? 0));
  expect(heldOut?.stay.high).toBeCloseTo(6 - (heldOut?.leave.low ?? 0));
});

test("the bins of a cell are all bins, empty where it has nobody", () => {
  const bin = (begins: number, by_risk: Record<string, number>, expected: number) => ({
    begins,
    ends: begins + 0.05,
    by_risk,
    expected,
  });
  const whole = [bin(0, { low: 10 }, 1), bin(0.05, { low: 4 }, 0.3), bin(0.1, { low: 1 }, 0.1)];
  const part = [bin(0.05, { low: 2 }, 0.14)];
  expect(binsOf(whole, part)).toEqual([bin(0, {}, 0), part[0], bin(0.1, {}, 0)]);
});

test("the reasons for no answer add up to all who have none", () => {
  const sum = (of: Parameters<typeof reasonsOf>[0]) => [...reasonsOf(of).values()].reduce((a, b) => a + b, 0);
  const counted = { failed: 12, failed_by_code: { NO_PURCHASES: 2, CUSTOMER_NOT_FOUND: 10, INVALID_FEATURES: 0 } };
  expect([...reasonsOf(counted)]).toEqual([
    ["CUSTOMER_NOT_FOUND", 10],
    ["NO_PURCHASES", 2],
  ]);
  // Stored before there were reasons, or with fewer of them.
  expect([...reasonsOf({ failed: 3 })]).toEqual([["", 3]]);
  expect(sum({ failed: 14, failed_by_code: counted.failed_by_code })).toBe(14);
  expect(reasonsOf({ failed: 0, failed_by_code: {} }).size).toBe(0);
});

test("drift is said by whether it moved, and whether the model leans on it", () => {
  const drift = { psi: 0.3, band: "significant", alarm: false, weight: 0.01, p_value: 0 } as const;
  expect(driftOf({ ...drift, alarm: true, weight: 0.5 })).toBe("alarm");
  expect(driftOf(drift)).toBe("unweighted");
  expect(driftOf({ ...drift, weight: null })).toBe("unknown");
  expect(driftOf({ ...drift, alarm: null })).toBe("unknown");
  expect(driftOf({ ...drift, p_value: 0.2 })).toBe("luck");
  expect(driftOf({ ...drift, psi: 0.01, band: "stable" })).toBe("stable");
  expect(driftOf({ ...drift, psi: null, band: "too_few" })).toBe("too_few");
});

test("a point between two that are missing is found, as a line does not show it", () => {
  expect(aloneIn([1, null, 2, null, 3, 4, null, 0])).toEqual([0, 2, 7]);
  expect(aloneIn([])).toEqual([]);
  expect(aloneIn([5])).toEqual([0]);
  expect(aloneIn([null, null])).toEqual([]);
});
