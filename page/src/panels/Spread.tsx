/** The histogram of probabilities, and a slider: how many are chosen, and what becomes of them. */

import { useId, useState } from "preact/hooks";
import { may, predictSegment, putSegment } from "../api";
import * as format from "../format";
import { BANDS } from "../parts/risk";
import { Empty, Failed } from "../parts/states";
import type { ChurnQuality } from "../quality";
import { address, go } from "../route";
import { activeIn, type Bin, choose, idOf } from "../segments";
import { text } from "../text";

const MOST = 1000;

/** Where the slider begins: at the fewest members that are a fifth of the active. */
function likeliest(bins: Bin[]): number {
  const all = choose(bins, 0, null).members;
  const enough = bins.findLastIndex((_, place) => choose(bins, place, null).members >= all / 5);
  return Math.max(0, enough);
}

export function Spread({
  id,
  name,
  bins,
  quality,
}: {
  id: string;
  name: string;
  bins: Bin[];
  quality: ChurnQuality | null;
}) {
  const [from, setFrom] = useState(() => likeliest(bins));
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const slider = useId();
  const members = bins.reduce((sum, bin) => sum + activeIn(bin), 0);
  const lapsed = bins.reduce((sum, bin) => sum + (bin.by_risk["lapsed"] ?? 0), 0);
  const most = Math.max(1, ...bins.map(activeIn));
  const chosen = choose(bins, from, quality);
  if (members === 0) {
    return (
      <Empty title={text.segments.nobodyToLose}>
        <p>{lapsed > 0 ? text.segments.allLapsed(lapsed) : text.segments.noAverage}</p>
      </Empty>
    );
  }
  const make = async () => {
    setBusy(true);
    setError(null);
    try {
      const { results } = await predictSegment(id, "churn", { top: chosen.members });
      const made = idOf(`${id}-likeliest-${chosen.members}`);
      await putSegment(
        made,
        {
          segment_name: `${text.segments.made} ${name} (${format.share(from / bins.length)}+)`.slice(0, 200),
          customer_ids: results.map((result) => result.customer_id),
        },
        {},
      );
      go(address(["segments", made]));
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      <p class="small">
        {text.segments.spreadLead} {lapsed > 0 && text.segments.lapsedLeftOut(lapsed)}
      </p>
      <div class="histogram" aria-hidden="true">
        {bins.map((bin, place) => (
          <div
            key={place}
            class={place >= from ? "chosen" : ""}
            title={`${format.share(bin.begins)} – ${format.share(bin.ends)}: ${format.count(activeIn(bin))}`}
          >
            {BANDS.filter((band) => band !== "lapsed" && bin.by_risk[band]).map((band) => (
              <span key={band} class={band} style={{ height: `${(100 * (bin.by_risk[band] ?? 0)) / most}%` }} />
            ))}
          </div>
        ))}
      </div>
      <div class="axis" aria-hidden="true">
        {[0, 0.25, 0.5, 0.75, 1].map((tick) => (
          <span key={tick}>{format.share(tick)}</span>
        ))}
      </div>
      <label for={slider}>
        {text.segments.slider} {format.share(from / bins.length)}
      </label>
      <input
        id={slider}
        class="slider"
        type="range"
        min={0}
        max={bins.length - 1}
        value={from}
        aria-valuetext={format.share(from / bins.length)}
        onInput={(event) => setFrom(Number(event.currentTarget.value))}
      />
      <dl class="facts wide" aria-live="polite">
        <div>
          <dt>{text.segments.chosen}</dt>
          <dd class="figure">{text.segments.chosenOf(chosen.members, members)}</dd>
        </div>
        <div>
          <dt>{text.segments.willLeave}</dt>
          <dd>
            <span class="figure">{format.count(chosen.leave)}</span>
            <br />
            <span class="small">{text.segments.byProbabilities}</span>
          </dd>
        </div>
        <div>
          <dt>{text.segments.wouldStay}</dt>
          <dd>
            <span class="figure">{format.count(chosen.stay)}</span>
            <br />
            <span class="small">
              {chosen.leaveHeldOut === null ? text.segments.noHeldOut : text.segments.heldOut(chosen.leaveHeldOut)}
            </span>
          </dd>
        </div>
      </dl>
      {may("loyalty/segments") && (
        <div class="actions start">
          <button
            type="button"
            disabled={busy || chosen.members === 0 || chosen.members > MOST}
            onClick={() => void make()}
          >
            {text.segments.makeSegment(chosen.members)}
          </button>
          {chosen.members > MOST && <p class="small">{text.segments.tooManyToMake}</p>}
        </div>
      )}
      {error !== null && <Failed error={error} />}
    </>
  );
}
