/** Members by recency and frequency score; a cell leads to a segment of its name. */

import type { Schemas } from "../api";
import * as format from "../format";
import { address } from "../route";
import { text } from "../text";

const SCORES = [5, 4, 3, 2, 1];

export function RfmMap({ cells }: { cells: Schemas["RfmCell"][] }) {
  const most = Math.max(1, ...cells.map((cell) => cell.members));
  return (
    <table class="map">
      <caption class="unseen">{text.segments.map}</caption>
      <tbody>
        {SCORES.map((r) => (
          <tr key={r}>
            <th scope="row">{text.segments.recencyScore(r)}</th>
            {[...SCORES].reverse().map((f) => {
              const cell = cells.find((each) => each.r_score === r && each.f_score === f);
              if (!cell) return <td key={f} />;
              // By the square root: one full cell would leave all others pale.
              const depth = Math.round(10 * Math.sqrt(cell.members / most));
              return (
                <td key={f} class={`depth-${depth}`}>
                  <a
                    href={address(["segments"], { define: "rfm_segment", rfm: cell.segment })}
                    title={cell.segment}
                    aria-label={text.segments.mapCell(cell.segment, r, f, cell.members)}
                  >
                    {format.count(cell.members)}
                  </a>
                </td>
              );
            })}
          </tr>
        ))}
        <tr>
          <td />
          {[...SCORES].reverse().map((f) => (
            <th key={f} scope="col">
              {text.segments.frequencyScore(f)}
            </th>
          ))}
        </tr>
      </tbody>
    </table>
  );
}
