/** A customer as it is and as if, side by side, with how far the score moved and by what. */

import type { ComponentChildren } from "preact";
import { explainable } from "../../explained";
import * as format from "../../format";
import { ProbabilityBar, Risk } from "../../parts/risk";
import type { Churn, Nbo, OfType, Rfm } from "../../predictions";
import { wordsFor } from "../../scales";
import type { Schemas } from "../../schemas";
import { text } from "../../text";

type WhatIf = Schemas["WhatIf"];
type Card = Schemas["ModelCardAnswer"];

export function Outcome({
  before,
  after,
  waits,
  cards,
  children,
}: {
  before: OfType[];
  after: OfType[] | null;
  waits: boolean;
  cards: Card[];
  /** What is said where the changes have no answer. */
  children: ComponentChildren;
}) {
  const changes = Object.assign({}, ...(after ?? []).map((each) => explainable(each).what_if?.overrides));
  return (
    <div class={before.length > 1 ? "outcome several" : "outcome"} aria-busy={waits}>
      {before.map((each) => (
        <OfOne key={each.type} before={each} after={after?.find(({ type }) => type === each.type) ?? null} />
      ))}
      <p class="small">
        {waits ? text.whatIf.waits : after ? changesOf(changes, cards) : !children && text.whatIf.unchanged}
      </p>
      {children}
    </div>
  );
}

function changesOf(changes: WhatIf["overrides"], cards: Card[]): string {
  const said = Object.entries(changes).map(([name, { before, after }]) => {
    const words = wordsFor(name, after, cards, text.features[name]);
    const value = (number: number | null) => (number === null ? text.whatIf.nothing : format.amount(number));
    return text.whatIf.change(text.whatIf.value(words.before, value(after), words.after), value(before));
  });
  return text.whatIf.changes(said);
}

function OfOne({ before, after }: { before: OfType; after: OfType | null }) {
  return (
    <div>
      <p class="figure" role="status">
        {after === null ? asItIs(before) : sentenceOf(before, after)}
      </p>
      {before.type === "churn" && <Bars before={before} after={after} />}
      {before.mock && <p class="small">{text.predict.mockAnswer}</p>}
    </div>
  );
}

const churnOf = (answer: OfType | null): Churn | null =>
  answer && "result" in answer ? (answer.result as Churn) : null;

function Bars({ before, after }: { before: OfType; after: OfType | null }) {
  const pairs = [
    { label: text.whatIf.asItIs, churn: churnOf(before) },
    { label: text.whatIf.asIf, churn: churnOf(after) },
  ];
  return (
    <dl class="as-if">
      {pairs.map(
        ({ label, churn }) =>
          churn && (
            <div key={label}>
              <dt>{label}</dt>
              <dd>
                <ProbabilityBar value={churn.churn_probability} band={churn.churn_risk} label={label} />
                <Risk band={churn.churn_risk} />
              </dd>
            </div>
          ),
      )}
    </dl>
  );
}

/** The answer without any change, in few words. */
function asItIs(answer: OfType): string {
  if ("failure" in answer) return answer.failure.error;
  switch (answer.type) {
    case "churn":
      return text.whatIf.probabilityOnly(format.probability((answer.result as Churn).churn_probability));
    case "nbo": {
      const { top_offer, confidence } = answer.result as Nbo;
      return text.whatIf.offerOnly(top_offer.offer_name, format.probability(confidence));
    }
    default:
      return text.whatIf.rfm(rfmOf(answer.result as Rfm));
  }
}

const rfmOf = ({ rfm_segment, segment, r_score, f_score, m_score }: Rfm): string =>
  text.whatIf.rfmOf(rfm_segment, segment, r_score + f_score + m_score);

/** How the answer moved, as the service says it; the difference is that of what is printed. */
function sentenceOf(before: OfType, after: OfType): string {
  if ("failure" in after) return after.failure.error;
  const { what_if } = explainable(after);
  const own = asItIs(after);
  if (!what_if || what_if.score_before === null || "failure" in before) return own;
  if (Object.keys(what_if.overrides).length === 0) return text.whatIf.notRead(own);
  const [was, is] = [what_if.score_before, what_if.score_after];
  const tenths = (score: number) => Math.round(1000 * score);
  const moved = format.points((tenths(is) - tenths(was)) / 10);
  const isMoved = tenths(is) !== tenths(was);
  switch (after.type) {
    case "churn":
      return isMoved ? text.whatIf.instead(own, format.probability(was), moved) : text.whatIf.asBefore(own);
    case "nbo": {
      const [old, best] = [(before.result as Nbo).top_offer, (after.result as Nbo).top_offer];
      const said = isMoved ? text.whatIf.instead(own, format.probability(was), moved) : text.whatIf.asBefore(own);
      return old.offer_code === best.offer_code ? said : `${said} ${text.whatIf.otherOffer(old.offer_name)}`;
    }
    default: {
      const of = rfmOf(before.result as Rfm);
      return rfmOf(after.result as Rfm) === of ? text.whatIf.asBefore(own) : text.whatIf.rfmInstead(own, of);
    }
  }
}
