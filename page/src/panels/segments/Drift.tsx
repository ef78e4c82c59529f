/** Whether the customers are still those that the models learnt from, in words. */

import * as format from "../../format";
import { Table } from "../../parts/table";
import type { Schemas } from "../../schemas";
import { driftOf } from "../../segments";
import { type DriftWord, text } from "../../text";

type Stats = Schemas["SegmentStatsAnswer"];

/** How many are shown at first, those that moved most. */
const FIRST = 6;

type DriftRow = Schemas["Drift"] & { model: string; feature: string | null; word: DriftWord };

const TONES: Record<DriftWord, string> = {
  alarm: "danger",
  unknown: "warning",
  unweighted: "",
  luck: "",
  too_few: "",
  stable: "good",
};

export function Drift({ drift }: { drift: Stats["drift"]["all_customers"] }) {
  const rows: DriftRow[] = Object.entries(drift).flatMap(([model, found]) => [
    { model, feature: null, ...found.score, word: driftOf(found.score) },
    ...Object.entries(found.features).map(([feature, each]) => ({ model, feature, ...each, word: driftOf(each) })),
  ]);
  const words = Object.keys(TONES);
  rows.sort((a, b) => words.indexOf(a.word) - words.indexOf(b.word) || (b.psi ?? -1) - (a.psi ?? -1));
  const numberOf = (word: DriftWord) => rows.filter((row) => row.word === word).length;
  return (
    <section class="card">
      <h2>{text.segments.drift}</h2>
      {rows.length === 0 && <p>{text.segments.noDrift}</p>}
      {rows.length > 0 && (
        <>
          <p>{text.segments.driftSummary(numberOf("alarm"), numberOf("unknown"), rows.length)}</p>
          <DriftTable rows={rows.slice(0, FIRST)} />
          {rows.length > FIRST && (
            <details>
              <summary>{text.segments.driftRest(rows.length - FIRST)}</summary>
              <DriftTable rows={rows.slice(FIRST)} />
            </details>
          )}
          <p class="small">{text.segments.driftLead}</p>
        </>
      )}
    </section>
  );
}

const figure = (value: number | null): string => (value === null ? "–" : format.decimals(value));

function DriftTable({ rows }: { rows: DriftRow[] }) {
  return (
    <Table
      caption={text.segments.drift}
      rows={rows}
      rowKey={(row) => `${row.model} ${row.feature}`}
      columns={[
        {
          key: "feature",
          title: text.segments.feature,
          by: (row) => row.feature,
          cell: (row) => row.feature ?? text.segments.score,
        },
        {
          key: "word",
          title: text.segments.drifted,
          cell: (row) => (
            <span class={`mark ${TONES[row.word]}`}>{text.segments.driftWord(row.word, row.feature === null)}</span>
          ),
        },
        {
          key: "model",
          title: text.segments.model,
          by: (row) => row.model,
          cell: (row) => text.models[row.model] ?? row.model,
        },
        {
          key: "psi",
          title: text.segments.psi,
          numeric: true,
          by: (row) => row.psi,
          cell: (row) => figure(row.psi),
        },
        {
          key: "weight",
          title: text.segments.weight,
          numeric: true,
          by: (row) => row.weight,
          cell: (row) => figure(row.weight),
        },
        {
          key: "luck",
          title: text.segments.byLuck,
          numeric: true,
          by: (row) => row.p_value,
          cell: (row) => (row.p_value === null ? "–" : text.segments.odds(row.p_value)),
        },
      ]}
    />
  );
}
