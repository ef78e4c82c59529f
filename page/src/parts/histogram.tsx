/**
 * Members by probability, a bar for each bin in parts by risk band; those from `from` on are full, the others pale.
 * A click on a bar chooses its bin. It is hidden from readers: the slider and the table beside it say and do the same.
 */

import { useMemo, useRef } from "preact/hooks";
import uPlot from "uplot";
import * as format from "../format";
import type { Bin } from "../segments";
import { text } from "../text";
import { axisOf, usePlot } from "./plot";

const HEIGHT = 240;
/** From the top of a bar down: what is drawn later covers what is below it. */
const STACK = ["high", "medium", "low"] as const;
const NARROW = 480;

/** For each band the height of its part's top, first of the chosen bins, then of the others; null for no part. */
function heights(bins: Bin[], from: number): (number | null)[][] {
  const top = (bin: Bin, place: number) =>
    bin.by_risk[STACK[place] ?? ""]
      ? STACK.slice(place).reduce((sum, band) => sum + (bin.by_risk[band] ?? 0), 0)
      : null;
  const of = (chosen: boolean) =>
    STACK.map((_, place) => bins.map((bin, at) => (at >= from === chosen ? top(bin, place) : null)));
  return [...of(true), ...of(false)];
}

export default function Histogram({
  bins,
  from,
  onChoose,
}: {
  bins: Bin[];
  from: number;
  onChoose: (from: number) => void;
}) {
  const data = useMemo(
    () => [bins.map((bin) => bin.begins), ...heights(bins, from)] as [number[], ...(number | null)[][]],
    [bins, from],
  );
  const latest = useRef({ bins, onChoose });
  latest.current = { bins, onChoose };
  const place = usePlot(
    (colorOf) => {
      const paths = uPlot.paths.bars?.({ size: [1], align: 1, gap: 2 }) ?? (() => null);
      const bar = (property: string): uPlot.Series => ({
        fill: colorOf(property),
        width: 0,
        paths,
        points: { show: false },
      });
      return {
        cursor: { show: false },
        legend: { show: false },
        scales: {
          x: { time: false, range: [0, 1] },
          y: { range: (_, __, most) => [0, Math.max(1, most ?? 1) * 1.05] },
        },
        axes: [
          {
            ...axisOf(colorOf),
            label: text.predict.probability,
            splits: (plot) => (plot.width < NARROW ? [0, 0.5, 1] : [0, 0.25, 0.5, 0.75, 1]),
            values: (_, ticks) => ticks.map((tick) => format.share(tick)),
            grid: { show: false },
            size: 28,
          },
          {
            ...axisOf(colorOf),
            label: text.segments.members,
            incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 1e7],
            values: (_, ticks) => ticks.map((tick) => format.count(tick)),
            size: 64,
          },
        ],
        series: [{}, ...STACK.map((band) => bar(`--${band}`)), ...STACK.map((band) => bar(`--${band}-pale`))],
        hooks: {
          ready: [
            (plot) => {
              const binAt = (event: MouseEvent) => {
                const last = latest.current.bins.length - 1;
                const left = event.clientX - plot.over.getBoundingClientRect().left;
                return Math.min(last, Math.max(0, Math.floor((last + 1) * plot.posToVal(left, "x"))));
              };
              plot.over.addEventListener("click", (event) => latest.current.onChoose(binAt(event)));
              plot.over.addEventListener("mousemove", (event) => {
                const bin = latest.current.bins[binAt(event)];
                plot.over.title = bin ? text.segments.ofBin(bin) : "";
              });
            },
          ],
        },
      };
    },
    data,
    HEIGHT,
  );
  return <div ref={place} class="chart histogram" aria-hidden="true" />;
}
