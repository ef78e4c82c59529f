/** The conditions of a rule, over features and predictions. */

import { useId } from "preact/hooks";
import { getCard, getStatus } from "../../api";
import { useResource } from "../../parts/resource";
import { BANDS } from "../../parts/risk";
import {
  type Condition,
  type Draft,
  isText,
  meaningOf,
  OPERATORS,
  PREDICTIONS,
  RFM_NAMES,
  SAME_OR_NOT,
  withFeature,
} from "../../segments";
import { text } from "../../text";
import { OfferCodes } from "./OfferCodes";
import type { Props } from "./part";

export function Rule({ draft, change }: Props) {
  const features = useId();
  const card = useResource(async (signal) => {
    const { version } = (await getStatus(signal)).models["churn"] ?? {};
    return version ? (await getCard("churn", version, signal)).features : [];
  }, []);
  if (draft.raw !== null) {
    return (
      <label>
        {text.builder.raw}
        <textarea
          rows={10}
          spellcheck={false}
          value={draft.raw}
          onInput={(event) => change({ raw: event.currentTarget.value })}
        />
      </label>
    );
  }
  const put = (place: number, changed: Condition) =>
    change({ conditions: draft.conditions.map((each, at) => (at === place ? changed : each)) });
  return (
    <>
      <label>
        {text.builder.match}
        <select
          value={draft.match}
          onChange={(event) => change({ match: event.currentTarget.value as Draft["match"] })}
        >
          <option value="and">{text.builder.all}</option>
          <option value="or">{text.builder.any}</option>
        </select>
      </label>
      <datalist id={features}>
        {card.value?.map((feature) => (
          <option key={feature} value={feature} label={text.features[feature] ?? feature} />
        ))}
        {Object.keys(PREDICTIONS).map((name) => (
          <option key={name} value={name} label={text.builder.predictions[name]} />
        ))}
      </datalist>
      {draft.conditions.map((condition, place) => (
        <div key={place} class="condition">
          <input
            aria-label={text.builder.feature}
            list={features}
            value={condition.feature}
            onInput={(event) => put(place, withFeature(condition, event.currentTarget.value))}
          />
          <select
            aria-label={text.builder.operator}
            value={condition.operator}
            onChange={(event) => put(place, { ...condition, operator: event.currentTarget.value })}
          >
            {(isText(condition.feature) ? SAME_OR_NOT : OPERATORS).map((operator) => (
              <option key={operator} value={operator}>
                {text.builder.operators[operator]}
              </option>
            ))}
          </select>
          <Value condition={condition} onChange={(value) => put(place, { ...condition, value })} />
          <button
            type="button"
            class="quiet"
            aria-label={text.builder.removeCondition}
            title={text.builder.removeCondition}
            onClick={() => change({ conditions: draft.conditions.filter((_, at) => at !== place) })}
          >
            ×
          </button>
          {meaningOf(condition.feature) && <p class="small">{meaningOf(condition.feature)}</p>}
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

const CHOICES: Readonly<Record<string, readonly { value: string; name: string }[]>> = {
  churn_risk: BANDS.map((value) => ({ value, name: text.risk[value] })),
  rfm_segment: RFM_NAMES.map((value) => ({ value, name: value })),
};

/** What a feature is compared with: a number, one of the texts that a prediction can be, or an offer's code. */
function Value({ condition: { feature, value }, onChange }: { condition: Condition; onChange: (to: string) => void }) {
  const offers = useId();
  const choices = isText(feature) ? CHOICES[feature] : undefined;
  if (choices) {
    const known = choices.some((choice) => choice.value === value);
    return (
      <select aria-label={text.builder.value} value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {[...choices, ...(known ? [] : [{ value, name: value }])].map((choice) => (
          <option key={choice.value} value={choice.value}>
            {choice.name}
          </option>
        ))}
      </select>
    );
  }
  const isOffer = isText(feature);
  return (
    <>
      <input
        aria-label={text.builder.value}
        {...(isOffer ? { list: offers } : { inputMode: "decimal" as const })}
        value={value}
        onInput={(event) => onChange(event.currentTarget.value)}
      />
      {isOffer && <OfferCodes id={offers} />}
    </>
  );
}
