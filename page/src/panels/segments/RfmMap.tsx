/** Members by recency and frequency score. A cell filters the spread to its members, and so says the address. */

import * as format from "../../format";
import { address, go } from "../../route";
import type { Schemas } from "../../schemas";
import { cellName } from "../../segments";
import { may } from "../../session";
import { text } from "../../text";

type Cell = Schemas["RfmCell"];
const SCORES = [5, 4, 3, 2, 1];

export function RfmMap({ id, cells, chosen }: { id: string; cells: Cell[]; chosen: Cell | null }) {
  const most = Math.max(1, ...cells.map((cell) => cell.members));
  return (
    <>
      <table class="map">
        <caption class="unseen">{text.segments.map}</caption>
        <tbody>
          {SCORES.map((r) => (
            <tr key={r}>
              <th scope="row">{text.segments.recencyScore(r)}</th>
              {SCORES.toReversed().map((f) => {
                const cell = cells.find((each) => each.r_score === r && each.f_score === f);
                if (!cell) return <td key={f} />;
                // By the square root: one full cell would leave all others pale.
                const depth = Math.round(10 * Math.sqrt(cell.members / most));
                return (
                  <td key={f} class={`depth-${depth}`}>
                    <CellButton id={id} cell={cell} pressed={cell === chosen} />
                  </td>
                );
              })}
            </tr>
          ))}
          <tr>
            <td />
            {SCORES.toReversed().map((f) => (
              <th key={f} scope="col">
                {text.segments.frequencyScore(f)}
              </th>
            ))}
          </tr>
        </tbody>
      </table>
      <p class="small">{text.segments.mapSource}</p>
      {chosen && may("loyalty/segments") && (
        <p>
          <a href={address(["segments"], { define: "rfm_segment", rfm: chosen.segment })}>
            {text.segments.defineRfm(chosen.segment)}
          </a>
        </p>
      )}
    </>
  );
}

function CellButton({ id, cell, pressed }: { id: string; cell: Cell; pressed: boolean }) {
  return (
    <button
      type="button"
      aria-pressed={pressed}
      disabled={cell.members === 0}
      title={cell.segment}
      aria-label={text.segments.mapCell(cell.segment, cell.r_score, cell.f_score, cell.members)}
      onClick={() => go(address(["segments", id], { cell: pressed ? null : cellName(cell) }))}
    >
      {format.count(cell.members)}
    </button>
  );
}
