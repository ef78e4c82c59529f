import { expect, test } from "vitest";
import { usable } from "./format";
import { byType, churnSentence, countsOf, matches, rowsAsCsv, tabled } from "./predictions";
import { type ChurnQuality, heldOutShare, offerName, signOf, usualList } from "./quality";
import { text } from "./text";

const churn = { customer_id: "1", churn_probability: 0.8, churn_risk: "high" } as const;
const quality: ChurnQuality = {
  customers: 1000,
  left: 200,
  lists: [],
  tenths: [],
  bands: [
    { name: "high", customers: 100, happened: 62, predicted: 0.6, share: { value: 0.62, low: 0.52, high: 0.71 } },
    { name: "low", customers: 0, happened: 0, predicted: null, share: null },
  ],
};

const none = { error: "none", code: "CUSTOMER_NOT_FOUND" };
const few = { error: "few", code: "NO_PURCHASES" };
const model = (version: string) => ({ name: "m", version, placeholder: false });
const models = { churn: model("1"), nbo: model("mock"), rfm: model("fixed") };

test("the answers of three types are a row for each customer, with failures apart", () => {
  const answer = {
    type: "all",
    total: 3,
    results: [
      { customer_id: "1", results: { churn, rfm: { segment: "Champions", rfm_segment: "555" } }, errors: { nbo: few } },
    ],
    errors: [
      { customer_id: "2", ...none, errors: { churn: none, nbo: none, rfm: none } },
      { customer_id: "3", ...none, errors: { churn: none, nbo: few, rfm: none } },
    ],
  } as never;
  const { rows, failures } = tabled(answer);
  expect(rows).toHaveLength(1);
  expect(rows[0]?.rfm?.segment).toBe("Champions");
  expect(failures.map(({ id, types, code }) => [id, types, code])).toEqual([
    ["1", ["nbo"], "NO_PURCHASES"],
    ["2", ["churn", "nbo", "rfm"], "CUSTOMER_NOT_FOUND"],
    ["3", ["churn", "rfm"], "CUSTOMER_NOT_FOUND"],
    ["3", ["nbo"], "NO_PURCHASES"],
  ]);
  expect(countsOf(answer, "churn")).toEqual({ answered: 1, failed: 2 });
  expect(countsOf(answer, "nbo")).toEqual({ answered: 0, failed: 3 });
  expect(rows.filter((row) => matches(row, " champ "))).toEqual(rows);
  expect(rows.filter((row) => matches(row, "lost"))).toEqual([]);
  expect(rowsAsCsv(rows, ["churn"])).toBe("customer_id,churn_probability,churn_risk\r\n1,0.8,high\r\n");
});

test("a batch of one type is a row for each customer too", () => {
  const answer = {
    type: "churn",
    successful: 1,
    failed: 1,
    results: [{ customer_id: "1", result: churn }],
    errors: [{ customer_id: "2", ...none }],
  } as never;
  expect(tabled(answer)).toEqual({ rows: [{ id: "1", churn }], failures: [{ id: "2", types: ["churn"], ...none }] });
  expect(countsOf(answer, "churn")).toEqual({ answered: 1, failed: 1 });
});

test("one customer's answers are told apart by type, and those that are missing have a reason", () => {
  const answers = byType({ type: "all", results: { churn, rfm: {} }, errors: { nbo: few }, models } as never);
  expect(answers).toEqual([
    { type: "churn", result: churn, model: models.churn, mock: false },
    { type: "nbo", failure: few, model: models.nbo, mock: true },
    { type: "rfm", result: {}, model: models.rfm, mock: false },
  ]);
});

const group = (name: string, predicted: number, share: [number, number, number]) => {
  const [value, low, high] = share;
  return { name, customers: 700, happened: Math.round(700 * value), predicted, share: { value, low, high } };
};
const tenths = [
  group("1", 0.44, [0.39, 0.357, 0.428]),
  group("2", 0.01, [0.0014, 0.0002, 0.0077]),
  { name: "3", customers: 0, happened: 0, predicted: null, share: null },
];

test("a churn answer is first of all a sentence in customers of the nearest tenth, with its range", () => {
  expect(churnSentence({ ...churn, churn_probability: 0.3 }, { ...quality, tenths })).toEqual({
    sentence: "Of 100 active customers like this, 39 left (35 to 43).",
    counted: "700 held-out customers with a similar probability, 273 left",
  });
});

