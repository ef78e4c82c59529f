/** One segment: its risk as pictures, why it moved, who is missing, and what to do with it. */

import { anywhere, getCard, getSegment, getStatistics, previewSegment } from "../../api";
import * as format from "../../format";
import { Placeholders } from "../../parts/banner";
import { useResource } from "../../parts/resource";
import { Empty, Failed, Loading, NotAllowed, Note } from "../../parts/states";
import { churnQuality } from "../../quality";
import { address, route } from "../../route";
import type { Schemas } from "../../schemas";
import { cellName, draftOf, type Kind, meaningOf, sayingWho } from "../../segments";
import { may, type Scope } from "../../session";
import { text } from "../../text";
import { Actions } from "./Actions";
import { Bands, Missing } from "./Answers";
import { Drift } from "./Drift";
import { Drivers } from "./Drivers";
import { Moved } from "./Moved";
import { BestFor, Distribution } from "./Offers";
import { RfmMap } from "./RfmMap";
import { Spread } from "./Spread";

const TOO_FEW = 100;
const HISTORY = 400;

type Stats = Schemas["SegmentStatsAnswer"];
type Definition = Schemas["SegmentDefinitionAnswer"];

export function Segment({ id }: { id: string }) {
  const definition = useResource(async (signal) => (await getSegment(id, signal)).answer, [id]);
  const stats = useResource((signal) => getStatistics(id, HISTORY, signal), [id]);
  const both = [definition, stats];
  const failed = both.filter(({ state }) => state === "failed");
  const waiting = both.filter(({ state, value }) => state === "loading" && value === null);
  const reload = () => {
    for (const each of failed) each.reload();
  };
  const cancel = () => {
    for (const each of waiting) each.cancel();
  };
  const name = definition.value?.segment_name ?? id;
  return (
    <>
      <div class="heading with-action">
        <div>
          <p>
            <a href={address(["segments"])}>{text.segments.back}</a>
          </p>
          <h1>
            <bdi>{name}</bdi>
          </h1>
          {stats.value && (
            <p>
              {text.predict.customers(stats.value.member_count)}.{" "}
              {text.segments.asOf(format.date(stats.value.features_as_of))}
            </p>
          )}
        </div>
        {definition.value && <Actions id={id} name={name} />}
      </div>
      {failed.slice(0, 1).map(({ error }) => (
        <Failed key="failed" error={error} onReload={reload} />
      ))}
      {failed.length === 0 && waiting.length > 0 && <Loading what={text.segments.counting} onCancel={cancel} />}
      {stats.value && definition.value && <Shown id={id} stats={stats.value} definition={definition.value} />}
    </>
  );
}

