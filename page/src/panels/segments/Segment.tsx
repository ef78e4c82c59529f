/** One segment: its risk as pictures, why it moved, who is missing, and what to do with it. */

import { anywhere, getCard, getSegment, getStatistics, previewSegment, type Schemas } from "../../api";
import * as format from "../../format";
import { useResource } from "../../parts/resource";
import { Empty, Failed, Loading, Note } from "../../parts/states";
import { churnQuality } from "../../quality";
import { address, route } from "../../route";
import { cellName, kindsOf, sayingWho } from "../../segments";
import { text } from "../../text";
import { Actions } from "./Actions";
import { Bands, Missing } from "./Answers";
import { Drift } from "./Drift";
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
  const preview = useResource(
    async (signal) => previewSegment(await anywhere(plain, definition.list_url, signal), signal),
    [id, definition.version],
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
      <Moved stats={stats} />
      <Drift drift={stats.drift.all_customers} />
      <section class="card">
        <h2>{text.segments.definition}</h2>
        <p>
          {kindsOf(definition)
            .map((kind) => text.segments.kinds[kind])
            .join(text.segments.andAlso)}
          {definition.listed_customers !== undefined && ` (${text.builder.listed(definition.listed_customers)})`}
        </p>
        <details>
          <summary>{text.segments.definitionJson}</summary>
          <pre tabIndex={0}>{JSON.stringify(plain, null, 2)}</pre>
        </details>
      </section>
    </>
  );
}
