/** Risk, with one palette everywhere; a band is never said by its colour alone. */

import { probability } from "../format";
import { text } from "../text";

export const BANDS = ["high", "medium", "low", "lapsed"] as const;
export type Band = (typeof BANDS)[number];

export function isBand(name: string): name is Band {
  return (BANDS as readonly string[]).includes(name);
}

export function Risk({ band }: { band: string }) {
  return (
    <span class={`band ${band}`}>
      <span class="dot" aria-hidden="true" />
      {isBand(band) ? text.riskShort[band] : band}
    </span>
  );
}

/** A probability as a bar of 0 to 100 %, with the number beside it. */
export function ProbabilityBar({ value, band, label }: { value: number; band?: string; label: string }) {
  return (
    <div class="probability">
      <div class={`bar ${band ?? "plain"}`} role="img" aria-label={`${label}: ${probability(value)}`}>
        <span style={{ width: `${Math.max(0.5, 100 * value)}%` }} />
      </div>
      <span class="value">{probability(value)}</span>
    </div>
  );
}

/** How many are in each band, as one bar in parts and a list. */
export function BandBar({ counts }: { counts: { band: Band; count: number }[] }) {
  const total = counts.reduce((sum, entry) => sum + entry.count, 0);
  const there = counts.filter((entry) => entry.count > 0);
  return (
    <div class="bands" aria-hidden="true">
      {there.map((entry) => (
        <span key={entry.band} class={entry.band} style={{ flexGrow: entry.count / (total || 1) }} />
      ))}
    </div>
  );
}
