"""What if: a customer scored with some features overridden, beside the customer as it is."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from loyalty_ml.customers.domains import outside_domains
from loyalty_ml.customers.table import FeatureTable
from loyalty_ml.errors import InvalidRequest, LoyaltyError
from loyalty_ml.scoring.explained_contracts import Override, WhatIf
from loyalty_ml.scoring.predictions import Predictions, ReadFeatures, predictions_of
from loyalty_ml.scoring.scorers import Scorer
from loyalty_ml.vocabulary import PredictionType

READ_BY_NOBODY = "no prediction that is asked for reads this feature: remove it"
MOCK_READS_NOTHING = (
    "no prediction that is asked for reads this feature, because mock data come from the customer's id alone: publish "
    "a model, or remove it"
)


def predict_as_if(
    scorers: Mapping[PredictionType, Scorer],
    customer_id: str,
    overrides: Mapping[str, float],
    read_features: ReadFeatures,
    *,
    explain: bool = False,
) -> Mapping[PredictionType, Predictions]:
    """Predictions by each scorer for one customer as if; a result says in `what_if` how far its score moved.

    overrides:  values by feature, finite. One for a feature that the customer lacks gives it a value. A category that
                is given takes the place of the customer's own.
    Raises InvalidRequest for a feature that no scorer reads and for two categories of one text, InvalidFeatures for a
    value outside its domain, NoBaseline, and whatever `read_features` raises.
    """
    _check(overrides, scorers.values())
    names = list(dict.fromkeys(name for scorer in scorers.values() for name in scorer.features))
    table = read_features([customer_id], names)
    overrides = _with_replaced(overrides, scorers.values(), table)
    as_if = overridden(table, overrides)
    found: dict[PredictionType, Predictions] = {}
    for name, scorer in scorers.items():
        before = predictions_of(name, scorer, [customer_id], table).outcomes[customer_id]
        found[name] = predictions_of(name, scorer, [customer_id], as_if, explain=explain)
        after: Any = found[name].outcomes[customer_id]
        if not isinstance(after, LoyaltyError):
            own = {feature: value for feature, value in overrides.items() if feature in scorer.features}
            after["what_if"] = _what_if(scorer, _override_of(table, own), before, after)
    return found


def overridden(table: FeatureTable, overrides: Mapping[str, float]) -> FeatureTable:
    """The same customers with these values; features that the table lacks are left out.

    Who has bought nothing may have bought as if, so that what is still missing is named: it can be overridden, too.
    """
    values = table.values.copy()
    absent = None if table.absent is None else table.absent.copy()
    for feature, value in overrides.items():
        if feature in table.names:
            place = table.names.index(feature)
            values[:, place] = value
            if absent is not None:
                absent[:, place] = False
    return replace(table, values=values, absent=absent, purchases=None)


def _check(overrides: Mapping[str, float], scorers: Any) -> None:
    known = {name for scorer in scorers for name in scorer.features}
    unknown = [name for name in overrides if name not in known]
    if unknown:
        problem = MOCK_READS_NOTHING if any(scorer.is_mock for scorer in scorers) else READ_BY_NOBODY
        raise InvalidRequest([(f"overrides.{name}", problem) for name in unknown])
    for scorer in scorers:
        names = [name for name in overrides if name in scorer.features]
        row = np.array([overrides[name] for name in names], np.float64)
        for text, categories in scorer.categories.items():
            given = [name for name in categories if overrides.get(name)]
            if len(given) > 1:
                problem = f"a customer has one {text}: give only one of {', '.join(given)}, and the others become 0"
                raise InvalidRequest([(f"overrides.{name}", problem) for name in given])
        outside = outside_domains(names, row, scorer.domains, "The overrides are outside their domains")
        if outside is not None:
            raise outside


def _with_replaced(
    overrides: Mapping[str, float], scorers: Iterable[Scorer], table: FeatureTable
) -> Mapping[str, float]:
    """With 0 for the category that the customer has in place of one that is given: nobody is of two."""
    before = dict(zip(table.names, table.values[0].tolist(), strict=True))
    replaced = {
        name: 0.0
        for scorer in scorers
        for categories in scorer.categories.values()
        if any(overrides.get(name) for name in categories)
        for name in categories
        if name not in overrides and before[name] != 0
    }
    return {**overrides, **replaced}


def _override_of(table: FeatureTable, overrides: Mapping[str, float]) -> dict[str, Override]:
    before = dict(zip(table.names, table.values[0].tolist(), strict=True))
    return {
        feature: {"before": before[feature] if np.isfinite(before[feature]) else None, "after": value}
        for feature, value in overrides.items()
    }


def _what_if(scorer: Scorer, overrides: dict[str, Override], before: Any, after: Any) -> WhatIf:
    score_after = scorer.answers.score_of(after, after)
    score_before = None if isinstance(before, LoyaltyError) else scorer.answers.score_of(before, after)
    moved = None if score_before is None else score_after - score_before
    return {"overrides": overrides, "score_before": score_before, "score_after": score_after, "moved": moved}