test("a few of many are not none, and nearly all are not all", () => {
  const said = (share: [number, number, number]) =>
    churnSentence(churn, { ...quality, tenths: [group("1", 0.8, share)] }).sentence;
  expect(said([0.0014, 0.0002, 0.0077])).toBe("Of 100 active customers like this, fewer than 1 left (0 to 1).");
  expect(said([0.998, 0.991, 0.9999])).toBe("Of 100 active customers like this, more than 99 left (99 to 100).");
  expect(said([0.07, 0.07, 0.07])).toBe("Of 100 active customers like this, 7 left (7 to 7).");
});

test("without tenths the band is counted, and who has lapsed is like the lapsed", () => {
  expect(churnSentence(churn, quality)).toEqual({
    sentence: "Of 100 active customers like this, 62 left (52 to 71).",
    counted: "100 held-out customers with high risk, 62 left",
  });
  const bands = [group("lapsed", 0.64, [0.56, 0.534, 0.585])];
  expect(churnSentence({ ...churn, churn_risk: "lapsed" }, { ...quality, bands, tenths })).toEqual({
    sentence: "Of 100 lapsed customers like this, 56 stayed away (53 to 59): to win back, not to keep.",
    counted: "700 held-out customers who had lapsed, 392 stayed away",
  });
});

test("where nobody was counted, the sentence says so and invents nothing", () => {
  for (const [risk, of] of [
    ["low", quality],
    ["high", null],
    ["lapsed", null],
  ] as const) {
    const { sentence, counted } = churnSentence({ ...churn, churn_risk: risk }, of);
    expect(sentence).toMatch(/not measured|count as lapsed/);
    expect(counted).toBeNull();
  }
});

test("the held-out share is on the line between the tenths, and beyond them that of the outermost", () => {
  const shareOf = heldOutShare({ ...quality, tenths });
  expect(shareOf?.(0.225).value).toBeCloseTo((0.39 + 0.0014) / 2);
  expect(shareOf?.(0.225).high).toBeCloseTo((0.428 + 0.0077) / 2);
  expect([shareOf?.(0), shareOf?.(1)]).toEqual([tenths[1]?.share, tenths[0]?.share]);
  expect(shareOf?.(0.44)).toEqual(tenths[0]?.share);
  expect(heldOutShare(quality)).toBeNull();
});

test("the list that is shown first is the one nearest to a tenth", () => {
  const list = (share: number) => ({ share }) as never;
  expect(usualList({ ...quality, lists: [list(0.01), list(0.2), list(0.1)] })?.share).toBe(0.1);
  expect(usualList(quality)).toBeNull();
});

test("a language that Intl does not know is passed over", () => {
  expect(usable(["en-US@posix", "de-CH"])).toBe("de-CH");
  expect(usable([])).toBe("en");
});

test("what a recommendation is worth is said by its whole intervals", () => {
  const word = (shown: [number, number], best: [number, number]) => {
    const ranged = ([low, high]: [number, number]) => ({ value: 0, low, high });
    return text.status.offerWord(signOf(ranged(shown)), signOf(ranged(best)), "X");
  };
  expect(word([0.01, 0.02], [-0.01, 0.01])).toMatch(/cannot be told/);
  expect(word([0.01, 0.02], [0.01, 0.02])).toMatch(/and than X/);
  expect(word([0.01, 0.02], [-0.02, -0.01])).toMatch(/but not than X/);
  expect(word([-0.01, 0.02], [0.01, 0.02])).toMatch(/Cannot tell/);
  expect(word([-0.02, -0.01], [0.01, 0.02])).toMatch(/Worse/);
});

test("metrics and offers have names for people", () => {
  expect(["auc", "pr_auc", "log_loss", "ece_out_of_time"].map(text.report.nameOf)).toEqual([
    "AUC",
    "PR AUC",
    "Log loss",
    "ECE out of time",
  ]);
  const card = { offers: [{ offer_code: "7", offer_name: "Free" }] } as never;
  expect([offerName(card, "7"), offerName(card, "8"), offerName(null, "7")]).toEqual(["Free", "8", "7"]);
});
