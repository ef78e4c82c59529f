/** A table that scrolls within itself, sorts by its headers, and says what it is. */

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

export interface Column<Row> {
  key: string;
  title: string;
  cell: (row: Row) => ComponentChildren;
  /** What the column sorts by; without it, it does not sort. */
  by?: (row: Row) => number | string | null;
  numeric?: boolean;
}

export function Table<Row>({
  caption,
  columns,
  rows,
  rowKey,
  sorted,
  sums = false,
}: {
  caption: string;
  columns: Column<Row>[];
  rows: Row[];
  rowKey: (row: Row) => string;
  sorted?: { key: string; down: boolean };
  /** Whether the last row has the sums of the others. */
  sums?: boolean;
}) {
  const [order, setOrder] = useState(sorted ?? null);
  const by = order && columns.find((column) => column.key === order.key)?.by;
  const shown = by && order ? [...rows].sort((a, b) => compare(by(a), by(b)) * (order.down ? -1 : 1)) : rows;
  const [frame, region] = useMore();
  return (
    <div class="frame" ref={frame}>
      <div class="table" ref={region} tabIndex={0} role="region" aria-label={caption}>
        <table class={sums ? "sums" : undefined}>
          <caption class="unseen">{caption}</caption>
          <thead>
            <tr>
              {columns.map((column) => {
                const direction = order?.key === column.key ? (order.down ? "descending" : "ascending") : undefined;
                return (
                  <th
                    key={column.key}
                    scope="col"
                    class={column.numeric ? "number" : undefined}
                    {...(direction ? { "aria-sort": direction } : {})}
                  >
                    {column.by ? (
                      <button
                        type="button"
                        class="sort"
                        onClick={() => setOrder({ key: column.key, down: order?.key === column.key && !order.down })}
                      >
                        {column.title}
                        <span aria-hidden="true">{direction ? (order?.down ? " ↓" : " ↑") : ""}</span>
                      </button>
                    ) : (
                      column.title
                    )}
                  </th>
                );
              })}
            </tr>
          </thead>
          <tbody>
            {shown.map((row) => (
              <tr key={rowKey(row)}>
                {columns.map((column) => (
                  <td key={column.key} class={column.numeric ? "number" : undefined}>
                    {column.cell(row)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </div>
  );
}

/** Says of a region, in data-more of its frame, whether there is more of it at its end than is shown. */
function useMore() {
  const frame = useRef<HTMLDivElement>(null);
  const region = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const [around, within] = [frame.current, region.current];
    if (!around || !within) return undefined;
    const look = () => {
      // An attribute and no state: a scroll draws nothing again.
      around.toggleAttribute("data-more", within.scrollLeft + within.clientWidth < within.scrollWidth - 1);
    };
    const watcher = new ResizeObserver(look);
    watcher.observe(within);
    if (within.firstElementChild) watcher.observe(within.firstElementChild);
    within.addEventListener("scroll", look, { passive: true });
    return () => {
      watcher.disconnect();
      within.removeEventListener("scroll", look);
    };
  }, []);
  return [frame, region] as const;
}

function compare(a: number | string | null, b: number | string | null): number {
  if (a === b) return 0;
  if (a === null) return -1;
  if (b === null) return 1;
  return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
}
