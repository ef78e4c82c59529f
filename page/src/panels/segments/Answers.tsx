/** A segment's members by risk band, and those without an answer by why they have none. */

import * as format from "../../format";
import { BANDS, BandBar, Risk } from "../../parts/risk";
import { Table } from "../../parts/table";
import type { Schemas } from "../../schemas";
import { reasonsOf } from "../../segments";
import { text } from "../../text";

type Stats = Schemas["SegmentStatsAnswer"];

export function Bands({ stats }: { stats: Stats }) {
  const { churn } = stats.stats;
  const of = churn as unknown as Record<string, number | null | undefined>;
  const counts = BANDS.flatMap((band) => (typeof of[band] === "number" ? [{ band, count: of[band] }] : []));
  return (
    <section class="card">
      <h2>{text.segments.bands}</h2>
      <p class="small">{text.segments.bandsLead(churn.count)}</p>
      <BandBar counts={counts} />
      <dl class="facts wide">
        {counts.map(({ band, count }) => (
          <div key={band}>
            <dt>
              <Risk band={band} />
            </dt>
            <dd>
              {format.count(count)}
              {churn.count > 0 && <span class="small"> ({format.probability(count / churn.count)})</span>}
            </dd>
          </div>
        ))}
        <div>
          <dt>{text.segments.average}</dt>
          <dd>{churn.avg_probability === null ? "–" : format.probability(churn.avg_probability)}</dd>
        </div>
        {typeof of["avg_probability_active"] === "number" && (
          <div>
            <dt>{text.segments.averageActive}</dt>
            <dd>{format.probability(of["avg_probability_active"])}</dd>
          </div>
        )}
      </dl>
    </section>
  );
}

const TYPES = ["churn", "nbo", "rfm"] as const;

/** Those with an answer and those of each reason, which add up to all members. */
export function Missing({ stats }: { stats: Stats }) {
  const reasons = TYPES.map((type) => reasonsOf(stats.stats[type]));
  const codes = [...new Set(reasons.flatMap((of) => [...of.keys()]))];
  const rows = [
    { name: text.segments.answered, counts: TYPES.map((type) => stats.stats[type].count) },
    ...codes.map((code) => ({ name: text.segments.reason(code), counts: reasons.map((of) => of.get(code) ?? 0) })),
    { name: text.segments.sum, counts: TYPES.map((type) => stats.stats[type].count + stats.stats[type].failed) },
  ];
  return (
    <section class="card">
      <h2>{text.segments.missing}</h2>
      <p class="small">{text.segments.missingLead(stats.member_count)}</p>
      <Table
        caption={text.segments.missing}
        rows={rows}
        rowKey={(row) => row.name}
        sums
        columns={[
          { key: "reason", title: text.segments.members, cell: (row) => row.name },
          ...TYPES.map((type, place) => ({
            key: type,
            title: text.predict.types[type] ?? type,
            numeric: true,
            cell: (row: (typeof rows)[number]) => format.count(row.counts[place] ?? 0),
          })),
        ]}
      />
      {codes.length > 0 && <p class="small">{text.segments.missingWho}</p>}
    </section>
  );
}
