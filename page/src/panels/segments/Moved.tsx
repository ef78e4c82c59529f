/** How a segment moved from snapshot to snapshot, and first of all why. */

import { useMemo } from "preact/hooks";
import * as format from "../../format";
import { lazy } from "../../parts/lazy";
import { Table } from "../../parts/table";
import type { Schemas } from "../../schemas";
import { text } from "../../text";

const Chart = lazy(() => import("../../parts/chart"), "chart");

type Stats = Schemas["SegmentStatsAnswer"];

const CAUSES = ["customers", "model", "definition", "inseparable", "total"] as const;

export function Moved({ stats }: { stats: Stats }) {
  const { history } = stats;
  const last = history.at(-1)?.change;
  const times = useMemo(() => history.map((entry) => Date.parse(entry.features_as_of) / 1000), [history]);
  const series = useMemo(
    () => [
      {
        label: text.segments.average,
        color: "--accent",
        values: history.map((entry) => entry.stats.churn.avg_probability),
      },
      {
        label: text.risk.high,
        color: "--high",
        values: history.map(({ stats: { churn } }) =>
          churn.high_percentage === null ? null : churn.high_percentage / 100,
        ),
      },
    ],
    [history],
  );
  const points = (value: number | null | undefined) =>
    value === null || value === undefined ? "–" : format.points(value);
  return (
    <section class="card">
      <h2>{text.segments.moved}</h2>
      {!last && history.length < 2 && <p>{text.segments.firstMeasured}</p>}
      {last && (
        <>
          <p class="small">{text.segments.movedLead}</p>
          <Table
            caption={text.segments.moved}
            rows={CAUSES.flatMap((cause) => {
              const moved = last[cause];
              return moved ? [{ cause, moved }] : [];
            })}
            rowKey={(row) => row.cause}
            columns={[
              { key: "cause", title: text.segments.cause, cell: (row) => text.segments.causes[row.cause] },
              {
                key: "members",
                title: text.segments.memberChange,
                numeric: true,
                cell: (row) => format.change(row.moved.member_count),
              },
              {
                key: "average",
                title: text.segments.averageChange,
                numeric: true,
                cell: (row) => points(row.moved.avg_probability === null ? null : 100 * row.moved.avg_probability),
              },
              {
                key: "high",
                title: text.segments.highChange,
                numeric: true,
                cell: (row) => points(row.moved.high_percentage),
              },
            ]}
          />
        </>
      )}
      {history.length > 1 && (
        <>
          <Chart times={times} series={series} />
          <ul class="legend">
            <li class="line accent">{text.segments.average}</li>
            <li class="line high">{text.segments.highShare}</li>
          </ul>
          <details>
            <summary>{text.segments.numbers}</summary>
            <Table
              caption={text.segments.numbers}
              rows={[...history].reverse()}
              rowKey={(row) => row.snapshot}
              columns={[
                { key: "as_of", title: text.segments.snapshot, cell: (row) => format.date(row.features_as_of) },
                {
                  key: "members",
                  title: text.segments.members,
                  numeric: true,
                  cell: (row) => format.count(row.member_count),
                },
                {
                  key: "average",
                  title: text.segments.average,
                  numeric: true,
                  cell: ({ stats: { churn } }) =>
                    churn.avg_probability === null ? "–" : format.probability(churn.avg_probability),
                },
              ]}
            />
          </details>
        </>
      )}
    </section>
  );
}
