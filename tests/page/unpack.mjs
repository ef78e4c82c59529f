// Unpacks the Chromium of @sparticuz/chromium, with the libraries and fonts that a bare machine lacks, into FOLDER.
import { createReadStream, createWriteStream, chmodSync, mkdirSync } from "node:fs";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress } from "node:zlib";
import { fileURLToPath } from "node:url";
import { dirname, join } from "node:path";
import tar from "tar-fs";

const folder = process.argv[2];
const packed = join(dirname(fileURLToPath(import.meta.resolve("@sparticuz/chromium"))), "..", "bin");
mkdirSync(folder, { recursive: true });
const read = (name) => [createReadStream(join(packed, name)), createBrotliDecompress()];
await Promise.all([
  pipeline(...read("chromium.br"), createWriteStream(join(folder, "chromium"))),
  ...["al2023", "swiftshader", "fonts"].map((name) =>
    pipeline(...read(`${name}.tar.br`), tar.extract(name === "swiftshader" ? folder : join(folder, name))),
  ),
]);
chmodSync(join(folder, "chromium"), 0o755);
