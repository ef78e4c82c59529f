/** What drives the scores of a segment's members: how far each feature moves them, up or down, on average. */

import * as format from "../../format";
import { TYPES } from "../../predictions";
import type { PredictionType, Schemas } from "../../schemas";
import { text } from "../../text";

type Stats = Schemas["SegmentStatsAnswer"];
type OfType = Schemas["Drivers"];

/** How many are shown at first. */
const FIRST = 6;

export function Drivers({ stats }: { stats: Stats }) {
  return (
    <section class="card">
      <h2>{text.segments.drivers}</h2>
      <p class="small">{text.segments.driversLead}</p>
      <div class="cards">
        {TYPES.map((type) => (
          <div key={type} class="best">
            <h3>{text.segments.driversOf[type]}</h3>
            <OfOne
              type={type}
              found={stats.drivers[type]}
              isMock={stats.models[type]?.version === "mock"}
              answered={stats.stats[type].count}
            />
          </div>
        ))}
      </div>
    </section>
  );
}

function OfOne({
  type,
  found,
  isMock,
  answered,
}: {
  type: PredictionType;
  found: OfType | undefined;
  isMock: boolean;
  answered: number;
}) {
  if (!found || found.features.length === 0) {
    return <p>{text.segments.noDrivers(isMock, found !== undefined)}</p>;
  }
  return (
    <>
      <Bars type={type} features={found.features.slice(0, FIRST)} of={found.features} />
      {found.features.length > FIRST && (
        <details>
          <summary>{text.whatIf.more(found.features.length - FIRST)}</summary>
          <Bars type={type} features={found.features.slice(FIRST)} of={found.features} />
        </details>
      )}
      <p class="small">{text.segments.driversFrom(found.customers, answered, type === "churn")}</p>
    </>
  );
}

function Bars({ type, features, of }: { type: PredictionType; features: OfType["features"]; of: OfType["features"] }) {
  const most = Math.max(...of.map((each) => each.mean_absolute_contribution), Number.MIN_VALUE);
  const points = (mean: number) => format.amountOfPoints(type === "rfm" ? mean : 100 * mean);
  return (
    <ol class="distribution drivers">
      {features.map(({ feature, group, mean_absolute_contribution: mean }) => (
        <li key={feature ?? group}>
          <span>
            <bdi>{group ?? text.features[feature ?? ""] ?? feature}</bdi>
          </span>
          <span class="bar plain" aria-hidden="true">
            <span style={{ width: `${(100 * mean) / most}%` }} />
          </span>
          <span class="number">
            {points(mean)}
            <span class="unseen"> {text.why.unit}</span>
          </span>
        </li>
      ))}
    </ol>
  );
}
