/** How many are in a segment that is being defined, and who, before anything is stored. */

import { useEffect, useRef, useState } from "preact/hooks";
import { anywhere, previewSegment } from "../../api";
import * as format from "../../format";
import { useResource } from "../../parts/resource";
import { BANDS, BandBar, Risk } from "../../parts/risk";
import { Empty, Failed, Loading } from "../../parts/states";
import { Table } from "../../parts/table";
import type { Churn } from "../../predictions";
import { type Definition, type Draft, definitionOf } from "../../segments";
import { may } from "../../session";
import { text } from "../../text";

/** What is in the segment as it stands, a moment after the last key. */
export function Preview(props: { draft: Draft; listUrl: string | undefined }) {
  return may("loyalty/predict") ? <Previewed {...props} /> : null;
}

function Previewed({ draft, listUrl }: { draft: Draft; listUrl: string | undefined }) {
  const made = definitionOf({ ...draft, name: "preview" }); // whose name says nothing of who is in it
  const asked = JSON.stringify("definition" in made ? made.definition : null);
  const [settled, settle] = useState(asked);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => {
    clearTimeout(timer.current);
    timer.current = setTimeout(() => settle(asked), 400);
    return () => clearTimeout(timer.current);
  }, [asked]);
  const preview = useResource(
    async (signal) => {
      const body = JSON.parse(settled) as Definition | null;
      return body ? await previewSegment(await anywhere(body, listUrl, signal), signal) : null;
    },
    [settled],
  );
  const answer = preview.value?.answer;
  const stats = (answer?.aggregated_stats ?? {}) as Record<string, number>;
  return (
    <section class="card" aria-live="polite">
      <h2>{text.builder.preview}</h2>
      <p class="small">{text.builder.previewLead}</p>
      {"problem" in made && <Empty title={made.problem} />}
      {preview.state === "failed" && <Failed error={preview.error} onReload={preview.reload} />}
      {preview.state === "loading" && <Loading what={text.builder.previewing} onCancel={preview.cancel} />}
      {preview.state === "ready" && answer && "definition" in made && (
        <>
          <p class="sentence">{text.builder.previewed(answer.total_customers, answer.failed)}</p>
          <BandBar counts={BANDS.map((band) => ({ band, count: stats[band] ?? 0 }))} />
          <ul class="legend">
            {BANDS.filter((band) => stats[band] !== undefined).map((band) => (
              <li key={band}>
                <Risk band={band} /> {format.count(stats[band] ?? 0)}
              </li>
            ))}
          </ul>
          {answer.results.length > 0 && (
            <Table
              caption={text.builder.first}
              rows={answer.results.slice(0, 10)}
              rowKey={(row) => row.customer_id}
              columns={[
                { key: "id", title: text.predict.customer, cell: (row) => <bdi class="id">{row.customer_id}</bdi> },
                {
                  key: "probability",
                  title: text.predict.probability,
                  numeric: true,
                  cell: (row) => format.probability((row.result as Churn).churn_probability),
                },
                {
                  key: "risk",
                  title: text.predict.risk,
                  cell: (row) => <Risk band={(row.result as Churn).churn_risk} />,
                },
              ]}
            />
          )}
        </>
      )}
    </section>
  );
}
