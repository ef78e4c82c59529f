import { expect, test } from "vitest";
import {
  isWithin,
  type Known,
  limitsOf,
  MOST_STEPS,
  placeOf,
  sliderValues,
  typicalOf,
  usualOf,
  wordsFor,
} from "./scales";

const card = (feature: string, domain: object | null, more: object = {}) =>
  ({ domains: domain && { [feature]: domain }, baseline: null, usual_ranges: null, ...more }) as never;
const limits = (...domains: object[]) =>
  limitsOf(
    "f",
    domains.map((domain) => card("f", domain)),
  );
const COUNT = limits({ least: 0, whole: true });
const DAYS = limits({ least: 0, below: 100_000, whole: true });
const MONEY = limits({ above: -1e12, below: 1e12, whole: false });
const SCORE = limits({ least: 0, most: 100 });
const FLAG = limits({ least: 0, most: 1, whole: true });
const NONE = limits();

const KNOWN: Record<string, Known> = {
  "a count": { own: 51, typical: 33, usual: [5, 128], limits: COUNT },
  "a count of nothing": { own: 0, typical: 0, usual: [0, 1], limits: COUNT },
  "few of a kind": { own: 5, typical: 3, usual: [1, 6], limits: COUNT },
  "a count with a long tail": { own: 3, typical: 4, usual: [1, 9000], limits: COUNT },
  days: { own: 1, typical: 7, usual: [1, 179], limits: DAYS },
  "days at their end": { own: 99_999, typical: 7, usual: [1, 179], limits: DAYS },
  money: { own: 2415.56, typical: 874.67, usual: [87.67, 4129.77], limits: MONEY },
  "money given back": { own: -17.3, typical: 20.5, usual: [1.5, 80.25], limits: MONEY },
  "a fortune": { own: 9.9e11, typical: 20, usual: [1, 300], limits: MONEY },
  "a score": { own: 83.333, typical: 50, usual: [8.3, 100], limits: SCORE },
  "a rate": { own: 0.031, typical: 0.02, usual: [0.01, 0.4], limits: limits({ least: 0, most: 1 }) },
  "a flag": { own: 1, typical: 0, usual: [0, 1], limits: FLAG },
  "what is above zero": { own: 0.5, typical: 0.4, usual: [0.1, 0.9], limits: limits({ above: 0, most: 1 }) },
  "what nobody knows": { own: 5, typical: undefined, usual: undefined, limits: NONE },
  "nothing of what nobody knows": { own: 0, typical: undefined, usual: undefined, limits: NONE },
  "parts of what nobody knows": { own: 5.25, typical: undefined, usual: undefined, limits: NONE },
  "a negative of a kind": { own: -5, typical: -10, usual: [-100, -1], limits: NONE },
};

test.each(Object.entries(KNOWN))("the slider of %s ascends within its limits, through its own value", (_, known) => {
  for (const beyond of [known.own, 4 * known.own].filter((value) => isWithin(value, known.limits))) {
    const values = sliderValues({ ...known, beyond });
    expect(values.length).toBeGreaterThan(1);
    expect(values.length).toBeLessThanOrEqual(MOST_STEPS + 7);
    for (const [place, value] of values.entries()) {
      expect(isWithin(value, known.limits), String(value)).toBe(true);
      if (place) expect(value).toBeGreaterThan(values[place - 1] ?? Infinity);
      expect(placeOf(value, values)).toBe(place);
    }
    expect(values).toContain(known.own);
    expect(values).toContain(beyond);
    if (known.limits.whole) expect(values.every(Number.isInteger)).toBe(true);
  }
});

test.each(["a count", "a count with a long tail", "days", "money", "a rate"])(
  "about half of the slider of %s, or more, is for what most customers have, however long its tail is",
  (name) => {
    const { usual = [0, 0], ...known } = KNOWN[name] as Known;
    const values = sliderValues({ ...known, usual });
    expect(placeOf(usual[1], values) - placeOf(usual[0], values)).toBeGreaterThan(0.45 * values.length);
    expect(values.filter((value) => value <= (known.typical ?? 0)).length).toBeGreaterThanOrEqual(5);
  },
);

test("a score has its whole domain, a flag its two values, and few of a kind each of them", () => {
  expect(sliderValues(KNOWN["a score"] as Known).at(0)).toBe(0);
  expect(sliderValues(KNOWN["a score"] as Known).at(-1)).toBe(100);
  expect(sliderValues(KNOWN["a flag"] as Known)).toEqual([0, 1]);
  expect(sliderValues(KNOWN["few of a kind"] as Known)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
});

test("a value must be within the domain of each model that reads it", () => {
  const both = limits({ least: 0, most: 10 }, { above: 0, below: 5, whole: true });
  expect([-1, 0, 1, 1.5, 4, 5, 11, Number.NaN].map((value) => isWithin(value, both))).toEqual([
    false,
    false,
    true,
    false,
    true,
    false,
    false,
    false,
  ]);
  expect(isWithin(0, limits({ above: 0 }, { least: 0 }))).toBe(false);
  expect(isWithin(-1e300, limitsOf("other", [card("f", { least: 0 })]))).toBe(true);
  expect(limitsOf("f", [card("f", null)])).toEqual(NONE);
});

test("a feature has the words of its reasons, else what it is, else its name", () => {
  const said = card("f", null, {
    baseline: { words: { f: "no purchase for {value} {day|days}", g: "{value} %" }, values: { f: 7 } },
    usual_ranges: { f: [1, 9] },
  });
  expect(wordsFor("f", 2, [card("f", null), said], "days")).toEqual({ before: "no purchase for", after: "days" });
  expect(wordsFor("f", 1, [said], "days")).toEqual({ before: "no purchase for", after: "day" });
  expect(wordsFor("f", null, [said], "days")).toEqual({ before: "no purchase for", after: "days" });
  expect(wordsFor("g", 1, [said], undefined)).toEqual({ before: "", after: "%" });
  expect(wordsFor("constructor", 1, [said], undefined)).toEqual({ before: "constructor", after: "" });
  expect(wordsFor("h", null, [said], "visits")).toEqual({ before: "", after: "visits" });
  expect([typicalOf("f", [said]), typicalOf("g", [said])]).toEqual([7, undefined]);
  expect([usualOf("f", [said]), usualOf("toString", [said]), usualOf("g", [])]).toEqual([[1, 9], undefined, undefined]);
});
