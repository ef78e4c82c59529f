import { signal } from "@preact/signals";
import { useEffect, useId } from "preact/hooks";
import { predictMany, predictOne } from "../../api";
import { type WithReasons, withReasons } from "../../explained";
import { isTooLong, MAX_BATCH, tidy } from "../../ids";
import { ServiceBanners } from "../../parts/banner";
import { Empty, Failed, Loading } from "../../parts/states";
import { address, go, route } from "../../route";
import type { Asked, Batch } from "../../schemas";
import { text } from "../../text";
import { BatchResult } from "./BatchResult";
import { SingleResult } from "./SingleResult";

type Mode = "single" | "batch";
type Result = { mode: "single"; given: WithReasons } | { mode: "batch"; answer: Batch };

// Kept while other panels are open, and when a request fails: nothing that was typed is lost.
const typedId = signal("");
const typedIds = signal("");
const result = signal<Result | null>(null);
const problem = signal<unknown>(null);
const running = signal<AbortController | null>(null);
/** The address of what was asked last: another one asks anew. */
const lastAsked = signal<string | null>(null);

const MAX_ADDRESS_CHARACTERS = 1500;

function shown(): { mode: Mode; asked: Asked } {
  const { query } = route.value;
  const asked = query.get("type") ?? "";
  return {
    mode: query.get("mode") === "batch" ? "batch" : "single",
    asked: ["churn", "nbo", "rfm", "all"].includes(asked) ? (asked as Asked) : "churn",
  };
}

/** The address with what is chosen; ids are in it while they are not too many for a link. `whatIf`: what it says of that. */
function show(mode: Mode, asked: Asked, ids: string[], whatIf: string | null = null): string {
  const listed = ids.join(",");
  return address(["predict"], {
    mode,
    type: asked,
    ...(mode === "single"
      ? { id: ids[0], if: whatIf }
      : { ids: listed.length <= MAX_ADDRESS_CHARACTERS ? listed : null }),
  });
}

/** Asks, and says so in the address; with `stays` without a step of its own on the way back. */
async function run(mode: Mode, asked: Asked, ids: string[], stays = false): Promise<void> {
  running.value?.abort();
  const stop = new AbortController();
  running.value = stop;
  problem.value = null;
  result.value = null;
  lastAsked.value = show(mode, asked, ids);
  go(show(mode, asked, ids, stays ? route.value.query.get("if") : null), stays);
  try {
    result.value =
      mode === "single"
        ? {
            mode,
            given: await withReasons(
              (type, explain) => predictOne(ids[0] ?? "", type, explain ? { explain } : {}, stop.signal),
              asked,
            ),
          }
        : { mode, answer: await predictMany(ids, asked, stop.signal) };
  } catch (error) {
    if (!stop.signal.aborted) problem.value = error;
  } finally {
    if (running.value === stop) {
      running.value = null;
      // What came to nothing is asked again by whoever comes back to it.
      if (result.value === null) lastAsked.value = null;
    }
  }
}

