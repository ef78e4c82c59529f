import { expect, test } from "vitest";
import { formatOf, shareOf } from "./files";

test("a name says the format, in whatever case", () => {
  expect(["a.csv", "B.CSV.GZ", "c.jsonl", "d.parquet", "e.xlsx", "csv"].map(formatOf)).toEqual([
    "csv",
    "csv.gz",
    "jsonl",
    "parquet",
    null,
    null,
  ]);
});

test("how much is done is known by the input's share or by the total, or not at all", () => {
  expect(shareOf({ progress: { processed: 1, total: null, share: 0.5 } })).toBe(0.5);
  expect(shareOf({ progress: { processed: 1, total: 4 } })).toBe(0.25);
  expect(shareOf({ progress: { processed: 1, total: null } })).toBeNull();
});
