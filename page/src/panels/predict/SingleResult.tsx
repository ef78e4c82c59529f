/** One customer as a person reads it: first the sentence, then the figures. */

import { useMemo } from "preact/hooks";
import { type ApiError, getCard } from "../../api";
import type { WithReasons } from "../../explained";
import * as format from "../../format";
import { Raw } from "../../parts/raw";
import { type Loaded, useResource } from "../../parts/resource";
import { ProbabilityBar, Risk } from "../../parts/risk";
import { Table } from "../../parts/table";
import { byType, type Churn, churnSentence, type Nbo, type OfType, type Rfm } from "../../predictions";
import { churnQuality } from "../../quality";
import type { PredictionType, Schemas, Single } from "../../schemas";
import { may } from "../../session";
import { text } from "../../text";
import { curlOfOne } from "./curl";
import { Reasons } from "./Reasons";
import { WhatIf } from "./WhatIf";

type Offer = Schemas["OfferProbability"];

type Cards = Partial<Record<PredictionType, Schemas["ModelCardAnswer"]>>;

/** The cards of the models that answered, of those that have one. */
function useCards(answers: OfType[]): Loaded<Cards> {
  const named = may("loyalty/read")
    ? answers.filter((each) => each.type !== "rfm" && !each.mock).map(({ type, model }) => ({ type, ...model }))
    : [];
  return useResource(async (signal) => {
    const cards: Cards = {};
    await Promise.all(
      named.map(async ({ type, name, version }) => {
        // What a card adds is left out where it cannot be had: the prediction is there without it.
        const card = await getCard(name, version, signal).catch(() => null);
        if (card) cards[type] = card;
      }),
    );
    return cards;
  }, named);
}

export function SingleResult({ given }: { given: WithReasons }) {
  const { answer, unexplained } = given;
  const { customer_id, features, features_as_of } = answer;
  const answers = byType(answer);
  const cards = useCards(answers);
  const listed = useMemo(() => Object.values(cards.value ?? {}), [cards.value]);
  const source = features ? (
    <Features values={features} asOf={features_as_of} />
  ) : (
    features_as_of && <p class="small source">{text.predict.asOf(format.date(features_as_of))}</p>
  );
  const alone = answers.length === 1;
  return (
    <>
      <h2 class="customer">
        {text.predict.customer} <bdi>{customer_id}</bdi>
      </h2>
      {answers.map((each) => (
        <TypeCard key={each.type} answer={each} cards={cards} unexplained={unexplained[each.type]}>
          {alone && source}
        </TypeCard>
      ))}
      {/* What the three were made from is one table. */}
      {!alone && source && <section class="card">{source}</section>}
      {cards.state !== "loading" && <WhatIf given={given} cards={listed} />}
      <Raw
        answer={answer}
        curl={curlOfOne(customer_id, answer.type, Object.keys(unexplained).length ? {} : { explain: true })}
      />
    </>
  );
}

function TypeCard({
  answer,
  cards,
  unexplained,
  children,
}: {
  answer: OfType;
  cards: Loaded<Cards>;
  unexplained: ApiError | undefined;
  children: preact.ComponentChildren;
}) {
  const { name, version } = answer.model;
  const card = cards.value?.[answer.type] ?? null;
  return (
    <section class="card">
      <header>
        <h3>{text.models[answer.type]}</h3>
        {answer.mock ? (
          <span class="mark warning">{text.status.mock}</span>
        ) : answer.model.placeholder ? (
          <span class="mark warning">{text.status.placeholder}</span>
        ) : null}
      </header>
      {"failure" in answer ? (
        <>
          <p class="sentence">{answer.failure.error}</p>
          <p class="small code">{answer.failure.code}</p>
        </>
      ) : (
        <>
          {answer.type === "churn" && (
            <ChurnAnswer result={answer.result as Churn} card={card} waits={cards.state === "loading"} />
          )}
          {answer.type === "nbo" && <NboAnswer result={answer.result as Nbo} />}
          {answer.type === "rfm" && <RfmAnswer result={answer.result as Rfm} />}
          <Reasons answer={answer} unexplained={unexplained} />
        </>
      )}
      {children}
      <p class="small source">
        <span class="code">{text.predict.byModel(name, version)}</span>
      </p>
    </section>
  );
}