export function Predict() {
  const { mode, asked } = shown();
  const { query } = route.value;
  const [given, list] = [query.get("id") ?? "", query.get("ids") ?? ""];
  // A link that names customers asks for them, and so does the way back to them.
  useEffect(() => {
    const ids = mode === "single" ? [given].filter(Boolean) : tidy(list).ids;
    if (ids.length === 0 || show(mode, asked, ids) === lastAsked.value) return;
    if (mode === "single") typedId.value = given;
    else typedIds.value = ids.join("\n");
    void run(mode, asked, ids, true);
  }, [mode, asked, given, list]);

  const name = useId();
  const choose = (next: { mode?: Mode; asked?: Asked }) => {
    // What was asked stays on the way back.
    go(address(["predict"], { mode: next.mode ?? mode, type: next.asked ?? asked }), !given && !list);
  };
  const there = result.value && result.value.mode === mode ? result.value : null;
  return (
    <>
      <div class="heading">
        <h1>{text.predict.title}</h1>
        <p>{text.predict.lead}</p>
      </div>
      <ServiceBanners />
      <div class="split">
        <section class="card ask">
          <fieldset class="toggle">
            <legend>{text.predict.mode}</legend>
            {(["single", "batch"] as const).map((each) => (
              <label key={each}>
                <input
                  type="radio"
                  name={`${name}-mode`}
                  checked={mode === each}
                  onChange={() => choose({ mode: each })}
                />
                <span>{text.predict[each]}</span>
              </label>
            ))}
          </fieldset>
          <fieldset class="toggle">
            <legend>{text.predict.type}</legend>
            {(["churn", "nbo", "rfm", "all"] as const).map((each) => (
              <label key={each}>
                <input
                  type="radio"
                  name={`${name}-type`}
                  checked={asked === each}
                  onChange={() => choose({ asked: each })}
                />
                <span>{text.predict.types[each]}</span>
              </label>
            ))}
          </fieldset>
          {mode === "single" ? <AskOne asked={asked} /> : <AskMany asked={asked} />}
        </section>
        <div class="answer" aria-live="polite">
          {running.value && <Loading what={text.predict.running} onCancel={() => running.value?.abort()} />}
          {problem.value !== null && <Failed error={problem.value} title={text.predict.noAnswer} />}
          {there?.mode === "single" && <SingleResult given={there.given} />}
          {there?.mode === "batch" && <BatchResult answer={there.answer} />}
          {!running.value && problem.value === null && !there && (
            <Empty title={text.predict.empty}>
              <p>{text.predict.emptyWhat}</p>
            </Empty>
          )}
        </div>
      </div>
    </>
  );
}

const needed = signal(false);

function AskOne({ asked }: { asked: Asked }) {
  const id = useId();
  const typed = typedId.value.trim();
  // Told, and not cut: the beginning of an id is another customer's.
  const tooLong = isTooLong(typed);
  const problem = tooLong ? text.predict.idTooLong : needed.value && !typed ? text.predict.needed : null;
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        needed.value = !typed;
        if (typed && !tooLong) void run("single", asked, [typed]);
      }}
    >
      <label for={id}>{text.predict.id}</label>
      <input
        id={id}
        value={typedId.value}
        autocomplete="off"
        spellcheck={false}
        dir="auto"
        aria-describedby={`${id}-hint`}
        aria-invalid={problem !== null}
        onInput={(event) => (typedId.value = event.currentTarget.value)}
      />
      <p id={`${id}-hint`} class={problem ? "problem" : "small"}>
        {problem ?? text.predict.idHint}
      </p>
      <button type="submit" class="primary">
        {text.predict.run}
      </button>
    </form>
  );
}

function AskMany({ asked }: { asked: Asked }) {
  const id = useId();
  const tidied = tidy(typedIds.value);
  const over = tidied.ids.length - MAX_BATCH;
  const wrong = over > 0 || (needed.value && tidied.ids.length === 0);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        needed.value = tidied.ids.length === 0;
        if (tidied.ids.length > 0 && over <= 0) {
          typedIds.value = tidied.ids.join("\n");
          void run("batch", asked, tidied.ids);
        }
      }}
    >
      <label for={id}>{text.predict.ids}</label>
      <textarea
        id={id}
        rows={10}
        spellcheck={false}
        dir="auto"
        value={typedIds.value}
        aria-describedby={`${id}-hint ${id}-count`}
        aria-invalid={wrong}
        onInput={(event) => (typedIds.value = event.currentTarget.value)}
      />
      <p id={`${id}-count`} class={over > 0 ? "problem count" : "small count"} aria-live="polite">
        {text.predict.count(tidied.ids.length)}
        {over > 0 && <> – {text.predict.tooMany(over)}</>}
        {tidied.duplicates > 0 && <> – {text.predict.duplicates(tidied.duplicates)}</>}
        {tidied.tooLong.length > 0 && <> – {text.predict.tooLong(tidied.tooLong.length)}</>}
      </p>
      <p id={`${id}-hint`} class={needed.value && tidied.ids.length === 0 ? "problem" : "small"}>
        {needed.value && tidied.ids.length === 0 ? text.predict.neededBatch : text.predict.idsHint}
      </p>
      <button type="submit" class="primary" disabled={over > 0}>
        {text.predict.runBatch}
      </button>
    </form>
  );
}
