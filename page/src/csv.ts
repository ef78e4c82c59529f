/** CSV as RFC 4180 has it, and made safe for spreadsheets. */

type Cell = string | number | boolean | null | undefined;

export function toCsv(header: string[], rows: Cell[][]): string {
  return [header, ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

function cell(value: Cell): string {
  if (value === null || value === undefined) return "";
  const written = String(value);
  // A spreadsheet runs a text that begins so as a formula (OWASP, CSV injection). A number is one for it too, and stays.
  const isNumber = typeof value !== "string" || /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/iu.test(value);
  const safe = !isNumber && /^[=+\-@\t\r]/u.test(written) ? `'${written}` : written;
  return /[",\r\n]/u.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
}

/** The rows of a CSV text; a last line that is cut off is left out where `whole` is false. */
export function fromCsv(text: string, whole = true): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let field = "";
  let quoted = false;
  for (let place = 0; place < text.length; place++) {
    const character = text[place];
    if (quoted) {
      if (character !== '"') field += character;
      else if (text[place + 1] === '"') {
        field += '"';
        place++;
      } else quoted = false;
    } else if (character === '"') quoted = true;
    else if (character === ",") {
      row.push(field);
      field = "";
    } else if (character === "\n") {
      rows.push([...row, field.replace(/\r$/u, "")]);
      row = [];
      field = "";
    } else field += character;
  }
  if (whole && (field || row.length)) rows.push([...row, field]);
  return rows;
}

/** Before CSV: without it, Excel reads UTF-8 as the encoding of the country. */
const BYTE_ORDER_MARK = "\uFEFF";

/** Has the browser save a table as a CSV file that opens in a spreadsheet as it is. */
export function saveCsv(name: string, content: string): void {
  save(name, BYTE_ORDER_MARK + content, "text/csv");
}

/** Has the browser save text as a file. */
export function save(name: string, content: string, type: string): void {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