function Shown({ id, stats, definition }: { id: string; stats: Stats; definition: Definition }) {
  const plain = sayingWho(definition);
  // A stored list is sent again to be previewed (api.ts), which takes the right to define segments.
  const needed: Scope[] = ["loyalty/predict", ...(plain.customer_list ? (["loyalty/segments"] as const) : [])];
  const missing = needed.find((scope) => !may(scope)) ?? null;
  const allowed = missing === null;
  const preview = useResource(
    async (signal) => (allowed ? previewSegment(await anywhere(plain, definition.list_url, signal), signal) : null),
    [id, definition.version, allowed],
  );
  const wanted = route.value.query.get("cell");
  const cell = preview.value?.rfm.find((each) => each.members > 0 && cellName(each) === wanted) ?? null;
  const churn = stats.models["churn"];
  const card = useResource(
    async (signal) => (churn && churn.version !== "mock" ? await getCard("churn", churn.version, signal) : null),
    [churn?.version],
  );
  const nbo = stats.models["nbo"];
  const offers = useResource(
    async (signal) =>
      nbo && nbo.version !== "mock"
        ? (await getCard("nbo", nbo.version, signal)).offers.map((offer) => ({
            code: String(offer["offer_code"]),
            name: String(offer["offer_name"]),
          }))
        : [],
    [nbo?.version],
  );
  return (
    <>
      {stats.mock && (
        <Note tone="warning" title={text.banner.mockTitle}>
          <p>{text.banner.mockWhat}</p>
        </Note>
      )}
      <Placeholders models={stats.models} />
      {stats.message && (
        <Note tone="info" title={text.segments.message}>
          <p>{stats.message}</p>
        </Note>
      )}
      {stats.member_count > 0 && stats.member_count < TOO_FEW && (
        <Note tone="info">
          <p>{text.segments.tooFew(stats.member_count)}</p>
        </Note>
      )}
      <div class="cards two">
        <Bands stats={stats} />
        <Missing stats={stats} />
      </div>
      <div class="cards wide-first">
        <section class="card">
          <h2>{text.segments.spread}</h2>
          {missing && <NotAllowed scope={missing} />}
          {preview.state === "failed" && <Failed error={preview.error} onReload={preview.reload} />}
          {preview.state === "loading" && <Loading onCancel={preview.cancel} />}
          {preview.value && (
            <Spread
              id={id}
              definition={plain}
              listUrl={definition.list_url}
              bins={preview.value.bins}
              cell={cell}
              quality={card.value ? churnQuality(card.value) : null}
            />
          )}
        </section>
        <section class="card">
          <h2>{text.segments.map}</h2>
          <p class="small">{text.segments.mapLead}</p>
          {missing && <NotAllowed scope={missing} />}
          {preview.state === "loading" && <Loading onCancel={preview.cancel} />}
          {preview.state === "failed" && <Empty title={text.segments.mapFailed} />}
          {preview.value && <RfmMap id={id} cells={preview.value.rfm} chosen={cell} />}
        </section>
      </div>
      <section class="card">
        <h2>{text.segments.offers}</h2>
        <p class="small">{text.segments.offersLead}</p>
        <div class="cards two">
          <Distribution counts={stats.stats.nbo.distribution} />
          <BestFor key={nbo?.version ?? ""} id={id} offers={offers.value ?? []} />
        </div>
      </section>
      <Drivers stats={stats} />
      <Moved stats={stats} />
      <Drift drift={stats.drift.all_customers} />
      <section class="card">
        <h2>{text.segments.definition}</h2>
        <InWords definition={definition} />
        <details>
          <summary>{text.segments.definitionJson}</summary>
          <pre tabIndex={0}>{JSON.stringify(plain, null, 2)}</pre>
        </details>
      </section>
    </>
  );
}

/** Who is in it, as a person says it. */
function InWords({ definition }: { definition: Definition }) {
  const { kinds } = draftOf(definition);
  const [only, ...others] = kinds;
  if (only !== undefined && others.length === 0) return <OfKind kind={only} definition={definition} />;
  return (
    <>
      <p>{text.segments.inAll}</p>
      <ul>
        {kinds.map((kind) => (
          <li key={kind}>
            <OfKind kind={kind} definition={definition} />
          </li>
        ))}
      </ul>
    </>
  );
}

function OfKind({ kind, definition }: { kind: Kind; definition: Definition }) {
  const { conditions, match, raw, band, rfm, offer } = draftOf(definition);
  switch (kind) {
    case "customer_ids":
      return <p>{text.segments.listed(definition.listed_customers ?? definition.customer_ids?.length ?? 0)}</p>;
    case "churn_risk":
      return <p>{text.segments.ofKind.churn_risk(text.riskShort[band as keyof typeof text.riskShort] ?? band)}</p>;
    case "rfm_segment":
      return <p>{text.segments.ofKind.rfm_segment(rfm)}</p>;
    case "recommended_offer":
      return <p>{text.segments.ofKind.recommended_offer(offer)}</p>;
    case "rule":
      if (raw !== null) return <p>{text.segments.moreThanConditions}</p>;
      if (conditions.length === 0) return <p>{text.segments.everyone}</p>;
      return (
        <>
          <p>{text.segments.matching[match]}</p>
          <ul>
            {conditions.map(({ feature, operator, value }, place) => (
              <li key={place}>
                {text.segments.condition(feature, text.builder.operators[operator] ?? operator, value)}
                {meaningOf(feature) && <span class="small"> ({meaningOf(feature)})</span>}
              </li>
            ))}
          </ul>
        </>
      );
  }
}
