import { expect, test } from "vitest";
import { fromCsv, toCsv } from "./csv";

test("fields with commas, quotes and line breaks come back as they were", () => {
  const rows = [
    ["a,b", 'say "hi"', "two\nlines"],
    ["", "é😀", "1"],
  ];
  expect(fromCsv(toCsv(["x", "y", "z"], rows))).toEqual([["x", "y", "z"], ...rows]);
});

test("a text that a spreadsheet would run is made a text", () => {
  expect(toCsv(["id"], [["=1+1"], ["@x"], [-1]])).toBe("id\r\n'=1+1\r\n'@x\r\n-1\r\n");
});

test("a last line that was cut off is left out", () => {
  expect(fromCsv('line,error\n1,"a"\n2,"half', false)).toEqual([
    ["line", "error"],
    ["1", "a"],
  ]);
});
