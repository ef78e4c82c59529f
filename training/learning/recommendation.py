"""What only an offer model has: of which offers enough is known, what recommending is worth, and what it must pass."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.models.card import Offer
from loyalty_ml.models.quality import OfferQuality
from training.config import CatalogueOffer, Config
from training.learning import offer_quality, policy_value
from training.learning.contenders import kind_of, shown
from training.learning.evidence import OfferEvidence
from training.learning.gates import Gate
from training.learning.held_out import HeldOut
from training.learning.offer_quality import RecommendationValue
from training.learning.policy_value import Exposures
from training.warehouse.examples import Examples

CHOOSE_FOR_NOBODY = ("offer_base_rate",)
"""Contenders that say the same of every customer: what they recommend is a single offer for everyone."""


@dataclass(frozen=True, slots=True)
class Recommendation:
    """Of an offer model, beside its evaluation.

    measured, quality: None of a choice, whose exposures do not say what works, and where no offer is learnt.
    advice:            what to do in place of a model that fails these gates, a sentence; None if there is nothing.
    """

    evidence: OfferEvidence
    gates: tuple[Gate, ...]
    measured: RecommendationValue | None = None
    quality: OfferQuality | None = None
    advice: str | None = None

    def catalogue(self, configured: tuple[CatalogueOffer, ...]) -> tuple[Offer, ...]:
        return self.evidence.catalogue(configured)


def of_data(examples: Examples, settings: Config) -> list[Gate]:
    """The gates that need no training: whether there are offers to choose from. None for examples of churn."""
    if examples.offers is None:
        return []
    return [offer_quality.to_choose_from(OfferEvidence.of(kind_of(examples), examples, settings.nbo))]


def advice_of_data(examples: Examples, settings: Config) -> str | None:
    """What to do in place of a model that is not trained because only one offer is learnt, a sentence; else None."""
    if examples.offers is None:
        return None
    enough = OfferEvidence.of(kind_of(examples), examples, settings.nbo).enough
    if len(enough) != 1:
        return None
    return f"Send everyone {enough[0].offer.offer_name}: too little is known of every other offer."


def recommendation(examples: Examples, outcomes: HeldOut, settings: Config) -> Recommendation:
    """Of examples of offers; outcomes: what was said of those that a split has held out.

    Evidence is counted over all of them, as `loyalty check` does: it is no matter of how customers are split.
    """
    kind = kind_of(examples)
    evidence = OfferEvidence.of(kind, examples, settings.nbo)
    gates = tuple(offer_quality.of_choice(evidence))
    if kind == "choice" or not evidence.learnt.any():
        return Recommendation(evidence, gates)
    measured = measure(examples, outcomes, evidence.learnt)
    gates += tuple(offer_quality.of_value(measured, examples.catalogue, settings.gates))
    advises = {offer_quality.OFFERS_TO_CHOOSE_FROM, *offer_quality.COMPARISONS}
    failed = any(not gate.passed and gate.name in advises for gate in gates)
    return Recommendation(
        evidence,
        gates,
        measured,
        offer_quality.quality(measured, examples.catalogue),
        offer_quality.advice(measured, examples.catalogue) if failed else None,
    )


def measure(examples: Examples, outcomes: HeldOut, learnt: NDArray[np.bool_]) -> RecommendationValue:
    """What the contenders' recommendations are worth on all rows that a split has held out, by their own answers.

    The propensities of a fold's rows are fitted on the rows that it has not held out. learnt: bool (offers,).
    """
    offers, size = shown(examples), len(examples.catalogue)
    propensities = np.empty((len(outcomes), size))
    for fold in np.unique(outcomes.folds):
        its = outcomes.folds == fold
        others = np.ones(len(examples), np.bool_)
        others[outcomes.rows[its]] = False
        fitted = policy_value.fit_propensities(examples.features[others], offers[others], size)
        propensities[its] = fitted(examples.features[outcomes.rows[its]])
    exposures = Exposures(outcomes.customers, offers[outcomes.rows], examples.happened[outcomes.rows], propensities)
    by_offer = {
        name: said.by_offer
        for name, said in outcomes.answers.items()
        if said.by_offer is not None and name not in CHOOSE_FOR_NOBODY
    }
    return offer_quality.measure(by_offer, exposures, learnt)
