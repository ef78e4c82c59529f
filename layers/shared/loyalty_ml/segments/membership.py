"""Who is in a segment: all that its definition says is true of them."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

from loyalty_ml.customers.population import Block, Members, Population
from loyalty_ml.errors import InvalidRequest
from loyalty_ml.models import catalogue
from loyalty_ml.models.store import ModelSet
from loyalty_ml.scoring.scorers import Scorer, scorer_for
from loyalty_ml.segments import conditions
from loyalty_ml.segments.answered import Kept, whole
from loyalty_ml.segments.definition import SegmentDefinition
from loyalty_ml.segments.keeping import Test, keeping
from loyalty_ml.segments.rules import parse_rule
from loyalty_ml.segments.variables import OFFER
from loyalty_ml.vocabulary import MockMode, PredictionType


class Selection(NamedTuple):
    """A segment's members: those of `members` whom `keep` keeps; `unknown` are ids of a list that are no customers.

    keep:  for `measure` of Members, so its blocks are of the thread's memory too.
    """

    members: Members
    keep: Callable[[Block], Kept]
    unknown: Sequence[str]


def select(
    definition: SegmentDefinition | None, population: Population, models: ModelSet, mock_mode: MockMode
) -> Selection:
    """A segment's members, of whom all that the definition says is true; all customers for None.

    Ids of a list that are no customers are `unknown` only if the definition says nothing else: nothing else is true of
    them. Raises InvalidRequest for a rule that the snapshot's columns do not fit and for an offer that the model has
    not, ModelUnavailable where membership is a prediction that cannot be made.
    """
    if definition is None:
        return Selection(population.everyone(), whole, ())

    @cache
    def scorer_of(prediction_type: PredictionType) -> Scorer:
        return scorer_for(prediction_type, models, mock_mode)

    members, unknown = population.everyone(), list[str]()
    if definition.customer_ids is not None:
        members, unknown = population.listed(definition.customer_ids)
    tests, codes = _tests(definition, population.features, scorer_of)
    keep = keeping(tests, codes, population, scorer_of) if tests else whole
    return Selection(members, keep, unknown if definition.kind == "customer_ids" else ())


def _tests(
    definition: SegmentDefinition, features: Sequence[str], scorer_of: Callable[[PredictionType], Scorer]
) -> tuple[list[Test], dict[str, float]]:
    """What is true of each member, beside that it is in the list; and the codes of the texts in it."""
    tests: list[Test] = []
    codes: dict[str, float] = {}
    if definition.rule is not None:
        rule = parse_rule(definition.rule, features, lambda: scorer_of("nbo").answers.codes or ())
        tests += [Test(each.condition, each.reads & {*features}, each.reads - {*features}) for each in rule.conjuncts]
        codes |= rule.codes
    groups = {"rfm_segment": definition.rfm_segment, "churn_risk": definition.churn_risk}
    if definition.recommended_offer is not None:
        scorer = scorer_of("nbo")
        place = stored_offer(definition.recommended_offer, scorer)
        groups[OFFER] = (scorer.answers.codes or ())[place]
    for name, text in groups.items():
        if text is not None:
            code = conditions.literal(codes.setdefault(text, float(len(codes))))
            tests.append(Test(conditions.equality(conditions.column(name), code), frozenset(), frozenset([name])))
    return tests, codes


def stored_offer(code: int | str, scorer: Scorer) -> int:
    """The place of the offer that a stored definition is of: always by its code, as a place means another offer today.

    Raises InvalidRequest if the model does not know the code.
    """
    place = catalogue.place_of_code(scorer.offers, str(code))
    if place is None:
        raise InvalidRequest.of(
            "recommended_offer",
            f"the segment is of offer {code}, but the model has only offers {catalogue.listed(scorer.offers)}: change "
            "the segment's definition",
        )
    return place
