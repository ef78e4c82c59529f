import { expect, test } from "vitest";
import { fromAddress, inAddress } from "./what-if";

test("what is overridden is in the address, and read back from it", () => {
  for (const overrides of [{}, { a: 0 }, { "a:b, c=d&é": -1.5e-7, b: 1e12 }, { constructor: 3 }]) {
    const query = new URLSearchParams({ if: inAddress(overrides) });
    expect(fromAddress(new URLSearchParams(String(query)).get("if"), Object.keys(overrides))).toEqual(overrides);
  }
});

test("what nobody made here is left out", () => {
  for (const said of [null, "", "a", "a:", "a: ", ":1", "a:x", "a:NaN", "a:1e999", "b:1", "%:1", ",,:,", "__proto__:1"])
    expect(fromAddress(said, ["a"]), String(said)).toEqual({});
  expect(fromAddress("b:1,a:2,a:x", ["a"])).toEqual({ a: 2 });
});
