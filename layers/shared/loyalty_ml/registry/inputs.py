"""What a model set reads of a customer, and whether a snapshot has it: the features, defined as they were in training.

A definition is what training.warehouse.definitions writes: a hash, then the parts that it is of.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from loyalty_ml.models.card import Card, card_key, parse_card
from loyalty_ml.models.domain import Domain
from loyalty_ml.models.manifest import ActiveModel, RfmCutPoints

Definitions = Mapping[str, str]


class ModelInputs(NamedTuple):
    """The features that a model reads, in its order; their definitions, None where none were written with it.

    domains: by feature, the values that it may have; of those that have none it is any number.
    """

    name: str
    features: tuple[str, ...]
    definitions: Definitions | None
    domains: Mapping[str, Domain] = MappingProxyType({})


class Fit(NamedTuple):
    """How models fit to features: `problems` says what does not, `not_compared` what nobody can say."""

    problems: tuple[str, ...]
    not_compared: tuple[str, ...]


def inputs_of_card(card: Card) -> ModelInputs:
    return ModelInputs(f"{card.name} {card.version}", card.reads, card.feature_definitions, card.domains or {})


def inputs_of_cut_points(cut_points: RfmCutPoints) -> ModelInputs:
    return ModelInputs(
        f"rfm {cut_points.version}", cut_points.features, cut_points.feature_definitions, cut_points.domains or {}
    )


def inputs_of(
    models: Mapping[str, ActiveModel], cut_points: RfmCutPoints | None, read: Callable[[str], bytes]
) -> list[ModelInputs]:
    """Of models that a manifest names. Raises Refused where a card is not good, and what `read` raises."""
    found = []
    for name, active in sorted(models.items()):
        text = read(card_key(name, active.version))
        found.append(inputs_of_card(parse_card(text, name, active.version, active.card_sha256)))
    return found + ([inputs_of_cut_points(cut_points)] if cut_points else [])


def fit(
    models: Sequence[ModelInputs], features: Collection[str], definitions: Definitions | None, what: str = "snapshot"
) -> Fit:
    """Whether the features, defined so, are what the models read.

    definitions:  of the features; None where none were written with them.
    what:         has the features.
    """
    # By what does not fit: several models mostly read the same, and one sentence is enough for all of them.
    missing: dict[str, list[str]] = {}
    redefined: dict[tuple[str, str], list[str]] = {}
    not_compared = []
    for model in models:
        if absent := [name for name in model.features if name not in features]:
            missing.setdefault(", ".join(absent), []).append(model.name)
        if model.definitions is None:
            not_compared.append(f"The feature definitions of {model.name} were not compared: it has none.")
        elif definitions is None:
            not_compared.append(f"The feature definitions of {model.name} were not compared: the {what} has none.")
        else:
            there = [name for name in model.features if name in features]
            for change, names in _redefined(there, model.definitions, definitions).items():
                redefined.setdefault((change, ", ".join(names)), []).append(model.name)
    problems = [
        f"{_all_of(names)} {'reads' if len(names) == 1 else 'read'} {absent}, which the {what} does not have"
        for absent, names in missing.items()
    ]
    problems += [
        f"{_all_of(names)} {'was' if len(names) == 1 else 'were'} trained on another definition of {changed} than the "
        f"{what} has ({change})"
        for (change, changed), names in redefined.items()
    ]
    return Fit(tuple(problems), tuple(not_compared))


def _redefined(features: Iterable[str], trained: Definitions, now: Definitions) -> dict[str, list[str]]:
    """Each change, with all of the features that it changes."""
    by_change: dict[str, list[str]] = {}
    for name in features:
        if name in trained and name in now and trained[name] != now[name]:
            by_change.setdefault(changes(trained[name], now[name]), []).append(name)
    return by_change


def _all_of(names: Sequence[str]) -> str:
    """Such as "churn v1, nbo v1 and rfm v1"."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def changes(before: str, after: str) -> str:
    """What differs between two definitions, such as "[windows] year_days was 365 and is 180"."""
    old, new = _parts(before), _parts(after)
    return ", ".join(
        f"{key} was {old.get(key, 'not there')} and is {new.get(key, 'not there')}"
        for key in dict.fromkeys([*old, *new])
        if old.get(key) != new.get(key)
    )


def _parts(text: str) -> dict[str, str]:
    pairs = (part.partition(" = ") for part in text.partition(": ")[2].split("; "))
    return {key: value for key, _, value in pairs}
