import { expect, test } from "vitest";
import { reader } from "./format";

const VALUES = [0, 7, 12.5, -3, 0.25, 999, 1000, 1234, 1.125, -98765.4321, 1234567, 1e9];

test.each(["en", "en-IN", "de", "de-CH", "de-AT", "fr", "es", "pl", "pt", "sv", "ar-EG", "fa", "hi", "he", "ja"])(
  "what %s writes is read",
  (locale) => {
    const numberOf = reader(locale);
    for (const useGrouping of [true, false]) {
      const format = new Intl.NumberFormat(locale, { maximumFractionDigits: 10, useGrouping });
      const written = VALUES.map((value) => format.format(value));
      expect(written.map(numberOf)).toEqual(VALUES);
    }
  },
);

test("a locale's own reading comes before a program's, and what is neither is no number", () => {
  expect(["1.000", "1,5", "1.5", "1e3", ".5"].map(reader("de"))).toEqual([1000, 1.5, 1.5, 1000, 0.5]);
  expect(["1,000", "1.5", "1000"].map(reader("en"))).toEqual([1000, 1.5, 1000]);
  expect(["1 000,5", "1000.5"].map(reader("fr"))).toEqual([1000.5, 1000.5]);
  expect(["1'000.5"].map(reader("de-CH"))).toEqual([1000.5]);
  for (const locale of ["en", "de", "ar-EG"]) {
    for (const wrong of ["", " ", "x", "1,2,3", "1..2", "0x10", "Infinity", "NaN", "1 2", "--1", "1e", "½"]) {
      expect([locale, wrong, reader(locale)(wrong)]).toEqual([locale, wrong, NaN]);
    }
  }
});
