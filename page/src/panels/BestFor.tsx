/** The members who are the likeliest to take an offer, handed on as a list. */

import { useId, useState } from "preact/hooks";
import { may, predictSegment } from "../api";
import { save } from "../csv";
import { Failed } from "../parts/states";
import { type Nbo, rowsAsCsv } from "../predictions";
import { text } from "../text";

const MOST = 1000;

export function BestFor({ id, offers }: { id: string; offers: { code: string; name: string }[] }) {
  const [chosen, setOffer] = useState<string | null>(null);
  const offer = chosen ?? offers[0]?.code ?? "";
  const [typed, setTyped] = useState("100");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const ids = useId();
  const top = Number(typed);
  const usable = Number.isInteger(top) && top >= 1 && top <= MOST;
  if (!may("loyalty/predict") || offers.length === 0) return null;
  const download = async () => {
    setBusy(true);
    setError(null);
    try {
      const { results } = await predictSegment(id, "nbo", { top, offer });
      const rows = results.map(({ customer_id, result }) => ({ id: customer_id, nbo: ofOffer(result as Nbo, offer) }));
      save(`${id}-best-${top}.csv`, rowsAsCsv(rows, ["nbo"]), "text/csv");
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  return (
    <form
      class="best"
      onSubmit={(event) => {
        event.preventDefault();
        if (usable) void download();
      }}
    >
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
        onInput={(event) => setTyped(event.currentTarget.value)}
      />
      {!usable && <p class="problem">{text.segments.bestWrong}</p>}
      <button type="submit" disabled={busy || !usable}>
        {text.segments.bestDownload}
      </button>
      {error !== null && <Failed error={error} />}
    </form>
  );
}

/** The answer with the offer that was asked for in the place of the best one. */
function ofOffer(result: Nbo, code: string): Nbo {
  const found = result.offers.find((offer) => offer.offer_code === code);
  return found ? { ...result, top_offer: found, confidence: found.probability } : result;
}
