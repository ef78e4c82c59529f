import { expect, test } from "vitest";
import { formatOf, formatOfFile, shareOf } from "./files";

test("a name says the format, in whatever case", () => {
  expect(
    ["a.csv", "B.CSV.GZ", "c.jsonl", "d.parquet", "a.tsv", "b.ndjson.gz", "c.json", "e.txt", "csv"].map(formatOf),
  ).toEqual(["csv", "csv.gz", "jsonl", "parquet", "csv", "jsonl.gz", "jsonl", null, null]);
});

test("how much is done is known by the input's share or by the total, or not at all", () => {
  expect(shareOf({ progress: { processed: 1, total: null, share: 0.5 } })).toBe(0.5);
  expect(shareOf({ progress: { processed: 1, total: 4 } })).toBe(0.25);
  expect(shareOf({ progress: { processed: 1, total: null } })).toBeNull();
});

test("what a name does not tell, the content does", async () => {
  const gzip = async (text: string) =>
    await new Response(new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"))).arrayBuffer();
  const of = (content: BlobPart, name = "part-0000") => formatOfFile(new File([content], name));
  expect(await of("customer_id\n1\n")).toBe("csv");
  expect(await of(' \n{"customer_id": "1"}', "export.txt")).toBe("jsonl");
  expect(await of("PAR1xx")).toBe("parquet");
  expect(await of(await gzip("customer_id\n1\n"), "000.gz")).toBe("csv.gz");
  expect(await of(await gzip('{"customer_id": "1"}'), "000.gz")).toBe("jsonl.gz");
  expect(await of("PK\x03\x04", "customers.xlsx")).toBeNull();
  expect(await of("{", "named.csv")).toBe("csv");
});
