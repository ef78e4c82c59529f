/** A series over time. The table beside it has the same numbers. */

import { useMemo } from "preact/hooks";
import type uPlot from "uplot";
import * as format from "../format";
import { aloneIn } from "../segments";
import { axisOf, usePlot } from "./plot";

export interface Series {
  label: string;
  values: (number | null)[];
  /** The name of a custom property of the styles. */
  color: string;
}

const HEIGHT = 220;
const FEW = 60;

export default function Chart({ times, series }: { times: number[]; series: Series[] }) {
  const data = useMemo(
    () => [times, ...series.map((each) => each.values)] as [number[], ...(number | null)[][]],
    [times, series],
  );
  const place = usePlot(
    (colorOf) => ({
      cursor: { drag: { x: false, y: false } },
      legend: { show: false },
      scales: { y: { range: (_, low, high) => [Math.min(0, low ?? 0), Math.max(high ?? 1, 0.01) * 1.1] } },
      axes: [
        {
          ...axisOf(colorOf),
          space: 96,
          values: (_, ticks) => ticks.map((tick) => format.date(new Date(tick * 1000).toISOString())),
        },
        { ...axisOf(colorOf), values: (_, ticks) => ticks.map((tick) => format.share(tick)), size: 56 },
      ],
      series: [
        {},
        ...series.map((each) => ({
          label: each.label,
          stroke: colorOf(each.color),
          width: 2,
          // Among many, only those that no line goes to.
          points: {
            show: times.length < FEW,
            filter: (plot: uPlot, place: number, show: boolean) =>
              show ? null : aloneIn([...(plot.data[place] ?? [])] as (number | null)[]),
          },
        })),
      ],
    }),
    data,
    HEIGHT,
    [series.length, times.length < FEW],
  );
  return <div ref={place} class="chart" aria-hidden="true" />;
}
