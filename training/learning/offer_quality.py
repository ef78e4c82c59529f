"""What a model's recommendations are worth: as figures for its card, in words, and as the gates that it must pass."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.models.card import Offer
from loyalty_ml.models.quality import GroupQuality, OfferQuality, Ranged
from training.config import MIN_OFFERS, Gates
from training.learning import policy_value
from training.learning.contenders import NETWORK
from training.learning.evidence import OfferEvidence
from training.learning.gates import Gate
from training.learning.policy_value import LEAST_PROPENSITY, Exposures, Values

BETTER_THAN_SHOWN = "better than what was shown"
NOT_BELOW_BEST_SINGLE = "as good as the best single offer"
CONFIDENT_OF_WHAT_WORKS = "calibrated on what it recommends"
OFFERS_TO_CHOOSE_FROM = "offers to choose from"
KNOWS_WHAT_WORKS = "knows what works"

COMPARISONS = (BETTER_THAN_SHOWN, NOT_BELOW_BEST_SINGLE)

MORE_EXPOSURES = "Bring more exposures in the table of [tables] offers"
RELIABLE = 0.05
"""If a larger share of the exposures was as unlikely as LEAST_PROPENSITY, the value is said to be uncertain."""


@dataclass(frozen=True, slots=True)
class RecommendationValue:
    """What is known of the recommendations on held-out exposures.

    values:          by contender, all by the scores of the network, so that they differ by what they recommend only.
    confidence:      see policy_value.confidence, over_confidence: of the network.
    matched:         how many exposures were shown what the network recommends.
    """

    exposures: int
    clipped: int
    matched: int
    values: dict[str, Values]
    confidence: tuple[GroupQuality, ...]
    over_confidence: Ranged | None

    @property
    def ours(self) -> Values:
        return self.values[NETWORK]

    def as_json(self) -> dict[str, Any]:
        return {
            "values": {
                name: {key: _json(value) for key, value in asdict(found).items()} for name, found in self.values.items()
            },
            "over_confidence": _json(self.over_confidence),
            "shown_as_recommended": self.matched,
            "least_propensity": LEAST_PROPENSITY,
        }


def measure(
    probabilities: Mapping[str, NDArray[np.floating]], exposures: Exposures, learnt: NDArray[np.bool_]
) -> RecommendationValue:
    """Of contenders by name, the network among them: each one's probabilities of conversion (n, k), for all offers.

    learnt: bool (k,), which offers may be recommended.
    """
    network = probabilities[NETWORK]
    scores = policy_value.doubly_robust(network, exposures)
    sent = {name: policy_value.recommended(own, learnt) for name, own in probabilities.items()}
    return RecommendationValue(
        exposures=len(exposures),
        clipped=exposures.clipped,
        matched=int((sent[NETWORK] == exposures.shown).sum()),
        values={name: policy_value.values_of(own, scores, exposures, learnt) for name, own in sent.items()},
        confidence=policy_value.confidence(network, exposures, learnt),
        over_confidence=policy_value.over_confidence(network, exposures, learnt),
    )


def quality(measured: RecommendationValue, catalogue: Sequence[Offer]) -> OfferQuality:
    ours = measured.ours
    return OfferQuality(
        exposures=measured.exposures,
        clipped=measured.clipped,
        recommended=ours.recommended,
        shown=ours.shown,
        best_single=ours.best_single,
        best_offer=catalogue[ours.best_offer].offer_code,
        over_shown=ours.over_shown,
        over_best_single=ours.over_best_single,
        confidence=measured.confidence,
        sentence=_sentence(measured, catalogue),
    )


def advice(measured: RecommendationValue, catalogue: Sequence[Offer]) -> str:
    """What to do in place of a model that does not pass: one sentence for people."""
    ours = measured.ours
    name = catalogue[ours.best_offer].offer_name
    return (
        f"Send everyone {name}: of 1,000 exposures that converts {of_1000(ours.best_single)}, what the model "
        f"recommends {of_1000(ours.recommended)}, what was shown {of_1000(ours.shown)}."
    )


def to_choose_from(evidence: OfferEvidence) -> Gate:
    """Whether enough is known of at least two offers; of one there is no choice."""
    enough = len(evidence.enough)
    if enough >= MIN_OFFERS:
        few = evidence.too_few
        rest = f" Too little is known of {evidence.listed(few)}: these are not recommended." if few else ""
        sentence = f"{enough:,} of {len(evidence.counts):,} offers have {evidence.rule()}.{rest}"
        return Gate(OFFERS_TO_CHOOSE_FROM, passed=True, sentence=sentence)
    remedy = f"{MORE_EXPOSURES}, or lower [nbo] minimum_conversions and minimum_refusals."
    if enough:
        only = evidence.enough
        sentence = (
            f"Only {evidence.listed(only)} has {evidence.rule()}, so there is no choice: send everyone "
            f"{only[0].offer.offer_name}. {remedy}"
        )
    else:
        sentence = f"No offer has {evidence.rule()} in these exposures: {evidence.listed(evidence.counts)}. {remedy}"
    return Gate(OFFERS_TO_CHOOSE_FROM, passed=False, sentence=sentence)


def of_choice(evidence: OfferEvidence) -> list[Gate]:
    """Whether there are offers that enough is known of, and whether it is known what works."""
    gates = [to_choose_from(evidence)]
    if evidence.kind == "choice":
        gates.append(
            Gate(
                KNOWS_WHAT_WORKS,
                passed=False,
                sentence="It knows what was taken where it used to be shown, not what works: bring exposures that did "
                "not convert in the table of [tables] offers (--force REASON overrules this).",
                forceable=True,
            )
        )
    return gates


def of_value(measured: RecommendationValue, catalogue: Sequence[Offer], gates: Gates) -> list[Gate]:
    """Whether the recommendation is better than what was shown, not below the best single offer, and not overstated.

    The comparison with the best offer fails only where the whole interval is below it: else nobody can tell.
    """
    ours = measured.ours
    best = catalogue[ours.best_offer].offer_name
    instead = advice(measured, catalogue)
    above = ours.over_shown.low > 0
    below = ours.over_best_single.high < 0
    return [
        Gate(
            BETTER_THAN_SHOWN,
            passed=above,
            sentence=f"Of 1,000 exposures, what it recommends converts {_more(ours.over_shown)} over what was shown"
            + (
                ", and all of that range is above 0."
                if above
                else f", where all of that range must be above 0. {instead}"
            ),
        ),
        Gate(
            NOT_BELOW_BEST_SINGLE,
            passed=not below,
            sentence=f"Of 1,000 exposures, what it recommends converts {_more(ours.over_best_single)} over {best} "
            f"for everyone. {instead if below else _beside_best(ours)}",
        ),
        _calibrated(measured, gates),
    ]


def _calibrated(measured: RecommendationValue, gates: Gates) -> Gate:
    over, most = measured.over_confidence, gates.calibration_over_floor
    if over is None:
        return Gate(
            CONFIDENT_OF_WHAT_WORKS,
            passed=False,
            sentence="No held-out exposure was shown what it recommends, so nothing is known of its confidence. "
            f"{MORE_EXPOSURES}, of these offers to customers like these.",
        )
    passed = over.low <= most and over.high >= -most
    unsure = (
        " At this size it cannot be told whether it is within that."
        if passed and (over.high > most or over.low < -most)
        else ""
    )
    remedy = "" if passed else f" {MORE_EXPOSURES}, or raise [gates] calibration_over_floor."
    return Gate(
        CONFIDENT_OF_WHAT_WORKS,
        passed=passed,
        sentence=f"On the {measured.matched:,} exposures that were shown what it recommends its confidence is "
        f"{difference(over)} over the share that converted (at most {most:g} off).{unsure}{remedy}",
    )


def _sentence(measured: RecommendationValue, catalogue: Sequence[Offer]) -> str:
    ours = measured.ours
    best = catalogue[ours.best_offer].offer_name
    sentences = [
        f"Of 1,000 exposures, what the model recommends converts {of_1000(ours.recommended)}, {best} for everyone "
        f"{of_1000(ours.best_single)}, what was shown {of_1000(ours.shown)}.",
        _beside_best(ours) if ours.over_best_single.high >= 0 else "It is worse than the same offer for everyone.",
        f"It recommends {best} for {ours.agree:.1%} of them.",
    ]
    if measured.clipped:
        sentences.append(
            f"{measured.clipped:,} of {measured.exposures:,} exposures had a chance under {LEAST_PROPENSITY:.0%} to be "
            "shown that offer, and count as if it were as much."
        )
    if measured.clipped > RELIABLE * measured.exposures:
        sentences.append("These are many, so the values are uncertain: show a share of customers an offer at random.")
    return " ".join(sentences)


def _beside_best(ours: Values) -> str:
    if ours.over_best_single.low > 0:
        return "It is better than the same offer for everyone."
    if ours.over_best_single.low == ours.over_best_single.high == 0:
        return "It is the same as one offer for everyone."
    return "Whether it is better than the same offer for everyone cannot be told at this size."


def of_1000(rate: Ranged) -> str:
    """A rate as so many of 1,000, and its range, for people."""
    return f"{1000 * rate.value:.0f} ({1000 * max(rate.low, 0):.0f} to {1000 * min(rate.high, 1):.0f})"


def difference(figure: Ranged) -> str:
    """A difference of rates and its range, for people; what rounds to 0 has no minus sign."""
    return f"{figure.value:+z.3f} ({figure.low:+z.3f} to {figure.high:+z.3f})"


def _more(figure: Ranged) -> str:
    """A difference of rates as so many of 1,000, and its range, for people."""
    return f"{1000 * figure.value:+z.1f} ({1000 * figure.low:+z.1f} to {1000 * figure.high:+z.1f})"


def _json(value: Any) -> Any:
    if isinstance(value, Ranged):
        return value.model_dump()
    return [_json(item) for item in value] if isinstance(value, tuple) else value
