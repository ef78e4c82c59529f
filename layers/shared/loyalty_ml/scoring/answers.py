"""What each prediction type answers, and how its answers are shown: as JSON, as a file's columns, as counts of groups.

A mode (single, batch, segment, file) knows no type: it asks these. What else a new type needs is in CONTRIBUTING.md.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.models.card import Offer
from loyalty_ml.scoring.contracts import ChurnResult, NboResult, OfferProbability, Result, RfmResult
from loyalty_ml.scoring.rfm import SEGMENT_NAMES, RfmScores, segment_codes, segment_name
from loyalty_ml.scoring.scores import LAPSED, RISKS, ChurnScores, OfferScores, explores, places_type

ScoresT = TypeVar("ScoresT")


class Column(NamedTuple):
    """A column of a results file.

    values:  n numbers, float64; or int8 or int16 (n,), places in `texts` if there are any; or bool (n,).
    """

    name: str
    values: NDArray[Any]
    texts: Sequence[str] | None = None


class Answers(Protocol[ScoresT]):
    """How the scores of one prediction type are shown. Scores are columns of n customers.

    groups:      the names of the groups that customers are counted in, in the order to show them.
    codes:       what the groups are called whatever their names are, in the same order; None if the names are all.
    value_name:  what the number of `value` is called; None if there is no such number.
    summary:     the names of a summary's two parts: the largest groups and all of them; None if each group is a part.
    choices:     how many classes a ranking chooses from; 0 if it is by `value`.
    is_ranked:   whether some customers come before others.
    inactive:    the place of the group of customers who have left already; None if there is no such group.
    """

    @property
    def groups(self) -> Sequence[str]: ...
    @property
    def codes(self) -> Sequence[str] | None: ...
    @property
    def value_name(self) -> str | None: ...
    @property
    def summary(self) -> tuple[str, str] | None: ...
    @property
    def choices(self) -> int: ...
    @property
    def is_ranked(self) -> bool: ...
    @property
    def inactive(self) -> int | None: ...

    def nobody(self) -> ScoresT:
        """The columns of no customers."""
        ...

    def results(self, customer_ids: Sequence[str], scores: ScoresT) -> Sequence[Result]:
        """A result for each of n customers."""
        ...

    def columns(self, scores: ScoresT) -> Sequence[Column]:
        """The columns of a results file, after customer_id."""
        ...

    def group_of(self, scores: ScoresT) -> NDArray[np.signedinteger]:
        """The place in `groups` of each customer, int8 (n,); int16 if an int8 cannot hold them."""
        ...

    def value(self, scores: ScoresT) -> NDArray[np.float32] | None:
        """The number whose mean and distribution say something, float32 (n,)."""
        ...

    def rank(self, scores: ScoresT, choice: int | None) -> NDArray[np.float32]:
        """What customers are ordered by, the least first, float32 (n,); choice: a class, where there are `choices`."""
        ...

    def score_of(self, result: Any, after: Any) -> float:
        """The number of a result by which it is compared with `after`, the result as if some features were others."""
        ...


class ChurnAnswers:
    groups = RISKS
    codes = None
    value_name = "probability"
    summary = None
    choices = 0
    is_ranked = True
    inactive = int(LAPSED)

    def nobody(self) -> ChurnScores:
        return ChurnScores(np.empty(0, np.float32), np.empty(0, np.int8))

    def results(self, customer_ids: Sequence[str], scores: ChurnScores) -> list[ChurnResult]:
        # float32 to Python float is exact, so the JSON number reads back as the same float32.
        return [
            {"customer_id": customer_id, "churn_probability": probability, "churn_risk": RISKS[risk]}
            for customer_id, probability, risk in zip(
                customer_ids, scores.probability.tolist(), scores.risk.tolist(), strict=True
            )
        ]

    def columns(self, scores: ChurnScores) -> list[Column]:
        return [
            Column("churn_probability", scores.probability.astype(np.float64)),
            Column("churn_risk", scores.risk, RISKS),
        ]

    def group_of(self, scores: ChurnScores) -> NDArray[np.int8]:
        return scores.risk

    def value(self, scores: ChurnScores) -> NDArray[np.float32]:
        return scores.probability

    def rank(self, scores: ChurnScores, choice: int | None) -> NDArray[np.float32]:
        return -scores.probability

    def score_of(self, result: ChurnResult, after: ChurnResult) -> float:
        return result["churn_probability"]


class OfferAnswers:
    value_name = None
    summary = ("top_offers", "distribution")
    is_ranked = True
    inactive = None

    def __init__(self, offers: Sequence[Offer]) -> None:
        self._offers = offers
        self._too_few = np.array([offer.evidence == "too_few" for offer in offers], np.bool_)
        self.choices = len(offers)

    @property
    def groups(self) -> list[str]:
        return [offer.offer_name for offer in self._offers]

    @property
    def codes(self) -> list[str]:
        return [offer.offer_code for offer in self._offers]

    def nobody(self) -> OfferScores:
        places = np.empty(0, places_type(len(self._offers)))
        return OfferScores(np.empty((0, len(self._offers)), np.float32), places)

    def results(self, customer_ids: Sequence[str], scores: OfferScores) -> list[NboResult]:
        catalogue: list[Any] = [
            {
                "offer_id": offer.offer_id,
                "offer_code": offer.offer_code,
                "offer_name": offer.offer_name,
                "category": offer.category,
                "probability": None,
                "evidence": offer.evidence or "unknown",
            }
            for offer in self._offers
        ]
        explored = self._too_few[scores.best].tolist()
        results: list[NboResult] = []
        for customer_id, probabilities, best, order, is_explored in zip(
            customer_ids,
            scores.probabilities.tolist(),
            scores.best.tolist(),
            self._order(scores).tolist(),
            explored,
            strict=True,
        ):
            offers: list[OfferProbability] = []
            for offer_id in order:
                offer = catalogue[offer_id].copy()  # half the time of a new dictionary, eight times a customer
                offer["probability"] = probabilities[offer_id]
                offers.append(offer)
            if is_explored:
                offers[0]["explored"] = True
            results.append(
                {
                    "customer_id": customer_id,
                    "recommended_offer": best,
                    "confidence": probabilities[best],
                    "offer_scores": probabilities,
                    "offers": offers,
                    "top_offer": offers[0],
                }
            )
        return results

    def _order(self, scores: OfferScores) -> NDArray[np.intp]:
        """The ids as they are shown, (n, k): what is recommended, then the best first, of equal ones the lower id;
        those of which too little is known are behind all others."""
        if not self._too_few.any():
            return np.argsort(-scores.probabilities, axis=1, kind="stable")
        behind = np.tile(self._too_few.astype(np.int8), (len(scores.best), 1))
        np.put_along_axis(behind, scores.best[:, np.newaxis].astype(np.intp), -1, axis=1)
        return np.lexsort((-scores.probabilities, behind), axis=1)

    def columns(self, scores: OfferScores) -> list[Column]:
        by_offer = scores.probabilities.T.astype(np.float64)
        confidence = np.take_along_axis(by_offer, scores.best[np.newaxis].astype(np.intp), axis=0)[0]
        evidence = [offer.evidence or "unknown" for offer in self._offers]
        return [
            Column("recommended_offer", scores.best),
            Column("offer_code", scores.best, self.codes),
            Column("offer_name", scores.best, self.groups),
            Column("category", scores.best, [offer.category for offer in self._offers]),
            Column("confidence", confidence),
            Column("evidence", scores.best, evidence),
            *([Column("explored", self._too_few[scores.best])] if explores(self._offers) else []),
            *(Column(f"offer_{offer}", column) for offer, column in enumerate(by_offer)),
        ]

    def group_of(self, scores: OfferScores) -> NDArray[np.signedinteger]:
        return scores.best

    def value(self, scores: OfferScores) -> None:
        return None

    def rank(self, scores: OfferScores, choice: int | None) -> NDArray[np.float32]:
        assert choice is not None
        return -scores.probabilities[:, choice]

    def score_of(self, result: NboResult, after: NboResult) -> float:
        return result["offer_scores"][after["recommended_offer"]]


_RFM_CODES = [f"{r}{f}{m}" for r in range(1, 6) for f in range(1, 6) for m in range(1, 6)]


class RfmAnswers:
    groups = SEGMENT_NAMES
    codes = None
    value_name = None
    summary = ("distribution", "top_segments")
    choices = 0
    is_ranked = False
    inactive = None

    def nobody(self) -> RfmScores:
        value, score = np.empty(0), np.empty(0, np.int8)
        return RfmScores(value, value, value, score, score, score)

    def results(self, customer_ids: Sequence[str], scores: RfmScores) -> list[RfmResult]:
        return [
            {
                "customer_id": customer_id,
                "recency": _whole(recency),
                "frequency": _whole(frequency),
                "monetary": monetary,
                "r_score": r_score,
                "f_score": f_score,
                "m_score": m_score,
                "rfm_segment": f"{r_score}{f_score}{m_score}",
                "segment": segment_name(r_score, f_score),
            }
            for customer_id, recency, frequency, monetary, r_score, f_score, m_score in zip(
                customer_ids, *(column.tolist() for column in scores), strict=True
            )
        ]

    def columns(self, scores: RfmScores) -> list[Column]:
        r_score, f_score, m_score = scores.r_score, scores.f_score, scores.m_score
        return [
            Column("recency", scores.recency),
            Column("frequency", scores.frequency),
            Column("monetary", scores.monetary),
            Column("r_score", r_score),
            Column("f_score", f_score),
            Column("m_score", m_score),
            Column("rfm_segment", 25 * (r_score - 1) + 5 * (f_score - 1) + (m_score - 1), _RFM_CODES),
            Column("segment", segment_codes(scores), SEGMENT_NAMES),
        ]

    def group_of(self, scores: RfmScores) -> NDArray[np.int8]:
        return segment_codes(scores)

    def value(self, scores: RfmScores) -> None:
        return None

    def rank(self, scores: RfmScores, choice: int | None) -> NDArray[np.float32]:
        raise AssertionError("RFM orders nobody")

    def score_of(self, result: RfmResult, after: RfmResult) -> float:
        return result["r_score"] + result["f_score"] + result["m_score"]


def _whole(number: float) -> float:
    """A count or a number of days as an integer where it is one: 86 rather than 86.0.

    Beyond 2**53 a float64 stands for several integers, and beyond 2**64 orjson writes none.
    """
    return int(number) if abs(number) < 2**53 and number.is_integer() else number
