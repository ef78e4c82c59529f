/** A segment is defined: by conditions, a list, a band, an RFM name or an offer; previewed before it is saved. */

import { useEffect, useId, useRef, useState } from "preact/hooks";
import { ApiError, type FieldOf, getCard, getSegment, getStatus, previewSegment, putSegment, type Schemas } from "../api";
import * as format from "../format";
import { useResource } from "../parts/resource";
import { BANDS, BandBar, Risk } from "../parts/risk";
import { Empty, Failed, Loading, Note } from "../parts/states";
import { Table } from "../parts/table";
import type { Churn } from "../predictions";
import { knowsLapsed } from "../quality";
import { address, go, route } from "../route";
import {
  KINDS,
  OPERATORS,
  definitionOf,
  draftOf,
  emptyDraft,
  idOf,
  isSegmentId,
  type Definition,
  type Draft,
  type Kind,
} from "../segments";
import { text } from "../text";

const RFM_NAMES = [
  "Champions",
  "Loyal Customers",
  "Potential Loyalists",
  "New Customers",
  "Promising",
  "Need Attention",
  "About to Sleep",
  "At Risk",
  "Can't Lose Them",
  "Hibernating",
] satisfies FieldOf<Definition, "rfm_segment">[];

interface Stored {
  answer: Schemas["SegmentDefinitionAnswer"];
  etag: string | null;
}

export function Builder({ id }: { id: string | null }) {
  const stored = useResource(async (signal): Promise<Stored | null> => (id ? await getSegment(id, signal) : null), [id]);
  if (stored.state === "failed") {
    return (
      <>
        <div class="heading">
          <h1>{text.builder.title}</h1>
        </div>
        <Failed error={stored.error} onReload={stored.reload} />
      </>
    );
  }
  if (stored.state === "loading") return <Loading />;
  return <Form key={stored.value?.etag ?? "new"} stored={stored.value} onTakeTheirs={stored.reload} />;
}

function first(stored: Stored | null): Draft {
  if (stored) return draftOf(stored.answer);
  const { query } = route.value;
  const kind = query.get("define") as Kind;
  return { ...emptyDraft(), kind: KINDS.includes(kind) ? kind : "rule", rfm: query.get("rfm") ?? "At Risk" };
}