/** What the answer was made from, in the model's order. */
function Features({ values, asOf }: { values: NonNullable<Single["features"]>; asOf: string | null }) {
  const rows = Object.entries(values);
  return (
    <details class="narrow">
      <summary>{text.predict.featuresUsed(rows.length, asOf && format.date(asOf))}</summary>
      <Table
        caption={text.predict.featuresUsed(rows.length, asOf && format.date(asOf))}
        rows={rows}
        rowKey={([name]) => name}
        columns={[
          { key: "feature", title: text.predict.feature, cell: ([name]) => <span class="code">{name}</span> },
          {
            key: "value",
            title: text.predict.featureValue,
            numeric: true,
            cell: ([, value]) => (value === null ? text.predict.noValue : format.amount(value)),
          },
          { key: "meaning", title: text.predict.featureMeaning, cell: ([name]) => text.features[name] ?? "–" },
        ]}
      />
    </details>
  );
}

function ChurnAnswer({
  result,
  card,
  waits,
}: {
  result: Churn;
  card: Schemas["ModelCardAnswer"] | null;
  waits: boolean;
}) {
  const { sentence, counted } = churnSentence(result, card && churnQuality(card));
  return (
    <>
      <div>
        <p class="sentence">{waits ? text.loading : sentence}</p>
        {!waits && counted && <p class="small">{counted}</p>}
      </div>
      <p class="label">{text.predict.probability}</p>
      <ProbabilityBar value={result.churn_probability} band={result.churn_risk} label={text.predict.probability} />
      <p>
        <Risk band={result.churn_risk} />
      </p>
      {card && result.churn_risk !== "lapsed" && <Thresholds card={card} />}
    </>
  );
}

/** From where on a probability is in which band. */
function Thresholds({ card: { thresholds } }: { card: Schemas["ModelCardAnswer"] }) {
  const { high, medium } = thresholds;
  if (high === undefined || medium === undefined) return null;
  return <p class="small">{text.predict.bandsOf(high, medium)}</p>;
}

function NboAnswer({ result }: { result: Nbo }) {
  const best = result.top_offer as Nbo["top_offer"] | null;
  return (
    <>
      <p class="sentence">{sentenceOf(best)}</p>
      <Table
        caption={text.predict.runnersUp}
        columns={[
          { key: "offer", title: text.predict.offer, cell: (offer) => offer.offer_name },
          {
            key: "probability",
            title: text.predict.takes,
            cell: (offer) => <ProbabilityBar value={offer.probability} label={offer.offer_name} />,
          },
          { key: "evidence", title: text.predict.evidence, cell: (offer) => <Evidence offer={offer} /> },
        ]}
        rows={result.offers}
        rowKey={(offer) => String(offer.offer_id)}
      />
    </>
  );
}

function sentenceOf(best: Offer | null): string {
  if (best?.explored) return text.predict.sentenceExplored(best.offer_name);
  if (!best || best.evidence === "too_few") return text.predict.sentenceNoOffer;
  return text.predict.sentenceOffer(best.offer_name, best.probability);
}

function Evidence({ offer }: { offer: Offer }) {
  const tone = { learnt: "good", too_few: "warning", unknown: "" }[offer.evidence];
  return (
    <span class="marks">
      <span class={`mark ${tone}`}>{text.predict.evidences[offer.evidence]}</span>
      {offer.explored && <span class="mark">{text.predict.explored}</span>}
    </span>
  );
}

function RfmAnswer({ result }: { result: Rfm }) {
  const parts = [
    { name: text.predict.recency, score: result.r_score, value: text.predict.days(result.recency) },
    { name: text.predict.frequency, score: result.f_score, value: text.predict.purchases(result.frequency) },
    { name: text.predict.monetary, score: result.m_score, value: format.amount(result.monetary) },
  ];
  return (
    <>
      <p class="sentence">
        {text.predict.sentenceRfm(result.segment, result.recency, result.frequency, result.monetary)}
      </p>
      <p class="small">{text.predict.scoresOnly}</p>
      <dl class="facts wide">
        <div>
          <dt>{text.predict.code}</dt>
          <dd class="code">{result.rfm_segment}</dd>
        </div>
        {parts.map((part) => (
          <div key={part.name}>
            <dt>{part.name}</dt>
            <dd>
              {part.value}
              <br />
              <span class="small">{text.predict.score(part.score)}</span>
            </dd>
          </div>
        ))}
      </dl>
    </>
  );
}
