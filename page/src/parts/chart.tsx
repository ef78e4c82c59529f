/** A series over time. The table beside it has the same numbers. */

import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import * as format from "../format";

export interface Series {
  label: string;
  values: (number | null)[];
  /** The name of a custom property of styles.css. */
  color: string;
}

const HEIGHT = 220;

export default function Chart({ times, series }: { times: number[]; series: Series[] }) {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const element = place.current;
    if (!element) return;
    const style = getComputedStyle(element);
    const color = (name: string) => style.getPropertyValue(name).trim();
    const draw = () => {
      element.replaceChildren();
      const probe = document.createElement("span");
      element.append(probe);
      // A canvas knows no light-dark(): the browser is asked what it comes to.
      const resolved = (name: string) => {
        probe.style.color = color(name);
        return getComputedStyle(probe).color;
      };
      const axis = {
        stroke: resolved("--ink-soft"),
        grid: { stroke: resolved("--line"), width: 1 },
        ticks: { show: false },
      };
      const made = new uPlot(
        {
          width: element.clientWidth,
          height: HEIGHT,
          cursor: { drag: { x: false, y: false } },
          legend: { show: false },
          scales: { y: { range: (_, low, high) => [Math.min(0, low ?? 0), Math.max(high ?? 1, 0.01) * 1.1] } },
          axes: [
            { ...axis, values: (_, ticks) => ticks.map((tick) => format.date(new Date(tick * 1000).toISOString())) },
            { ...axis, values: (_, ticks) => ticks.map((tick) => format.share(tick)), size: 56 },
          ],
          series: [
            {},
            ...series.map((each) => ({
              label: each.label,
              stroke: resolved(each.color),
              width: 2,
              points: { show: times.length < 60 },
            })),
          ],
        },
        [times, ...series.map((each) => each.values)],
        element,
      );
      probe.remove();
      return made;
    };
    let shown = draw();
    const redraw = () => {
      shown.destroy();
      shown = draw();
    };
    const watcher = new ResizeObserver(() => shown.width !== element.clientWidth && redraw());
    watcher.observe(element);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", redraw);
    return () => {
      watcher.disconnect();
      scheme.removeEventListener("change", redraw);
      shown.destroy();
    };
  }, [times, series]);
  return <div ref={place} class="chart" aria-hidden="true" />;
}