function Form({ stored, onTakeTheirs }: { stored: Stored | null; onTakeTheirs: () => void }) {
  const [draft, set] = useState<Draft>(() => first(stored));
  const [etag, setEtag] = useState(stored?.etag ?? null);
  const [theirs, setTheirs] = useState<Stored | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const [tried, setTried] = useState(false);
  const ids = useId();
  const change = (changed: Partial<Draft>) => set((before) => ({ ...before, ...changed }));
  const id = stored ? draft.id : draft.id || idOf(draft.name);
  const made = definitionOf(draft);
  const problem = "problem" in made ? made.problem : isSegmentId(id) ? null : text.builder.needId;

  const save = async (over: string | null) => {
    setTried(true);
    if (problem !== null || !("definition" in made)) return;
    setBusy(true);
    setError(null);
    try {
      await putSegment(id, made.definition, over ? { "If-Match": over } : { "If-None-Match": "*" });
      go(address(["segments", id]));
    } catch (failed) {
      if (failed instanceof ApiError && failed.code === "VERSION_CONFLICT") {
        const now = await getSegment(id).catch(() => null);
        setTheirs(now);
        setEtag(now?.etag ?? null);
        if (!now) setError(failed);
      } else setError(failed);
    } finally {
      setBusy(false);
    }
  };

  return (
    <>
      <div class="heading">
        <p>
          <a href={address(stored ? ["segments", id] : ["segments"])}>{stored ? stored.answer.segment_name : text.segments.back}</a>
        </p>
        <h1>{stored ? text.builder.titleEdit(stored.answer.segment_name) : text.builder.title}</h1>
      </div>
      {theirs && (
        <Note tone="warning" title={stored ? text.builder.conflict : text.builder.exists}>
          <p>{text.builder.conflictLead}</p>
          <div class="cards two">
            <div>
              <h2>{text.builder.theirs(theirs.answer.version)}</h2>
              <pre tabIndex={0}>{JSON.stringify(plain(theirs.answer), null, 2)}</pre>
            </div>
            <div>
              <h2>{text.builder.yours}</h2>
              <pre tabIndex={0}>{"definition" in made ? JSON.stringify(made.definition, null, 2) : ""}</pre>
            </div>
          </div>
          <div class="actions start">
            {stored && (
              <button type="button" onClick={() => (setTheirs(null), onTakeTheirs())}>
                {text.builder.keepTheirs}
              </button>
            )}
            <button type="button" onClick={() => (setTheirs(null), void save(etag))}>
              {text.builder.saveMine}
            </button>
          </div>
        </Note>
      )}
      <div class="split">
        <form
          class="card"
          onSubmit={(event) => {
            event.preventDefault();
            void save(etag);
          }}
        >
          <label>
            {text.builder.name}
            <input dir="auto" maxLength={200} value={draft.name} onInput={(event) => change({ name: event.currentTarget.value })} />
          </label>
          {!stored && (
            <>
              <label for={`${ids}-id`}>{text.builder.id}</label>
              <input
                id={`${ids}-id`}
                value={draft.id}
                placeholder={idOf(draft.name)}
                maxLength={64}
                aria-describedby={`${ids}-hint`}
                onInput={(event) => change({ id: event.currentTarget.value })}
              />
              <p id={`${ids}-hint`} class="small">
                {text.builder.idHint}
              </p>
            </>
          )}
          <label>
            {text.builder.kind}
            <select value={draft.kind} onChange={(event) => change({ kind: event.currentTarget.value as Kind })}>
              {KINDS.map((kind) => (
                <option key={kind} value={kind}>
                  {text.segments.kinds[kind]}
                </option>
              ))}
            </select>
          </label>
          <Who draft={draft} change={change} />
          {tried && problem !== null && (
            <p class="problem" role="alert">
              {problem}
            </p>
          )}
          {error !== null && <Failed error={error} />}
          <button class="primary" disabled={busy}>
            {busy ? text.builder.saving : text.builder.save}
          </button>
        </form>
        <Preview draft={draft} />
      </div>
    </>
  );
}

function plain(answer: Schemas["SegmentDefinitionAnswer"]): object {
  const { segment_id: _, version: __, updated: ___, ...definition } = answer;
  return definition;
}

