/** The histogram of probabilities, and a slider: how many are chosen, and what becomes of them. */

import { useId, useState } from "preact/hooks";
import { ApiError, may, predictSegment, putSegment, type Schemas } from "../../api";
import * as format from "../../format";
import { lazy } from "../../parts/lazy";
import { Empty, NotDone } from "../../parts/states";
import { Table } from "../../parts/table";
import type { ChurnQuality } from "../../quality";
import { address, go } from "../../route";
import {
  activeIn,
  type Bin,
  binsOf,
  type Chosen,
  choose,
  type Definition,
  idFrom,
  MOST_IN_A_FILE,
} from "../../segments";
import { text } from "../../text";
import { ScoreAsFile } from "./ScoreAsFile";

const Histogram = lazy(() => import("../../parts/histogram"), "chart histogram");

/** The most members that a list made here has; the API gives so many at once. */
const MOST = 1000;
const TRIES = 20;

/** Where the slider begins: at the fewest members that are a fifth of the active. */
function likeliest(bins: Bin[]): number {
  const all = choose(bins, 0, null).members;
  const enough = bins.findLastIndex((_, place) => choose(bins, place, null).members >= all / 5);
  return Math.max(0, enough);
}

interface Props {
  id: string;
  name: string;
  bins: Bin[];
  /** The cell of the RFM map whose members alone are looked at. */
  cell: Schemas["RfmCell"] | null;
  quality: ChurnQuality | null;
}

export function Spread({ id, name, bins, cell, quality }: Props) {
  const shown = cell ? binsOf(bins, cell.bins) : bins;
  return (
    <>
      <p class="small">{text.segments.spreadLead}</p>
      {cell && (
        <p class="only" role="status">
          {text.segments.onlyCell(cell.segment, cell.r_score, cell.f_score, cell.members)}{" "}
          <a href={address(["segments", id])}>{text.segments.showAll}</a>
        </p>
      )}
      <Choice
        key={cell ? `${cell.r_score} ${cell.f_score}` : ""}
        id={id}
        name={name}
        bins={shown}
        whole={cell === null}
        quality={quality}
      />
    </>
  );
}

function Choice({ id, name, bins, whole, quality }: Omit<Props, "cell"> & { whole: boolean }) {
  const [from, setFrom] = useState(() => likeliest(bins));
  const slider = useId();
  const members = bins.reduce((sum, bin) => sum + activeIn(bin), 0);
  const lapsed = bins.reduce((sum, bin) => sum + (bin.by_risk["lapsed"] ?? 0), 0);
  if (members === 0) {
    return (
      <Empty title={text.segments.nobodyToLose}>
        <p>{lapsed > 0 ? text.segments.allLapsed(lapsed) : text.segments.noAverage}</p>
      </Empty>
    );
  }
  const chosen = choose(bins, from, quality);
  const least = format.share(from / bins.length);
  return (
    <>
      <Histogram bins={bins} from={from} onChoose={setFrom} />
      <div class="field">
        <label for={slider}>
          {text.segments.slider} {least}
        </label>
        <input
          id={slider}
          class="slider"
          type="range"
          min={0}
          max={bins.length - 1}
          value={from}
          aria-valuetext={least}
          onInput={(event) => setFrom(Number(event.currentTarget.value))}
        />
      </div>
      <Outcomes chosen={chosen} members={members} />
      {lapsed > 0 && <p class="small">{text.segments.lapsedLeftOut(lapsed)}</p>}
      {whole ? (
        <>
          <HandOn id={id} name={name} chosen={chosen} least={least} />
          <LikeliestFile id={id} members={members} />
        </>
      ) : (
        <p class="small">{text.segments.onlyOfAll}</p>
      )}
      <Numbers bins={bins} />
    </>
  );
}

function Outcomes({ chosen, members }: { chosen: Chosen; members: number }) {
  const { heldOut } = chosen;
  return (
    <dl class="facts wide" aria-live="polite">
      <div>
        <dt>{text.segments.chosen}</dt>
        <dd class="figure">{format.count(chosen.members)}</dd>
        <dd class="small">{text.segments.ofActive(members)}</dd>
      </div>
      {(["leave", "stay"] as const).map((outcome) => (
        <div key={outcome}>
          <dt>{text.segments.outcomes[outcome]}</dt>
          <dd class="figure">{text.segments.expected(chosen[outcome])}</dd>
          <dd class="small">{text.segments.byProbabilities}</dd>
          {heldOut && <dd class="figure">{text.segments.heldOut(heldOut[outcome])}</dd>}
          <dd class="small">{heldOut ? text.segments.byHeldOut : text.segments.noHeldOut}</dd>
        </div>
      ))}
    </dl>
  );
}

