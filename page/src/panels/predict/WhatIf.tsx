/** What if: sliders for a customer's features, and what the model says of such a customer. */

import { type Signal, signal } from "@preact/signals";
import { useEffect, useId, useMemo, useRef, useState } from "preact/hooks";
import { ApiError, predictOne } from "../../api";
import { explainable, featuresOf, type WithReasons, withReasons } from "../../explained";
import { type Latest, latest } from "../../parts/latest";
import { Note } from "../../parts/states";
import { byType } from "../../predictions";
import { address, go, route } from "../../route";
import type { Schemas, Single } from "../../schemas";
import { may, token } from "../../session";
import { text } from "../../text";
import { changed, fromAddress, inAddress, type Overrides } from "../../what-if";
import { Feature } from "./Feature";
import { Outcome } from "./Outcome";
import { Reasons } from "./Reasons";

type Card = Schemas["ModelCardAnswer"];

/** How many features are shown at first, those that matter most. */
const FIRST = 6;
const MILLISECONDS_STILL = 200;

// Kept with the answer that they change: whoever looks at another panel finds the sliders as they were.
const kept = new WeakMap<Single, Signal<Overrides>>();

function overridesOf(answer: Single): Signal<Overrides> {
  const said = route.peek().query.get("if");
  const found = kept.get(answer) ?? signal(fromAddress(said, Object.keys(answer.features ?? {})));
  kept.set(answer, found);
  return found;
}

function isAddressOf({ type, customer_id }: Single): boolean {
  const { query } = route.peek();
  return query.get("id") === customer_id && query.get("type") === type;
}

/** Says the overrides in the address, if it is that of this answer, without a step of their own on the way back. */
function sayInAddress(answer: Single, overrides: Overrides): void {
  if (!isAddressOf(answer)) return;
  const { type, customer_id: id } = answer;
  go(address(["predict"], { mode: "single", type, id, if: inAddress(overrides) }), true);
}

/** What was answered to the last change; `problem` if it failed. */
type Reply = { given: WithReasons } | { problem: unknown } | "waits" | null;

/** Asks for the customer with these overrides, whenever they have not changed for a moment. */
function useAsIf({ answer, unexplained }: WithReasons, overrides: Overrides) {
  const [reply, set] = useState<Reply>(null);
  /** Shown until the next one is there, so that nothing jumps while a slider moves. */
  const [shown, show] = useState<WithReasons | null>(null);
  const asking = useRef<Latest<Overrides> | null>(null);
  asking.current ??= latest<Overrides, WithReasons>({
    milliseconds: MILLISECONDS_STILL,
    ask: (wanted, stop) => {
      sayInAddress(answer, wanted);
      const ask = (type: typeof answer.type, explain: boolean) =>
        predictOne(answer.customer_id, type, { overrides: wanted, ...(explain ? { explain } : {}) }, stop);
      return withReasons(ask, answer.type, unexplained);
    },
    onAnswer: (given) => {
      set({ given });
      show(given);
    },
    onFailure: (problem) => {
      set({ problem });
      show(null);
    },
  });
  const ask = () => {
    if (Object.keys(overrides).length === 0) {
      asking.current?.stop();
      sayInAddress(answer, overrides);
      set(null);
      show(null);
    } else {
      set("waits");
      asking.current?.want(overrides);
    }
  };
  useEffect(ask, [overrides]);
  // Who has signed in again need not move a slider for it.
  useEffect(() => {
    if (reply !== null && typeof reply === "object" && "problem" in reply && isSignedOut(reply.problem)) ask();
  }, [token.value]);
  useEffect(() => () => asking.current?.stop(), []);
  return {
    shown,
    waits: reply === "waits",
    problem: reply instanceof Object && "problem" in reply ? reply : null,
    ask,
  };
}

const isSignedOut = (problem: unknown): boolean => problem instanceof ApiError && problem.status === 401;

