"""What a rule may say of a customer beside the snapshot's columns: predictions, named as in answers and definitions."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.scoring.rfm import SEGMENT_NAMES, RfmScores, segment_codes
from loyalty_ml.scoring.scores import RISKS, ChurnScores, OfferScores
from loyalty_ml.vocabulary import PredictionType

OFFER = "recommended_offer"
"""A text: the code of the offer, as in a definition."""


class Variable(NamedTuple):
    """A prediction as a rule reads it.

    values:  of the type's columns of n answers: n numbers, or places in `texts` (n,).
    texts:   what it is one of; empty for the offers of whichever model answers, None for a number.
    """

    prediction_type: PredictionType
    values: Callable[[Any], NDArray[Any]]
    texts: Sequence[str] | None = None


def _churn_probability(scores: ChurnScores) -> NDArray[np.float32]:
    return scores.probability


def _churn_risk(scores: ChurnScores) -> NDArray[np.int8]:
    return scores.risk


def _offer(scores: OfferScores) -> NDArray[np.signedinteger]:
    return scores.best


def _rfm_number(name: str) -> Callable[[RfmScores], NDArray[Any]]:
    place = RfmScores._fields.index(name)
    return lambda scores: scores[place]


PREDICTED: Mapping[str, Variable] = {
    "churn_probability": Variable("churn", _churn_probability),
    "churn_risk": Variable("churn", _churn_risk, RISKS),
    OFFER: Variable("nbo", _offer, ()),
    "rfm_segment": Variable("rfm", segment_codes, SEGMENT_NAMES),
    **{name: Variable("rfm", _rfm_number(name)) for name in RfmScores._fields},
}
"""By name, in the order in which a problem lists them."""
