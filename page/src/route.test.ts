import { expect, test } from "vitest";
import { address, parse } from "./route";

test("an address says what is shown, whatever is in it", () => {
  const to = address(["segments", "a/b ü?"], { mode: "batch", id: "x&y=z", none: null });
  const back = parse(to);
  expect(back.path).toEqual(["segments", "a/b ü?"]);
  expect([...back.query]).toEqual([
    ["mode", "batch"],
    ["id", "x&y=z"],
  ]);
});

test("an address that nobody wrote is no error", () => {
  expect(parse("#/%E0%A4%A").path).toEqual(["%E0%A4%A"]);
  expect(parse("").path).toEqual([]);
  expect(parse("#/predict?id=a?b").query.get("id")).toBe("a?b");
});
