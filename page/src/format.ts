/** Numbers, shares and moments as the reader's own locale writes them. */

/** The first of the reader's languages that Intl knows; a browser may report one that is no language tag. */
export function usable(languages: readonly string[]): string {
  for (const language of languages) {
    try {
      return Intl.getCanonicalLocales(language)[0] ?? "en";
    } catch {
      // "en-US@posix", such as Chromium without a locale has it.
    }
  }
  return "en";
}

const locale = usable(globalThis.navigator?.languages ?? []);

const whole = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
const thousandths = new Intl.NumberFormat(locale, { minimumFractionDigits: 3, maximumFractionDigits: 3 });
const tenths = new Intl.NumberFormat(locale, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const money = new Intl.NumberFormat(locale, { maximumFractionDigits: 2 });
const percentage = new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 1 });
const probabilities = new Intl.NumberFormat(locale, {
  style: "percent",
  minimumFractionDigits: 1,
  maximumFractionDigits: 1,
});
const signed = new Intl.NumberFormat(locale, { signDisplay: "exceptZero", maximumFractionDigits: 0 });
const signedPoints = new Intl.NumberFormat(locale, {
  signDisplay: "exceptZero",
  minimumFractionDigits: 1,
  maximumFractionDigits: 1,
});
const day = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeZone: "UTC" });
const moment = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
const relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });

export const count = (value: number): string => whole.format(value);
/** A number that is compared with others below it. */
export const decimals = (value: number): string => thousandths.format(value);
export const amount = (value: number): string => money.format(value);
export const share = (value: number): string => percentage.format(value);
/** A share with one decimal always, so that those below each other are told apart and stand in line. */
export const probability = (value: number): string => probabilities.format(value);
export const change = (value: number): string => signed.format(value);
/** A change in percentage points. */
export const points = (value: number): string => signedPoints.format(value);

/** So many percentage points, without a sign. */
export const amountOfPoints = (value: number): string => tenths.format(value);

/** Reads numbers that people of a locale type: its digits and separators, or those of a program. NaN for no number. */
export function reader(of: string): (typed: string) => number {
  const parts = new Intl.NumberFormat(of, { useGrouping: true }).formatToParts(1234567.8);
  const find = (type: string) => parts.find((part) => part.type === type)?.value ?? "";
  const digits = new Intl.NumberFormat(of, { useGrouping: false }).format(9876543210);
  const escaped = (sign: string) => sign.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  // A keyboard has neither the thin blank nor the typographic apostrophe that a locale may have.
  const typedAs = (sign: string) => (/\s/u.test(sign) ? "\\s" : sign === "’" ? "['’]" : escaped(sign));
  const group = typedAs(find("group") || ",");
  const decimal = escaped(find("decimal") || ".");
  const local = new RegExp(`^([+-]?)(\\d+|\\d{1,3}(?:${group}\\d{2,3})*${group}\\d{3})(?:${decimal}(\\d+))?$`, "u");
  return (typed) => {
    const plain = [
      ...typed
        .replace(/[\u061c\u200e\u200f]/gu, "")
        .trim()
        .replace(/^−/u, "-"),
    ]
      .map((sign) => (digits.includes(sign) ? String(9 - digits.indexOf(sign)) : sign))
      .join("");
    const [, sign, whole = "", part = "0"] = local.exec(plain) ?? [];
    if (sign !== undefined) return Number(`${sign}${whole.replace(/\D/gu, "")}.${part}`);
    return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/iu.test(plain) ? Number(plain) : NaN;
  };
}

export const numberOf = reader(locale);
const decimalSign = new Intl.NumberFormat(locale).formatToParts(0.5).find(({ type }) => type === "decimal")?.value;
/** A number to be changed in a field: whole, and read back as it is. */
export const typed = (value: number): string => String(value).replace(".", decimalSign ?? ".");

const hundredths = new Intl.NumberFormat(locale, { useGrouping: false, maximumFractionDigits: 2 });
const threeDigits = new Intl.NumberFormat(locale, { useGrouping: false, maximumSignificantDigits: 3 });
/** A number in a field, as much of it as a person reads. */
export const field = (value: number): string => (Math.abs(value) < 1 ? threeDigits : hundredths).format(value);

/** A day; features are as of a moment in UTC. */
export const date = (rfc3339: string): string => day.format(new Date(rfc3339));
export const time = (rfc3339: string): string => moment.format(new Date(rfc3339));

/** Such as "3 days ago". */
export function ago(rfc3339: string, now = Date.now()): string {
  const seconds = (new Date(rfc3339).getTime() - now) / 1000;
  const steps: [Intl.RelativeTimeFormatUnit, number][] = [
    ["year", 31_557_600],
    ["month", 2_629_800],
    ["day", 86_400],
    ["hour", 3600],
    ["minute", 60],
  ];
  for (const [unit, length] of steps) {
    if (Math.abs(seconds) >= length) return relative.format(Math.trunc(seconds / length), unit);
  }
  return relative.format(0, "second");
}

const rules = new Intl.PluralRules("en");

/** English has two forms; a translation brings its own. */
export function plural(value: number, one: string, other: string): string {
  return `${count(value)} ${rules.select(value) === "one" ? one : other}`;
}
