/** How many members each offer is the best for, and the likeliest to take one of them, handed on as a file. */

import { useId, useState } from "preact/hooks";
import * as format from "../../format";
import { Empty } from "../../parts/states";
import { MOST_IN_A_FILE } from "../../segments";
import { may } from "../../session";
import { text } from "../../text";
import { ScoreAsFile } from "./ScoreAsFile";

export interface Offer {
  code: string;
  name: string;
}

export function Distribution({ counts }: { counts: Record<string, number> }) {
  const rows = Object.entries(counts).sort((a, b) => b[1] - a[1]);
  const most = Math.max(1, ...rows.map(([, count]) => count));
  if (rows.length === 0) return <Empty title={text.segments.noOffers} />;
  return (
    <ul class="distribution">
      {rows.map(([name, count]) => (
        <li key={name}>
          <span>
            <bdi>{name}</bdi>
          </span>
          <span class="bar plain" aria-hidden="true">
            <span style={{ width: `${(100 * count) / most}%` }} />
          </span>
          <span class="number">{format.count(count)}</span>
        </li>
      ))}
    </ul>
  );
}

export function BestFor({ id, offers }: { id: string; offers: Offer[] }) {
  const [chosen, setOffer] = useState<string | null>(null);
  const [typed, setTyped] = useState("100");
  const ids = useId();
  const offer = chosen ?? offers[0]?.code ?? "";
  const top = format.numberOf(typed);
  const usable = Number.isInteger(top) && top >= 1 && top <= MOST_IN_A_FILE;
  if (!may("loyalty/predict") || offers.length === 0) return null;
  return (
    <div class="best">
      <h3>{text.segments.best}</h3>
      <label for={`${ids}-offer`}>{text.predict.offer}</label>
      <select id={`${ids}-offer`} value={offer} onChange={(event) => setOffer(event.currentTarget.value)}>
        {offers.map(({ code, name }) => (
          <option key={code} value={code}>
            {name}
          </option>
        ))}
      </select>
      <label for={`${ids}-top`}>{text.segments.bestHowMany}</label>
      <input
        id={`${ids}-top`}
        inputMode="numeric"
        value={typed}
        aria-invalid={!usable}
        aria-describedby={`${ids}-wrong`}
        onInput={(event) => setTyped(event.currentTarget.value)}
      />
      <p id={`${ids}-wrong`} class="problem">
        {!usable && text.segments.bestWrong(MOST_IN_A_FILE)}
      </p>
      <ScoreAsFile
        body={{ type: "nbo", segment_id: id, top, offer, format: "csv" }}
        hint={text.segments.bestHint}
        label={text.segments.bestFile(usable ? top : 0)}
        disabled={!usable}
      />
    </div>
  );
}
