import { expect, test } from "vitest";
import { fromCsv, toCsv } from "./csv";

test("fields with commas, quotes and line breaks come back as they were", () => {
  const rows = [
    ["a,b", 'say "hi"', "two\nlines"],
    ["", "é😀", "1"],
  ];
  expect(fromCsv(toCsv(["x", "y", "z"], rows))).toEqual([["x", "y", "z"], ...rows]);
});

test("a text that a spreadsheet would run is made a text, and a number stays one", () => {
  const texts = ["=1+1", "@x", "-2+3", "+a", "-", "\t=1", "=-1", "-1e", "+1 2", "--1"];
  expect(
    toCsv(
      ["id"],
      texts.map((each) => [each]),
    ),
  ).toBe(["id", ...texts.map((each) => `'${each}`), ""].join("\r\n"));
  const numbers = ["-1", "+1.5", "-1e-5", "-.5", "12", -1, 1e21];
  expect(
    toCsv(
      ["id"],
      numbers.map((each) => [each]),
    ),
  ).toBe(["id", ...numbers, ""].join("\r\n"));
});

test("a last line that was cut off is left out", () => {
  expect(fromCsv('line,error\n1,"a"\n2,"half', false)).toEqual([
    ["line", "error"],
    ["1", "a"],
  ]);
});
