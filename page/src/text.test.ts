import { expect, test } from "vitest";
import { text } from "./text";

test.each(["constructor", "toString", "__proto__", "hasOwnProperty"])("there is no word for %s", (name) => {
  const dictionaries = [text.models, text.questions, text.status.words, text.status.notToldOf, text.status.mockModes];
  dictionaries.push(text.predict.types, text.segments.kinds, text.segments.causes, text.builder.operators);
  dictionaries.push(text.files.statuses, text.files.columns, text.features);
  expect(dictionaries.map((words) => words[name])).toEqual(dictionaries.map(() => undefined));
  expect(text.segments.reason(name)).toBe(name);
  expect(text.files.download(name)).toBe(`Download ${name}`);
  expect(text.report.nameOf(name).toLowerCase()).toContain(name.replaceAll("_", "").toLowerCase());
});
