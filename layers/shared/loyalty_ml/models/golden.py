"""Golden inputs and outputs of a model's card: what the model answered where it was trained, and must answer here."""

from typing import Any

import numpy as np

from loyalty_ml.models.card import Card
from loyalty_ml.models.document import Refused
from loyalty_ml.models.interpreter import Network


def difference(card: Card, network: Network) -> float:
    """The largest difference of the model's answers to its golden inputs from its card's; NaN if an answer is."""
    answers = network(np.array(card.golden.inputs, np.float32))
    expected = np.array(card.golden.outputs, np.float32)
    return float(np.abs(answers - expected).max())


def check(card: Card, network: Network) -> None:
    """Raises Refused where the answers are not those of the card."""
    found = difference(card, network)
    if not found <= card.golden.tolerance:  # also where it is NaN
        raise Refused(f"its golden outputs differ by {found:.2g}, more than {card.golden.tolerance:.2g}")


def facts(card: Card, network: Network) -> dict[str, Any]:
    """What a model was asked and how far off it answered, as JSON can hold it."""
    return {
        "version": card.version,
        "inputs": len(card.golden.inputs),
        "difference": difference(card, network),
        "tolerance": card.golden.tolerance,
    }