function Who({ draft, change }: { draft: Draft; change: (changed: Partial<Draft>) => void }) {
  if (draft.kind === "rule") return <Rule draft={draft} change={change} />;
  if (draft.kind === "customer_ids") {
    return (
      <label>
        {text.builder.ids}
        <textarea rows={8} dir="auto" value={draft.ids} onInput={(event) => change({ ids: event.currentTarget.value })} />
      </label>
    );
  }
  if (draft.kind === "churn_risk") return <RiskBand draft={draft} change={change} />;
  if (draft.kind === "rfm_segment") {
    return (
      <label>
        {text.builder.rfmName}
        <select value={draft.rfm} onChange={(event) => change({ rfm: event.currentTarget.value })}>
          {RFM_NAMES.map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </label>
    );
  }
  return <Offer draft={draft} change={change} />;
}

function RiskBand({ draft, change }: { draft: Draft; change: (changed: Partial<Draft>) => void }) {
  const status = useResource(getStatus, []);
  const hasLapsed = draft.band === "lapsed" || knowsLapsed(status.value?.models["churn"]);
  return (
    <label>
      {text.builder.band}
      <select value={draft.band} onChange={(event) => change({ band: event.currentTarget.value })}>
        {BANDS.filter((band) => band !== "lapsed" || hasLapsed).map((band) => (
          <option key={band} value={band}>
            {text.risk[band]}
          </option>
        ))}
      </select>
    </label>
  );
}

function Offer({ draft, change }: { draft: Draft; change: (changed: Partial<Draft>) => void }) {
  const offers = useResource(async (signal) => {
    const { version } = (await getStatus(signal)).models["nbo"] ?? {};
    return version ? (await getCard("nbo", version, signal)).offers : [];
  }, []);
  const list = useId();
  return (
    <label>
      {text.builder.offer}
      <input value={draft.offer} list={list} maxLength={200} onInput={(event) => change({ offer: event.currentTarget.value })} />
      <datalist id={list}>
        {offers.value?.map((offer) => (
          <option key={String(offer["offer_code"])} value={String(offer["offer_code"])} label={String(offer["offer_name"])} />
        ))}
      </datalist>
    </label>
  );
}

function Rule({ draft, change }: { draft: Draft; change: (changed: Partial<Draft>) => void }) {
  const features = useId();
  const card = useResource(async (signal) => {
    const { version } = (await getStatus(signal)).models["churn"] ?? {};
    return version ? (await getCard("churn", version, signal)).features : [];
  }, []);
  if (draft.raw !== null) {
    return (
      <label>
        {text.builder.raw}
        <textarea rows={10} spellcheck={false} value={draft.raw} onInput={(event) => change({ raw: event.currentTarget.value })} />
      </label>
    );
  }
  const put = (place: number, changed: Partial<Draft["conditions"][number]>) =>
    change({ conditions: draft.conditions.map((each, at) => (at === place ? { ...each, ...changed } : each)) });
  return (
    <>
      <label>
        {text.builder.match}
        <select value={draft.match} onChange={(event) => change({ match: event.currentTarget.value as Draft["match"] })}>
          <option value="and">{text.builder.all}</option>
          <option value="or">{text.builder.any}</option>
        </select>
      </label>
      <datalist id={features}>
        {card.value?.map((feature) => (
          <option key={feature} value={feature} />
        ))}
      </datalist>
      {draft.conditions.map((condition, place) => (
        <div key={place} class="condition">
          <input
            aria-label={text.builder.feature}
            list={features}
            value={condition.feature}
            onInput={(event) => put(place, { feature: event.currentTarget.value })}
          />
          <select
            aria-label={text.builder.operator}
            value={condition.operator}
            onChange={(event) => put(place, { operator: event.currentTarget.value })}
          >
            {OPERATORS.map((operator) => (
              <option key={operator} value={operator}>
                {text.builder.operators[operator]}
              </option>
            ))}
          </select>
          <input
            aria-label={text.builder.value}
            inputMode="decimal"
            value={condition.value}
            onInput={(event) => put(place, { value: event.currentTarget.value })}
          />
          <button
            type="button"
            class="quiet"
            aria-label={text.builder.removeCondition}
            title={text.builder.removeCondition}
            onClick={() => change({ conditions: draft.conditions.filter((_, at) => at !== place) })}
          >
            ×
          </button>
        </div>
      ))}
      <button
        type="button"
        class="quiet start"
        onClick={() => change({ conditions: [...draft.conditions, { feature: "", operator: ">=", value: "" }] })}
      >
        {text.builder.addCondition}
      </button>
    </>
  );
}

/** What is in the segment as it stands, a moment after the last key. */
function Preview({ draft }: { draft: Draft }) {
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
      return body ? await previewSegment(body, signal) : null;
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
      {preview.state === "loading" && <Loading what={text.builder.previewing} />}
      {preview.state === "ready" && answer && "definition" in made && (
        <>
          <p class="sentence">{text.builder.previewed(answer.total_customers, answer.failed)}</p>
          <BandBar counts={(["high", "medium", "low", "lapsed"] as const).map((band) => ({ band, count: stats[band] ?? 0 }))} />
          <ul class="legend">
            {(["high", "medium", "low", "lapsed"] as const)
              .filter((band) => stats[band] !== undefined)
              .map((band) => (
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
                  cell: (row) => format.share((row.result as Churn).churn_probability),
                },
                { key: "risk", title: text.predict.risk, cell: (row) => <Risk band={(row.result as Churn).churn_risk} /> },
              ]}
            />
          )}
        </>
      )}
    </section>
  );
}
