/** A segment is defined: by any of conditions, a list, a band, an RFM name and an offer; previewed before it is saved. */

import { useId, useState } from "preact/hooks";
import { ApiError, getSegment, putSegment } from "../../api";
import { ServiceBanners } from "../../parts/banner";
import { useResource } from "../../parts/resource";
import { Failed, Loading, NotDone, Note } from "../../parts/states";
import { address, go, route } from "../../route";
import type { Schemas } from "../../schemas";
import {
  type Draft,
  definitionOf,
  draftOf,
  emptyDraft,
  idOf,
  isSegmentId,
  KINDS,
  type Kind,
  sayingWho,
} from "../../segments";
import { text } from "../../text";
import { Preview } from "./Preview";
import { Who } from "./Who";

interface Stored {
  answer: Schemas["SegmentDefinitionAnswer"];
  etag: string | null;
}

export function Builder({ id }: { id: string | null }) {
  const stored = useResource(
    async (signal): Promise<Stored | null> => (id ? await getSegment(id, signal) : null),
    [id],
  );
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
  return { ...emptyDraft(), kinds: [KINDS.includes(kind) ? kind : "rule"], rfm: query.get("rfm") ?? "At Risk" };
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
        try {
          const now = await getSegment(id);
          if (same(sayingWho(now.answer), made.definition)) {
            // As when the answer to the first try was lost: what is wanted is there.
            go(address(["segments", id]));
            return;
          }
          setTheirs(now);
          setEtag(now.etag);
        } catch (unread) {
          const isGone = unread instanceof ApiError && unread.status === 404;
          // The next save makes it anew.
          if (isGone) setEtag(null);
          setError(isGone ? new ApiError(text.builder.gone, 404, failed.code) : unread);
        }
      } else setError(failed);
    } finally {
      setBusy(false);
    }
  };

  return (
    <>
      <div class="heading">
        <p>
          <a href={address(stored ? ["segments", id] : ["segments"])}>
            {stored ? stored.answer.segment_name : text.segments.back}
          </a>
        </p>
        <h1>{stored ? text.builder.titleEdit(stored.answer.segment_name) : text.builder.title}</h1>
      </div>
      <ServiceBanners />
      {theirs && (
        <Note tone="warning" title={stored ? text.builder.conflict : text.builder.exists}>
          <p>{text.builder.conflictLead}</p>
          <div class="cards two">
            <div>
              <h2>{text.builder.theirs(theirs.answer.version)}</h2>
              <pre tabIndex={0}>{JSON.stringify(sayingWho(theirs.answer), null, 2)}</pre>
            </div>
            <div>
              <h2>{text.builder.yours}</h2>
              <pre tabIndex={0}>{"definition" in made ? JSON.stringify(made.definition, null, 2) : ""}</pre>
            </div>
          </div>
          <div class="actions start">
            {stored && (
              <button
                type="button"
                onClick={() => {
                  setTheirs(null);
                  onTakeTheirs();
                }}
              >
                {text.builder.keepTheirs}
              </button>
            )}
            <button
              type="button"
              onClick={() => {
                setTheirs(null);
                void save(etag);
              }}
            >
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
            <input
              dir="auto"
              maxLength={200}
              value={draft.name}
              onInput={(event) => change({ name: event.currentTarget.value })}
            />
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
          <Who draft={draft} change={change} />
          {tried && problem !== null && (
            <p class="problem" role="alert">
              {problem}
            </p>
          )}
          {error !== null && <NotDone error={error} title={text.builder.notSaved} />}
          <button type="submit" class="primary" disabled={busy}>
            {busy ? text.builder.saving : text.builder.save}
          </button>
        </form>
        <Preview draft={draft} listUrl={stored?.answer.list_url} />
      </div>
    </>
  );
}

/** Whether two definitions say the same, in whichever order. */
function same(one: object, other: object): boolean {
  const sorted = (definition: object) =>
    JSON.stringify(Object.entries(definition).sort(([a], [b]) => (a < b ? -1 : 1)));
  return sorted(one) === sorted(other);
}
