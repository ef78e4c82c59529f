/** Why an answer is what it is: a bar for each reason, the largest first, and how they add up to it. */

import type { ApiError } from "../../api";
import { explainable, hasOthers, type Printed, printed, type Shown, stepsOf } from "../../explained";
import * as format from "../../format";
import type { Churn, Nbo, OfType } from "../../predictions";
import type { PredictionType } from "../../schemas";
import { text } from "../../text";

/** How many are shown at first. */
const FIRST = 8;

export function Reasons({
  answer,
  unexplained,
  title = text.why.title,
}: {
  answer: OfType;
  unexplained?: ApiError | undefined;
  title?: string;
}) {
  const { explained, reasons } = explainable(answer);
  const { type } = answer;
  const found = explained && reasons ? printed(explained, reasons, stepsOf(type)) : null;
  return (
    <div class={explained?.method === "sampled" ? "why sampled" : "why"}>
      <h4>{title}</h4>
      {found ? (
        <>
          <Beside answer={answer} />
          <p>{sumOf(type, found)}</p>
          <Sides type={type} />
          <Bars type={type} reasons={found.reasons.slice(0, FIRST)} />
          {found.reasons.length > FIRST && (
            <details>
              <summary>{text.why.rest(found.reasons.length - FIRST)}</summary>
              <Bars type={type} reasons={found.reasons.slice(FIRST)} />
            </details>
          )}
          {explained?.method === "sampled" && <p class="small">{text.why.sampled}</p>}
          {type !== "rfm" && (
            <p class="small">
              {answer.model.placeholder && <>{text.predict.placeholderAnswer} </>}
              {text.why.note}
            </p>
          )}
        </>
      ) : (
        <p>{text.why.none(unexplained?.code, answer.mock, unexplained?.message)}</p>
      )}
    </div>
  );
}

/** What the score is, where that is not plain. */
function Beside({ answer }: { answer: OfType }) {
  if (!("result" in answer)) return null;
  if (answer.type === "rfm") return <p class="small">{text.why.scores}</p>;
  if (answer.type === "nbo") {
    const nbo = answer.result as Nbo;
    const name = nbo.top_offer.offer_name;
    return <p class="small">{hasOthers(nbo) ? text.why.offer(name) : text.why.offerAlone(name)}</p>;
  }
  const { churn_risk } = answer.result as Churn;
  return churn_risk === "lapsed" ? <p class="small">{text.why.lapsed}</p> : null;
}

/** How the typical customer's score and the reasons make this one, all as printed. */
function sumOf(type: PredictionType, { baseline, score, raises, lowers }: Printed): string {
  const steps = stepsOf(type);
  const points = (value: number) =>
    type === "rfm" ? text.why.wholePoints(value) : text.why.points((100 * value) / steps);
  const whole = (value: number) => (type === "churn" ? format.probability(value / steps) : points(value));
  return text.why.adds(
    text.why.typical[type],
    whole(baseline),
    raises ? points(raises) : null,
    lowers ? points(-lowers) : null,
    whole(score),
  );
}

function Sides({ type }: { type: PredictionType }) {
  const [left, right] = text.why.sides[type];
  return (
    <div class="sides small" aria-hidden="true">
      <span>← {left}</span>
      <span>{right} →</span>
    </div>
  );
}

function Bars({ type, reasons }: { type: PredictionType; reasons: Shown[] }) {
  const [less, more] = text.why.sides[type];
  return (
    <ol class={`reasons ${type}`}>
      {reasons.map(({ key, words, added, length, error }) => (
        <li key={key} class={length < 0 ? "less" : "more"}>
          <span>
            <bdi>{words}</bdi>
          </span>
          <span class="diverging" aria-hidden="true">
            {length !== 0 && <span style={{ width: `${50 * Math.abs(length)}%` }} />}
          </span>
          <span class="number">
            {type === "rfm" ? format.change(added) : format.points((100 * added) / stepsOf(type))}
            {error !== null && <span class="small">{text.why.giveOrTake((100 * error) / stepsOf(type))}</span>}
            <span class="unseen">
              {" "}
              {text.why.unit}
              {added !== 0 && `, ${length < 0 ? less : more}`}
            </span>
          </span>
        </li>
      ))}
    </ol>
  );
}
