/** The histogram of probabilities, and a slider: how many are chosen, and what becomes of them. */

import { useId, useState } from "preact/hooks";
import { ApiError, anywhere, putSegment } from "../../api";
import * as format from "../../format";
import { lazy } from "../../parts/lazy";
import { Empty, NotDone } from "../../parts/states";
import { Table } from "../../parts/table";
import type { ChurnQuality } from "../../quality";
import { address, go } from "../../route";
import type { Schemas } from "../../schemas";
import {
  activeIn,
  type Bin,
  binsOf,
  type Chosen,
  cellName,
  choose,
  type Definition,
  idFrom,
  inCell,
  likelyToLeave,
  MOST_IN_A_FILE,
  narrowed,
} from "../../segments";
import { may } from "../../session";
import { text } from "../../text";
import { ScoreAsFile } from "./ScoreAsFile";

const Histogram = lazy(() => import("../../parts/histogram"), "chart histogram");

const TRIES = 20;

/** Where the slider begins: at the fewest members that are a fifth of the active. */
function likeliest(bins: Bin[]): number {
  const all = choose(bins, 0, null).members;
  const enough = bins.findLastIndex((_, place) => choose(bins, place, null).members >= all / 5);
  return Math.max(0, enough);
}

interface Props {
  id: string;
  definition: Definition;
  /** Where the ids of its list are, if that is a long one. */
  listUrl: string | undefined;
  bins: Bin[];
  /** The cell of the RFM map whose members alone are looked at. */
  cell: Schemas["RfmCell"] | null;
  quality: ChurnQuality | null;
}

export function Spread(props: Props) {
  const { id, bins, cell } = props;
  return (
    <>
      <p class="small">{text.segments.spreadLead}</p>
      {cell && (
        <p class="only" role="status">
          {text.segments.onlyCell(cell.segment, cell.r_score, cell.f_score, cell.members)}{" "}
          <a href={address(["segments", id])}>{text.segments.showAll}</a>
        </p>
      )}
      <Choice key={cell ? cellName(cell) : ""} {...props} bins={cell ? binsOf(bins, cell.bins) : bins} />
    </>
  );
}

function Choice({ id, definition, listUrl, bins, cell, quality }: Props) {
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
      <HandOn
        id={id}
        definition={definition}
        listUrl={listUrl}
        cell={cell}
        least={bins[from]?.begins ?? 0}
        members={chosen.members}
      />
      {!cell && <LikeliestFile id={id} members={members} />}
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

/** A segment of exactly these, which goes on saying who they are when customers move; or, of a whole segment, a file. */
function HandOn({
  id,
  definition,
  listUrl,
  cell,
  least,
  members,
}: Pick<Props, "id" | "definition" | "listUrl" | "cell"> & { least: number; members: number }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const make = async () => {
    setBusy(true);
    setError(null);
    const name = text.segments.likeliestOf(definition.segment_name, format.share(least), cell);
    const conditions = [...(cell ? inCell(cell) : []), ...likelyToLeave(least)];
    const suffix = `${cell ? `-${cellName(cell)}` : ""}-from-${Math.round(100 * least)}`;
    try {
      const own = await anywhere(definition, listUrl);
      go(address(["segments", await makeNew(id, suffix, narrowed(own, name, conditions))]));
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      {may("loyalty/segments") && (
        <div class="actions start">
          <button type="button" disabled={busy || members === 0} onClick={() => void make()}>
            {text.segments.makeSegment(members)}
          </button>
        </div>
      )}
      {error !== null && <NotDone error={error} title={text.segments.notMade} />}
      {!cell && members > 0 && members <= MOST_IN_A_FILE && (
        <ScoreAsFile
          body={{ type: "churn", segment_id: id, top: members, format: "csv" }}
          label={text.segments.fileOf(members)}
        />
      )}
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
