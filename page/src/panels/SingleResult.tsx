/** One customer as a person reads it: first the sentence, then the figures. */

import { getCard, type Schemas } from "../api";
import * as format from "../format";
import { Raw } from "../parts/raw";
import { useResource } from "../parts/resource";
import { ProbabilityBar, Risk } from "../parts/risk";
import { Table } from "../parts/table";
import { type Asked, type Churn, churnSentence, evidenceOf, type Nbo, type Rfm } from "../predictions";
import { churnQuality } from "../quality";
import { text } from "../text";
import { curlOf } from "./Predict";

type Answer = Schemas["SingleAnswer"];

export function SingleResult({ answers }: { answers: Answer[] }) {
  const [first] = answers;
  if (!first) return null;
  const asked: Asked = answers.length > 1 ? "all" : first.type;
  return (
    <>
      <h2 class="customer">
        {text.predict.customer} <bdi>{first.customer_id}</bdi>
      </h2>
      {answers.map((answer) => (
        <OfType key={answer.type} answer={answer} />
      ))}
      <Raw answer={answers.length > 1 ? answers : first} curl={curlOf("single", asked, [first.customer_id])} />
    </>
  );
}

function OfType({ answer }: { answer: Answer }) {
  const { name, version } = answer.model;
  const hasCard = answer.type !== "rfm" && !answer.mock;
  const card = useResource(
    async (signal) => (hasCard ? await getCard(name, version, signal) : null),
    [name, version, hasCard],
  );
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
      {answer.type === "churn" && (
        <ChurnAnswer result={answer.result as Churn} card={card.value} waits={card.state === "loading"} />
      )}
      {answer.type === "nbo" && <NboAnswer result={answer.result as Nbo} />}
      {answer.type === "rfm" && <RfmAnswer result={answer.result as Rfm} />}
      {card.value && (
        <details>
          <summary>{text.predict.featuresUsed}</summary>
          <p class="code">{card.value.features.join(", ")}</p>
        </details>
      )}
      <p class="small source">
        {answer.features_as_of && text.predict.asOf(format.date(answer.features_as_of))}{" "}
        <span class="code">{text.predict.byModel(name, version)}</span>
      </p>
    </section>
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
  return (
    <>
      <p class="sentence">{waits ? text.loading : churnSentence(result, card && churnQuality(card))}</p>
      <p class="label">{text.predict.probability}</p>
      <ProbabilityBar value={result.churn_probability} band={result.churn_risk} label={text.predict.probability} />
      <p>
        <Risk band={result.churn_risk} />
      </p>
    </>
  );
}

function NboAnswer({ result }: { result: Nbo }) {
  const best = result.top_offer as Nbo["top_offer"] | null;
  return (
    <>
      <p class="sentence">
        {best && evidenceOf(best) !== "too_few"
          ? text.predict.sentenceOffer(best.offer_name, best.probability)
          : text.predict.sentenceNoOffer}
      </p>
      <Table
        caption={text.predict.runnersUp}
        columns={[
          { key: "offer", title: text.predict.offer, cell: (offer) => offer.offer_name },
          {
            key: "probability",
            title: text.report.predicted,
            cell: (offer) => <ProbabilityBar value={offer.probability} label={offer.offer_name} />,
          },
          ...(result.offers.some((offer) => evidenceOf(offer))
            ? [
                {
                  key: "evidence",
                  title: text.predict.evidence,
                  cell: (offer: Nbo["offers"][number]) =>
                    evidenceOf(offer) === "too_few" ? (
                      <span class="mark warning">{text.predict.tooFew}</span>
                    ) : (
                      <span class="mark good">{text.predict.learnt}</span>
                    ),
                },
              ]
            : []),
        ]}
        rows={result.offers}
        rowKey={(offer) => String(offer.offer_id)}
      />
    </>
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
