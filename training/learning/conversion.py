"""Which form the model of conversion takes: the simplest that is as good.

From the simplest on: effects that all offers have in common, with departures of each offer that are kept small, then
larger ones (offer_effects), then a network with hidden layers. The more a form is free to say that an offer suits
someone, the more of that is luck, and the luckiest offer is what is recommended: so a freer form is taken only where it
is better by more than a standard error (the one-standard-error rule; Breiman et al. 1984, "Classification and
Regression Trees", section 3.4.3). How large departures are is chosen by cross-validation over customers, which the
fits are quick enough for; the network against that by the rows that it was stopped by.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.learning import held_out, offer_effects, splits
from training.learning.metrics import NORMAL_95
from training.learning.policy_value import mean_with_interval
from training.warehouse.examples import Examples

FOLDS = 5
SPREADS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Of the departures, in log-odds a standard deviation of the feature: from none to speak of to as large as may be."""


class Chosen(NamedTuple):
    """A Keras network, what its graph is, and what fitting it took, for people; of the one given, no effort."""

    network: Any
    form: str
    effort: str = ""


def choose(network: Any, examples: Examples, stopping: NDArray[np.bool_], offers: int) -> Chosen:
    """The network with hidden layers, or a simpler one that is as good on the rows in `stopping`, bool (n,).

    examples: of exposures, from the others of which the network has learnt. A simpler one learns from all of them.
    """
    from training.learning import networks  # noqa: PLC0415  TensorFlow takes seconds, which --help need not wait for

    learnt, asked = examples.where(~stopping), examples.where(stopping)
    spread = choose_spread(learnt, offers)
    scaled, asked_scaled = (networks.scaled_by(learnt.features, part.features) for part in (learnt, asked))
    effects = offer_effects.fit(scaled, _shown(learnt), learnt.happened, offers, spread)
    of_line = _surprise(asked, effects.probabilities(asked_scaled))
    of_network = _surprise(asked, networks.answers(network, asked.features))
    if simplest([of_line, of_network], asked.customer_ids):
        return Chosen(network, networks.HIDDEN_FORM)
    scaled = networks.scaled_by(examples.features, examples.features)
    effects = offer_effects.fit(scaled, _shown(examples), examples.happened, offers, spread)
    line = networks.linear_conversion_network(examples.features, effects.kernel, effects.bias)
    form = f"without hidden layers, what all offers have in common and departures of each with a spread of {spread:g}"
    return Chosen(line, form, f"without hidden layers, spread {spread:g}")


def choose_spread(examples: Examples, offers: int) -> float:
    """Of SPREADS, by cross-validation over customers; the smallest, where there are too few to tell."""
    from training.learning import networks  # noqa: PLC0415

    folds = splits.into_folds(examples.customer_ids, FOLDS)
    surprises = np.full((len(SPREADS), len(examples)), np.nan)
    for fold in np.unique(folds):
        learnt, asked = examples.where(folds != fold), examples.where(folds == fold)
        if not len(learnt):
            return SPREADS[0]
        scaled, asked_scaled = (networks.scaled_by(learnt.features, part.features) for part in (learnt, asked))
        for place, spread in enumerate(SPREADS):
            effects = offer_effects.fit(scaled, _shown(learnt), learnt.happened, offers, spread)
            surprises[place, folds == fold] = _surprise(asked, effects.probabilities(asked_scaled))
    return SPREADS[simplest(list(surprises), examples.customer_ids)]


def simplest(surprises: list[NDArray[np.float64]], customers: NDArray[Any]) -> int:
    """The first of the forms whose log-loss is not above the lowest by more than a standard error of the difference.

    surprises: of each form, the simplest first, -ln(probability given to what happened) of the same rows, float64 (n,);
    customers: (n,), whose rows go together.
    """
    best = min(surprises, key=lambda surprise: float(surprise.mean()))
    for place, surprise in enumerate(surprises):
        over = mean_with_interval(surprise - best, customers)
        if over.value <= (over.high - over.value) / NORMAL_95:
            return place
    raise AssertionError("the best form is as good as itself")


def _surprise(examples: Examples, probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    of_shown = probabilities[np.arange(len(examples)), _shown(examples)]
    return held_out.said(examples.happened, of_shown).surprise


def _shown(examples: Examples) -> NDArray[np.int64]:
    if examples.offers is None:
        raise ValueError("examples of churn have no offers")
    return examples.offers