export function WhatIf({ given, cards }: { given: WithReasons; cards: Card[] }) {
  const heading = useId();
  const [isOpen, setOpen] = useState(false);
  /** How often all was put back: what is typed in the fields then goes as well. */
  const [round, setRound] = useState(0);
  const overrides = overridesOf(given.answer);
  const said = route.value.query.get("if");
  // Back and forward, and an address that someone changes.
  useEffect(() => {
    if (!isAddressOf(given.answer)) return;
    const found = fromAddress(said, Object.keys(given.answer.features ?? {}));
    if (inAddress(found) !== inAddress(overrides.peek())) overrides.value = found;
  }, [said]);
  const { shown, waits, problem, ask } = useAsIf(given, overrides.value);
  const answers = byType(given.answer);
  const own = given.answer.features ?? {};
  const typical = useMemo(() => featuresOf(answers.flatMap((each) => explainable(each).reasons ?? [])), [given]);
  const features = useMemo(() => {
    const all = Object.keys(own).filter((name) => typeof own[name] === "number");
    return [...[...typical.keys()].filter((name) => all.includes(name)), ...all.filter((name) => !typical.has(name))];
  }, [given]);
  if (!may("loyalty/predict")) return null;
  const change = (feature: string, value: number | null) => {
    overrides.value = changed(overrides.value, feature, value, own, cards);
  };
  const told = problem === null ? {} : problemsOf(problem.problem);
  const field = (feature: string) => (
    <Feature
      key={`${round} ${feature}`}
      name={feature}
      own={own[feature] ?? 0}
      typical={typical.get(feature)}
      cards={cards}
      value={overrides.value[feature] ?? null}
      problem={told[feature]}
      onChange={(value) => change(feature, value)}
    />
  );
  const isChanged = Object.keys(overrides.value).length > 0;
  return (
    // What is said of a change is said once, by its outcome.
    <section class="card what-if" aria-labelledby={heading} aria-live="off">
      <header>
        <h3 id={heading}>{text.whatIf.title}</h3>
        {isChanged && (
          <button
            type="button"
            onClick={() => {
              overrides.value = {};
              setRound(round + 1);
            }}
          >
            {text.whatIf.backAll}
          </button>
        )}
      </header>
      {features.length === 0 ? (
        <p>{text.whatIf.none}</p>
      ) : (
        <>
          <p>{text.whatIf.lead}</p>
          <p class="small">{text.whatIf.caution}</p>
          <Outcome before={answers} after={shown && byType(shown.answer)} waits={waits} cards={cards}>
            {problem && <NoAnswer problem={problem.problem} isTold={Object.keys(told).length > 0} onAgain={ask} />}
          </Outcome>
          <div class="features">{features.slice(0, FIRST).map(field)}</div>
          {features.length > FIRST && (
            // A model may read a thousand: they are drawn for whoever looks at them.
            <details onToggle={(event) => setOpen(event.currentTarget.open)}>
              <summary>{text.whatIf.more(features.length - FIRST)}</summary>
              {isOpen && <div class="features">{features.slice(FIRST).map(field)}</div>}
            </details>
          )}
          {shown && <ReasonsAsIf shown={shown} />}
        </>
      )}
    </section>
  );
}

/** Why there is nothing to see of the changes: at a slider if that one is wrong, else here, where it stays in sight. */
function NoAnswer({ problem, isTold, onAgain }: { problem: unknown; isTold: boolean; onAgain: () => void }) {
  const known = problem instanceof ApiError ? problem : null;
  return (
    <Note tone="danger" title={text.whatIf.failed}>
      <p>{isTold ? text.whatIf.atSlider : (known?.message ?? text.errors.broken)}</p>
      {known?.correlationId && <p class="small">{text.requestId(known.correlationId)}</p>}
      {!isTold && (
        <button type="button" onClick={onAgain}>
          {text.reload}
        </button>
      )}
    </Note>
  );
}

/** Why the changed customer has its answers; of several, whoever wants to know opens them. */
function ReasonsAsIf({ shown }: { shown: WithReasons }) {
  const answers = byType(shown.answer).filter((each) => "result" in each);
  const isAlone = answers.length === 1;
  const reasons = answers.map((each) => (
    <Reasons
      key={each.type}
      answer={each}
      unexplained={shown.unexplained[each.type]}
      title={isAlone ? text.whatIf.whyAsIf : (text.models[each.type] ?? each.type)}
    />
  ));
  if (isAlone) return reasons;
  return (
    <details>
      <summary>{text.whatIf.whyAsIf}</summary>
      {reasons}
    </details>
  );
}

/** What an error says of a feature, by its name: it is told at the feature's slider. */
function problemsOf(problem: unknown): Record<string, string> {
  if (!(problem instanceof ApiError)) return {};
  const { features, fields } = problem.details;
  const found: Record<string, string> = {};
  for (const name of Array.isArray(features) ? features : []) found[String(name)] = problem.message;
  for (const each of Array.isArray(fields) ? (fields as Schemas["JsonValue"][]) : []) {
    const { field, problem: said } = (each ?? {}) as { field?: string; problem?: string };
    if (field?.startsWith("overrides.") && said) found[field.slice("overrides.".length)] = said;
  }
  return found;
}
