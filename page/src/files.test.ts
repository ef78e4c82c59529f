import { expect, test } from "vitest";
import { formatOf, formatOfFile, shareOf } from "./files";

test("a name says the format, in whatever case", () => {
  expect(
    [
      "a.csv",
      "B.CSV.GZ",
      "c.jsonl",
      "d.parquet",
      "a.tsv",
      "b.ndjson.gz",
      "c.json",
      "e.txt",
      "csv",
      "a.CSV.zst",
      "b.json.zst",
    ].map(formatOf),
  ).toEqual(["csv", "csv.gz", "jsonl", "parquet", "csv", "jsonl.gz", "jsonl", null, null, "csv.zst", "jsonl.zst"]);
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
  const bytes = (base64: string) => Uint8Array.from(atob(base64), (each) => each.charCodeAt(0));
  const zstd = {
    csv: bytes("KLUv/SAOcQAAY3VzdG9tZXJfaWQKMQo="),
    jsonl: bytes("KLUv/SAVqQAAeyJjdXN0b21lcl9pZCI6ICIxIn0K"),
    manyLines: bytes(
      "KLUv/aCgaAYA7AAAqHsiY3VzdG9tZXJfaWQiOiAiMSJ9CgEA0f8xn0xMAAAIaQEA/P85EAJMAAAIIgEA/P85EAJFAAAIZAEAnOgOhA==",
    ),
    parquet: bytes("KLUv/SAGMQAAUEFSMXh4"),
    skipped: bytes("WipNGAIAAAAJCQ=="),
  };
  expect(await of(zstd.csv, "000.zst")).toBe("csv.zst");
  expect(await of(zstd.jsonl, "000.zst")).toBe("jsonl.zst");
  expect(await of(zstd.manyLines)).toBe("jsonl.zst");
  expect(await of(zstd.manyLines.slice(0, -10))).toBe("jsonl.zst");
  expect(await formatOfFile(new File([zstd.skipped, zstd.jsonl], "export"))).toBe("jsonl.zst");
  expect(await of(zstd.parquet)).toBeNull();
  expect(await of("PK\x03\x04", "customers.xlsx")).toBeNull();
  expect(await of("{", "named.csv")).toBe("csv");
});
