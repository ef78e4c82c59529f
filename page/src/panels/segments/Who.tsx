/** Who is in a segment, as the builder asks it for each kind of definition. */

import { useId } from "preact/hooks";
import { getCard, getStatus } from "../../api";
import { useResource } from "../../parts/resource";
import { BANDS } from "../../parts/risk";
import { knowsLapsed } from "../../quality";
import { type Definition, type Draft, OPERATORS } from "../../segments";
import { text } from "../../text";

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
] satisfies NonNullable<Definition["rfm_segment"]>[];

interface Props {
  draft: Draft;
  change: (changed: Partial<Draft>) => void;
}

export function Who({ draft, change }: Props) {
  if (draft.kind === "rule") return <Rule draft={draft} change={change} />;
  if (draft.kind === "customer_ids") {
    return (
      <label>
        {text.builder.ids}
        <textarea
          rows={8}
          dir="auto"
          value={draft.ids}
          onInput={(event) => change({ ids: event.currentTarget.value })}
        />
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

function RiskBand({ draft, change }: Props) {
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

function Offer({ draft, change }: Props) {
  const offers = useResource(async (signal) => {
    const { version } = (await getStatus(signal)).models["nbo"] ?? {};
    return version ? (await getCard("nbo", version, signal)).offers : [];
  }, []);
  const list = useId();
  return (
    <label>
      {text.builder.offer}
      <input
        value={draft.offer}
        list={list}
        maxLength={200}
        onInput={(event) => change({ offer: event.currentTarget.value })}
      />
      <datalist id={list}>
        {offers.value?.map((offer) => (
          <option
            key={String(offer["offer_code"])}
            value={String(offer["offer_code"])}
            label={String(offer["offer_name"])}
          />
        ))}
      </datalist>
    </label>
  );
}

function Rule({ draft, change }: Props) {
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
  const put = (place: number, changed: Partial<Draft["conditions"][number]>) =>
    change({ conditions: draft.conditions.map((each, at) => (at === place ? { ...each, ...changed } : each)) });
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
          {text.features[condition.feature] && <p class="small">{text.features[condition.feature]}</p>}
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
