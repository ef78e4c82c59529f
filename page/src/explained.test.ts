import { expect, test } from "vitest";
import { ApiError } from "./api";
import {
  type ExplainedScore,
  featuresOf,
  hasOthers,
  printed,
  type Reason,
  reasonWords,
  withReasons,
} from "./explained";
import type { Asked, Single } from "./schemas";

const reason = (feature: string, contribution: number): Reason => ({
  feature,
  contribution,
  words: `${feature}: +0.00`,
});
const of = (baseline_score: number, score: number): ExplainedScore => ({
  of: "churn_probability",
  score,
  baseline_score,
  method: "exact",
});

/** Numbers from 0 to 1, the same each time (mulberry32). */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

test("what is printed adds up, is off by a step at most, and keeps its sign", () => {
  const next = numbers(18);
  for (let round = 0; round < 500; round++) {
    const baseline = next();
    const contributions = Array.from({ length: 1 + Math.floor(20 * next()) }, () => (next() - 0.5) ** 3);
    const score = baseline + contributions.reduce((sum, each) => sum + each, 0) + 1e-5 * (next() - 0.5);
    const found = printed(
      of(baseline, score),
      contributions.map((each, place) => reason(String(place), each)),
      1000,
    );
    const added = found.reasons.map((each) => each.added);
    expect(found.baseline + added.reduce((sum, each) => sum + each, 0)).toBe(found.score);
    expect(found.baseline + found.raises + found.lowers).toBe(found.score);
    expect(found.score).toBe(Math.round(1000 * score));
    added.forEach((steps, place) => {
      const exact = 1000 * (contributions[place] ?? 0);
      expect(Math.abs(steps - exact)).toBeLessThan(2);
      expect(steps * exact).toBeGreaterThanOrEqual(0);
    });
  }
});

test("bars are as long as the contributions, beside the largest; whole points stay whole", () => {
  const { reasons, baseline, score } = printed(of(9, 7), [reason("a", -4), reason("b", 2), reason("c", 0)], 1);
  expect([baseline, score]).toEqual([9, 7]);
  expect(reasons.map(({ added, length }) => [added, length])).toEqual([
    [-4, -1],
    [2, 0.5],
    [0, 0],
  ]);
  expect(printed(of(0.2, 0.2), [], 1000)).toMatchObject({ baseline: 200, score: 200, reasons: [] });
  expect(printed(of(0.2, 0.2), [reason("a", -0.0001)], 1000).reasons[0]?.added).toBe(0);
  expect(printed(of(0, 1), [{ ...reason("a", 1), standard_error: 0.01 }], 1000).reasons[0]?.error).toBe(10);
});

test("the words of a reason come without the number beside them", () => {
  expect(reasonWords({ words: "no purchase for 74 days, typical 12: +0.21" })).toBe(
    "no purchase for 74 days, typical 12",
  );
  expect(reasonWords({ words: "habits: 3 a (typical 1); 2 b (typical 2): -1" })).toBe(
    "habits: 3 a (typical 1); 2 b (typical 2)",
  );
  for (const nothing of ["0.00", "0"])
    expect(reasonWords({ words: `0 spent, typical 0: ${nothing}` })).toBe("0 spent, typical 0");
  expect(reasonWords({ words: "in other words" })).toBe("in other words");
});

test("the features of reasons are named once, a group's among them", () => {
  const group: Reason = {
    group: "habits",
    features: ["x", "a"].map((feature) => ({ feature, value: 1, typical: 2 })),
    contribution: 0.1,
    words: "",
  };
  expect([...featuresOf([{ ...reason("a", 1), typical: 7 }, group, reason("b", 0)])]).toEqual([
    ["a", 7],
    ["x", 2],
    ["b", undefined],
  ]);
});

test("an offer is beside others if others were learnt", () => {
  const offer = (offer_id: number, evidence: string) => ({ offer_id, evidence });
  const nbo = (...offers: object[]) => ({ offers, top_offer: offers[0] }) as never;
  expect(hasOthers(nbo(offer(4, "learnt"), offer(1, "unknown")))).toBe(true);
  expect(hasOthers(nbo(offer(4, "learnt"), offer(1, "too_few")))).toBe(false);
});

