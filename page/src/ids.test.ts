import { expect, test } from "vitest";
import { tidy } from "./ids";

test("ids come one a line, with commas, blanks, quotes and tabs between them", () => {
  expect(tidy("1, 2;3\t\"4\"\r\n\n  5  \n'6'").ids).toEqual(["1", "2", "3", "4", "5", "6"]);
});

test("repeated ids are asked for once, and said", () => {
  expect(tidy("a\nb\na,a")).toEqual({ ids: ["a", "b"], duplicates: 2, tooLong: [] });
});

test("a blank within an id stays, and so do emoji, right-to-left and markup", () => {
  const ids = ["Anna Maria", "😀", "שלום", "<img onerror=alert(1)>"];
  expect(tidy(ids.join("\n")).ids).toEqual(ids);
});

test("an id has at most 256 characters, however many bytes they are", () => {
  expect(tidy("😀".repeat(256)).ids).toHaveLength(1);
  expect(tidy("x".repeat(257))).toEqual({ ids: [], duplicates: 0, tooLong: ["x".repeat(257)] });
});

test("nothing is nothing", () => {
  expect(tidy(" ,\n;; \t").ids).toEqual([]);
});

test("what is tidied is tidy, whatever was pasted", () => {
  const pieces = ['"', "'", " ", "a", ",", "b", "\n", "\u00a0", "\ufeff", "=", "\t"];
  let seed = 1;
  const next = () => (seed = (seed * 48_271) % 2_147_483_647);
  for (let time = 0; time < 2000; time++) {
    const pasted = Array.from({ length: next() % 12 }, () => pieces[next() % pieces.length]).join("");
    const { ids } = tidy(pasted);
    for (const separator of ["\n", ","]) expect([pasted, tidy(ids.join(separator)).ids]).toEqual([pasted, ids]);
  }
});
