"""Plausible answers where no model was published, so that what is built on the service can be tried before training.

They say nothing about a customer: they are drawn from a hash of the id, so the same customer always gets the same.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.models.card import DEFAULT_OFFERS, Thresholds
from loyalty_ml.scoring.scores import ChurnScores, OfferScores, risk_band

OFFERS = tuple(offer.model_copy(update={"evidence": "learnt"}) for offer in DEFAULT_OFFERS)


def mock_churn(customer_ids: Sequence[str]) -> ChurnScores:
    """Churn for n customers: mostly low, some high, as in a real base."""
    probability = np.square(_uniform(customer_ids, "churn", 1)[:, 0])
    return ChurnScores(probability, risk_band(probability, Thresholds()))


def mock_offers(customer_ids: Sequence[str]) -> OfferScores:
    """Probabilities that sum to 1 over the default offers, for n customers."""
    weights: NDArray[np.float32] = np.exp(2 * _uniform(customer_ids, "nbo", len(OFFERS)))
    probabilities = weights / weights.sum(axis=1, keepdims=True)
    return OfferScores(probabilities, probabilities.argmax(axis=1).astype(np.int8))


def _uniform(customer_ids: Sequence[str], purpose: str, columns: int) -> NDArray[np.float32]:
    """Float32 (n, columns) in [0, 1), each row from its id alone."""
    digests = b"".join(
        hashlib.blake2b(customer_id.encode(), digest_size=4 * columns, person=purpose.encode()).digest()
        for customer_id in customer_ids
    )
    numbers = np.frombuffer(digests, "<u4").reshape(len(customer_ids), columns)
    # 24 bits are what a float32 below 1 can hold.
    return (numbers >> np.uint32(8)).astype(np.float32) / np.float32(1 << 24)
