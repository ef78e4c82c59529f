/** uPlot in a place of the page: as wide as that, in the page's colours, drawn again when either changes. */

import "./language";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

/** What a custom property of the styles, such as "--high", comes to at the moment. */
export type ColorOf = (property: string) => string;
export type Options = Omit<uPlot.Options, "width" | "height">;

/**
 * Returns the element to draw in. `options` is asked again for each drawing from nothing; that happens when `over`
 * changes. Other data is drawn into the same axes.
 */
export function usePlot(
  options: (colorOf: ColorOf) => Options,
  data: uPlot.AlignedData,
  height: number,
  over: readonly unknown[] = [],
) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef({ options, data });
  latest.current = { options, data };
  useEffect(() => {
    const element = place.current;
    if (!element) return undefined;
    const draw = () => {
      plot.current?.destroy();
      const probe = document.createElement("span");
      element.append(probe);
      // A canvas knows no light-dark(): the browser is asked what it comes to.
      const colorOf: ColorOf = (property) => {
        probe.style.color = `var(${property})`;
        return getComputedStyle(probe).color;
      };
      const made = latest.current.options(colorOf);
      probe.remove();
      plot.current = new uPlot({ ...made, width: element.clientWidth, height }, latest.current.data, element);
    };
    draw();
    const watcher = new ResizeObserver(() => {
      if (plot.current?.width !== element.clientWidth) draw();
    });
    watcher.observe(element);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", draw);
    return () => {
      watcher.disconnect();
      scheme.removeEventListener("change", draw);
      plot.current?.destroy();
      plot.current = null;
    };
  }, over);
  useEffect(() => plot.current?.setData(data), [data]);
  return place;
}

/** How an axis looks. */
export function axisOf(colorOf: ColorOf): uPlot.Axis {
  const font = `12px ${getComputedStyle(document.body).fontFamily}`;
  return {
    stroke: colorOf("--ink-soft"),
    grid: { stroke: colorOf("--line"), width: 1 },
    ticks: { show: false },
    font,
    labelFont: font,
    labelSize: 20,
    labelGap: 4,
  };
}