const refusal = (code: string) => new ApiError(`because ${code}`, 409, code);
const one = (type: string, more: object = {}) =>
  ({ type, model: { version: `${type} alone` }, result: { of: type, ...more } }) as unknown as Single;
const all = (errors: object = {}, results: object = {}) =>
  ({ type: "all", results, errors, models: { churn: { version: "1" }, nbo: {}, rfm: {} } }) as unknown as Single;

/** A service that answers as said, and what it was asked. */
function service(answers: Record<string, Single | Error>) {
  const asked: string[] = [];
  const ask = async (type: Asked, explain: boolean): Promise<Single> => {
    const key = explain ? `${type} why` : type;
    asked.push(key);
    const answer = answers[key];
    if (!answer || answer instanceof Error) throw answer ?? new Error(`nobody should ask for ${key}`);
    return answer;
  };
  return { ask, asked };
}

test("a prediction with reasons takes one request", async () => {
  const { ask, asked } = service({ "churn why": one("churn", { reasons: [] }) });
  expect(await withReasons(ask, "churn")).toEqual({ answer: one("churn", { reasons: [] }), unexplained: {} });
  expect(asked).toEqual(["churn why"]);
});

test.each(["NO_BASELINE", "NOT_EXPLAINED"])(
  "a prediction that fails for want of reasons (%s) is asked for without",
  async (code) => {
    const error = refusal(code);
    const { ask } = service({ "churn why": error, churn: one("churn") });
    expect(await withReasons(ask, "churn")).toEqual({ answer: one("churn"), unexplained: { churn: error } });
  },
);

test("what fails for another reason fails", async () => {
  const { ask, asked } = service({ "all why": refusal("THROTTLED") });
  await expect(withReasons(ask, "all")).rejects.toThrow("THROTTLED");
  expect(asked).toEqual(["all why"]);
});

const results = { churn: { of: "churn" }, nbo: { of: "nbo" }, rfm: { of: "rfm" } };

test.each([
  ["all of them", refusal("NO_BASELINE")],
  ["one of them", all({ churn: refusal("NOT_EXPLAINED") }, { rfm: results.rfm })],
])("of three types those with reasons keep them, where %s fail for want of them", async (_, first) => {
  const missing = refusal("NO_BASELINE");
  const away = new ApiError("away", 0, "AWAY");
  const { ask } = service({
    "all why": first,
    all: all({}, results),
    "churn why": missing,
    "nbo why": away,
    "rfm why": one("rfm", { reasons: [] }),
  });
  const { answer, unexplained } = await withReasons(ask, "all");
  expect(answer).toMatchObject({ results: { ...results, rfm: { of: "rfm", reasons: [] } }, errors: {} });
  expect(answer).toMatchObject({ models: { churn: { version: "1" }, rfm: { version: "rfm alone" } } });
  expect(unexplained).toEqual({ churn: missing, nbo: away });
});

test("what is known to have no reasons is not asked for them again", async () => {
  const churn = refusal("NO_BASELINE");
  const alone = service({ churn: one("churn") });
  expect(await withReasons(alone.ask, "churn", { churn })).toEqual({ answer: one("churn"), unexplained: { churn } });
  const three = service({ all: all({}, results), "nbo why": one("nbo"), "rfm why": one("rfm", { reasons: [] }) });
  expect((await withReasons(three.ask, "all", { churn })).unexplained).toEqual({ churn });
  expect(three.asked).toEqual(["all", "nbo why", "rfm why"]);
});

test("who stops the request hears no answer", async () => {
  const { ask } = service({
    "all why": refusal("NO_BASELINE"),
    all: all({}, results),
    "churn why": new DOMException("", "AbortError"),
  });
  await expect(withReasons(ask, "all")).rejects.toThrow(DOMException);
});
