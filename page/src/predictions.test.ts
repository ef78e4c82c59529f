import { expect, test } from "vitest";
import { usable } from "./format";
import { churnSentence, matches, merge, rowsAsCsv } from "./predictions";
import { type ChurnQuality, offerName, signOf, usualList } from "./quality";
import { text } from "./text";

const batch = (type: "churn" | "rfm", results: object[], errors: object[] = []) =>
  ({ type, mode: "batch", results, errors, mock: false }) as never;
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

test("the answers of three types are a row for each customer, with failures apart", () => {
  const { rows, failures } = merge([
    batch(
      "churn",
      [{ customer_id: "1", result: churn }],
      [{ customer_id: "2", error: "none", code: "CUSTOMER_NOT_FOUND" }],
    ),
    batch("rfm", [{ customer_id: "1", result: { segment: "Champions", rfm_segment: "555" } }]),
  ]);
  expect(rows).toHaveLength(1);
  expect(rows[0]?.rfm?.segment).toBe("Champions");
  expect(failures).toEqual([{ id: "2", type: "churn", error: "none", code: "CUSTOMER_NOT_FOUND" }]);
  expect(rows.filter((row) => matches(row, " champ "))).toEqual(rows);
  expect(rows.filter((row) => matches(row, "lost"))).toEqual([]);
  expect(rowsAsCsv(rows, ["churn"])).toBe("customer_id,churn_probability,churn_risk\r\n1,0.8,high\r\n");
});

test("a churn answer is first of all a sentence in customers, with its range", () => {
  expect(churnSentence(churn, quality)).toBe(
    "Of 100 held-out customers with high risk, 62 left (62%, range 52% to 71%).",
  );
});

test("where nobody was counted, the sentence says so and invents nothing", () => {
  expect(churnSentence({ ...churn, churn_risk: "low" }, quality)).toMatch(/not measured/);
  expect(churnSentence(churn, null)).toMatch(/not measured/);
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
