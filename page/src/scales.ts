/** The values of a what-if slider, and what a feature is called beside it. */

import type { Schemas } from "./schemas";

type Card = Schemas["ModelCardAnswer"];

/** What a card says of a feature; a feature can be called "constructor". */
function of<T>(record: Record<string, T> | null | undefined, feature: string): T | undefined {
  return record && Object.hasOwn(record, feature) ? record[feature] : undefined;
}

/** The values that a feature may have; without bounds where nobody knows. */
export interface Limits {
  least: number;
  most: number;
  /** Whether `least` and `most` themselves are left out. */
  isAbove: boolean;
  isBelow: boolean;
  whole: boolean;
}

const UNKNOWN: Limits = { least: -Infinity, most: Infinity, isAbove: false, isBelow: false, whole: false };

/** The limits of a feature in each of these cards that reads it: a value must be within all of them. */
export function limitsOf(feature: string, cards: Card[]): Limits {
  return cards.reduce((found, { domains }) => {
    const domain = of(domains, feature);
    if (!domain) return found;
    const bound = (name: string) => (typeof domain[name] === "number" ? domain[name] : null);
    const [least, most] = [bound("least") ?? bound("above"), bound("most") ?? bound("below")];
    const lower = least !== null && least >= found.least;
    const upper = most !== null && most <= found.most;
    return {
      least: lower ? least : found.least,
      isAbove: lower ? bound("least") === null || found.isAbove : found.isAbove,
      most: upper ? most : found.most,
      isBelow: upper ? bound("most") === null || found.isBelow : found.isBelow,
      whole: found.whole || domain["whole"] === true,
    };
  }, UNKNOWN);
}

export function isWithin(value: number, { least, most, isAbove, isBelow, whole }: Limits): boolean {
  const low = isAbove ? value > least : value >= least;
  const high = isBelow ? value < most : value <= most;
  return Number.isFinite(value) && low && high && (!whole || Number.isInteger(value));
}

/** What is known of a feature's values. */
export interface Known {
  own: number;
  typical: number | undefined;
  /** Two values between which most customers are. */
  usual: readonly [number, number] | undefined;
  /** A value that the slider goes as far as, though nobody else has such a one. */
  beyond?: number;
  limits: Limits;
}

export const MOST_STEPS = 120;
/** How far beyond what is usual a slider goes; what is farther can be typed. */
const BEYOND = 2;
/** From here on the upper half of a straight slider would be for a few customers. */
const HEAVY_TAILED = 8;

/**
 * The values that a slider goes through, ascending, at most MOST_STEPS and a few: the customer's own is one of them. A
 * range with a long tail is in steps that grow with the value; counts are in whole steps.
 */
export function sliderValues({ own, typical, usual, beyond = own, limits }: Known): number[] {
  const seen = [own, ...(typical === undefined ? [] : [typical]), ...(usual ?? [])];
  // Nobody knows whether a feature without limits is a count: it is taken for one if all that is known is whole.
  const whole = limits.whole || (limits.least === -Infinity && usual === undefined && seen.every(Number.isInteger));
  const width = (end: number) => (Number.isFinite(end) ? end : 0);
  const small = isSmall(limits);
  const least = small ? limits.least : Math.max(limits.least, Math.min(0, BEYOND * Math.min(...seen)));
  const most = small ? limits.most : Math.min(limits.most, BEYOND * Math.max(...seen, 0.5));
  const middle = Math.max(Math.abs(typical ?? own), Math.abs(width(most)) / 2000) || 1;
  const heavy = Math.max(most, beyond) > HEAVY_TAILED * middle;
  const [bend, straighten]: [(value: number) => number, (value: number) => number] = heavy
    ? [(value) => Math.asinh(value / middle), (place) => middle * Math.sinh(place)]
    : [(value) => value, (place) => place];
  const [low, high] = [Math.min(least, beyond), Math.max(most, beyond)];
  const [first, last] = [bend(low), bend(high)];
  const steps = whole && !heavy ? Math.min(MOST_STEPS, Math.max(1, high - low)) : MOST_STEPS;
  const values = new Set<number>([low, high, beyond, ...seen]);
  for (let step = 0; step <= steps; step++) {
    const value = straighten(first + ((last - first) * step) / steps);
    values.add(whole ? Math.round(value) : twoDigits(value, (high - low) / MOST_STEPS));
  }
  return [...values].filter((value) => isWithin(value, { ...limits, whole })).sort((a, b) => a - b);
}

/** Of a share, a score of 0 to 100, or yes and no, the slider has all. */
const isSmall = ({ least, most }: Limits): boolean =>
  Number.isFinite(least) && Number.isFinite(most) && most - least <= 1000;

/** Rounded to what one can tell apart on a slider: two digits, or the digits of its finest step near zero. */
function twoDigits(value: number, finest: number): number {
  if (value === 0) return 0;
  const digit = 10 ** (Math.floor(Math.log10(Math.max(Math.abs(value), finest / 10))) - 1);
  // Divided by a power of ten rather than multiplied by a part of one, so that 0.3 is 0.3.
  return digit < 1 ? Math.round(value / digit) / Math.round(1 / digit) : Math.round(value / digit) * digit;
}

/** The place of the value that is the nearest. */
export function placeOf(value: number, values: number[]): number {
  return values.reduce(
    (best, each, place) => (Math.abs(each - value) < Math.abs((values[best] ?? Infinity) - value) ? place : best),
    0,
  );
}

/** What stands before a value and after it: "no purchase for" and "days". */
export interface Words {
  before: string;
  after: string;
}

const VALUE = "{value}";
/** A noun of 1 and of more. */
const FORMS = /\{([^{}|]*)\|([^{}|]*)\}/g;

/** The words that reasons say of a feature with this value; else what it is, behind the value; else its name. */
export function wordsFor(feature: string, value: number | null, cards: Card[], meaning: string | undefined): Words {
  for (const { baseline } of cards) {
    const said = of(baseline?.["words"] as Record<string, unknown>, feature);
    if (typeof said !== "string" || !said.includes(VALUE)) continue;
    const [before = "", after = ""] = said.replace(FORMS, value === 1 ? "$1" : "$2").split(VALUE);
    return { before: before.trim(), after: after.trim() };
  }
  return meaning ? { before: "", after: meaning } : { before: feature, after: "" };
}

/** A feature's value in the baseline of a card. */
export function typicalOf(feature: string, cards: Card[]): number | undefined {
  for (const { baseline } of cards) {
    const value = of(baseline?.["values"] as Record<string, unknown>, feature);
    if (typeof value === "number") return value;
  }
  return undefined;
}

export function usualOf(feature: string, cards: Card[]): [number, number] | undefined {
  for (const { usual_ranges } of cards) {
    const [least, most] = of(usual_ranges, feature) ?? [];
    if (typeof least === "number" && typeof most === "number") return [least, most];
  }
  return undefined;
}
