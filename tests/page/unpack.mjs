// Unpacks the Chromium of @sparticuz/chromium, with the libraries and fonts that a bare machine lacks, into FOLDER.
import { createReadStream, createWriteStream, chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress } from "node:zlib";
import { fileURLToPath } from "node:url";
import { dirname, join, resolve } from "node:path";
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
// Its own names folders of Lambda.
const fonts = resolve(folder, "fonts");
writeFileSync(
  join(fonts, "fonts.conf"),
  `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>${fonts}/fonts</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir>${fonts}/cache</cachedir>
  <alias><family>system-ui</family><prefer><family>Open Sans</family></prefer></alias>
  <alias><family>sans-serif</family><prefer><family>Open Sans</family></prefer></alias>
</fontconfig>
`,
);
chmodSync(join(folder, "chromium"), 0o755);
