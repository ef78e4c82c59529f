/** A feature of a customer with a slider and a field beside it, and the way back to what it is. */

import { useId, useMemo, useState } from "preact/hooks";
import * as format from "../../format";
import { isWithin, limitsOf, placeOf, sliderValues, typicalOf, usualOf, wordsFor } from "../../scales";
import type { Schemas } from "../../schemas";
import { text } from "../../text";

interface Props {
  name: string;
  own: number;
  /** As the reasons say; where there are none, as the card does. */
  typical: number | undefined;
  cards: Schemas["ModelCardAnswer"][];
  /** What stands in place of the customer's own; null for nothing. */
  value: number | null;
  /** What the service said of it. */
  problem: string | undefined;
  onChange: (value: number | null) => void;
}

export function Feature({ name, own, typical: reasoned, cards, value, problem, onChange }: Props) {
  const id = useId();
  const limits = limitsOf(name, cards);
  const typical = reasoned ?? typicalOf(name, cards);
  /** A number that was typed beyond the slider: it then goes as far. */
  const [beyond, setBeyond] = useState(own);
  /** What is in the field while it is no value, or as it was typed. */
  const [typed, setTyped] = useState<string | null>(null);
  const values = useMemo(
    () =>
      sliderValues({
        own,
        typical,
        usual: usualOf(name, cards),
        beyond,
        limits,
      }),
    [name, own, beyond, cards],
  );
  const now = value ?? own;
  const { before, after } = wordsFor(name, now, cards, text.features[name]);
  const read = typed === null ? now : format.numberOf(typed);
  const isWrong = typed !== null && !isWithin(read, limits);
  const { least, most, isAbove, isBelow, whole } = limits;
  const bound = (end: number) => (Number.isFinite(end) ? end : null);
  const said = isWrong ? text.whatIf.limits(bound(least), bound(most), isAbove, isBelow, whole) : problem;
  // What a control is called stays as it is while its value moves, between "1 day" and "2 days" too.
  const named = wordsFor(name, null, cards, text.features[name]);
  const words = text.whatIf.named(named.before, named.after);
  const set = (next: number) => onChange(next === own ? null : next);
  return (
    <div class={value === null ? "feature" : "feature changed"}>
      <div class="saying">
        {before && <span>{before}</span>}
        <input
          inputMode="decimal"
          autocomplete="off"
          aria-label={words}
          aria-invalid={said !== undefined}
          aria-describedby={`${id}-own ${id}-problem`}
          value={typed ?? format.field(now)}
          onInput={(event) => {
            const next = event.currentTarget.value;
            setTyped(next);
            const number = format.numberOf(next);
            if (!isWithin(number, limits)) return;
            if (number < (values[0] ?? 0) || number > (values.at(-1) ?? 0)) setBeyond(number);
            set(number);
          }}
          onBlur={() => !isWrong && setTyped(null)}
        />
        {after && <span>{after}</span>}
      </div>
      <input
        type="range"
        class="slider"
        min={0}
        max={values.length - 1}
        step={1}
        value={placeOf(now, values)}
        aria-label={words}
        aria-valuetext={text.whatIf.value(before, format.amount(now), after)}
        aria-describedby={`${id}-own ${id}-problem`}
        onInput={(event) => {
          setTyped(null);
          set(values[Number(event.currentTarget.value)] ?? own);
        }}
      />
      <div class="own small">
        <span id={`${id}-own`}>
          {text.whatIf.own(format.amount(own), typical === undefined ? null : format.amount(typical))}
        </span>
        {(value !== null || typed !== null) && (
          <button
            type="button"
            class="quiet"
            aria-label={text.whatIf.backOf(words)}
            onClick={() => {
              setTyped(null);
              onChange(null);
            }}
          >
            {text.whatIf.back}
          </button>
        )}
      </div>
      <p id={`${id}-problem`} class="problem" role={said ? "alert" : undefined}>
        {said}
      </p>
    </div>
  );
}