/** Stores a segment under an id that nobody has yet, and returns it: none that is there is replaced. */
async function makeNew(id: string, suffix: string, definition: Definition): Promise<string> {
  for (let time = 1; ; time++) {
    const made = idFrom(id, time === 1 ? suffix : `${suffix}-${time}`);
    try {
      await putSegment(made, definition, { "If-None-Match": "*" });
      return made;
    } catch (error) {
      const isThere = error instanceof ApiError && error.code === "VERSION_CONFLICT";
      if (!isThere || time === TRIES) throw error;
    }
  }
}

/** A segment of exactly these; or, of more than a list takes, a file of them. */
function HandOn({ id, name, chosen, least }: { id: string; name: string; chosen: Chosen; least: string }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  if (chosen.members > MOST) {
    return (
      <ScoreAsFile
        body={{ type: "churn", segment_id: id, top: chosen.members, format: "csv" }}
        label={text.segments.fileOf(chosen.members)}
        hint={text.segments.tooManyToMake(MOST)}
      />
    );
  }
  if (!may("loyalty/segments") || !may("loyalty/predict")) return null;
  const make = async () => {
    setBusy(true);
    setError(null);
    try {
      const { results } = await predictSegment(id, "churn", { top: chosen.members });
      const made = await makeNew(id, `-likeliest-${chosen.members}`, {
        segment_name: text.segments.likeliestOf(name, least),
        customer_ids: results.map((result) => result.customer_id),
      });
      go(address(["segments", made]));
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      <div class="actions start">
        <button type="button" disabled={busy || chosen.members === 0} onClick={() => void make()}>
          {text.segments.makeSegment(chosen.members)}
        </button>
      </div>
      {error !== null && <NotDone error={error} title={text.segments.notMade} />}
    </>
  );
}

/** As many of the likeliest as one can write to: the slider's steps can be coarser than that. */
function LikeliestFile({ id, members }: { id: string; members: number }) {
  const [typed, setTyped] = useState(String(Math.min(100, members)));
  const field = useId();
  const top = format.numberOf(typed);
  const most = Math.min(members, MOST_IN_A_FILE);
  const usable = Number.isInteger(top) && top >= 1 && top <= most;
  if (!may("loyalty/predict")) return null;
  return (
    <div class="best">
      <label for={field}>{text.segments.likeliestHowMany}</label>
      <input
        id={field}
        inputMode="numeric"
        value={typed}
        aria-invalid={!usable}
        aria-describedby={`${field}-wrong`}
        onInput={(event) => setTyped(event.currentTarget.value)}
      />
      <p id={`${field}-wrong`} class="problem">
        {!usable && text.segments.likeliestWrong(most)}
      </p>
      <ScoreAsFile
        body={{ type: "churn", segment_id: id, top, format: "csv" }}
        label={text.segments.likeliestFile(usable ? top : 0)}
        hint={text.segments.likeliestHint}
        disabled={!usable}
      />
    </div>
  );
}

function Numbers({ bins }: { bins: Bin[] }) {
  const bands = ["high", "medium", "low"] as const;
  return (
    <details>
      <summary>{text.segments.numbers}</summary>
      <Table
        caption={text.segments.spread}
        rows={bins}
        rowKey={(bin) => String(bin.begins)}
        columns={[
          {
            key: "bin",
            title: text.predict.probability,
            cell: (bin) => text.segments.binRange(bin.begins, bin.ends),
          },
          ...bands.map((band) => ({
            key: band,
            title: text.risk[band],
            numeric: true,
            cell: (bin: Bin) => format.count(bin.by_risk[band] ?? 0),
          })),
          {
            key: "expected",
            title: text.segments.outcomes.leave,
            numeric: true,
            cell: (bin) => format.amount(bin.expected),
          },
        ]}
      />
    </details>
  );
}
