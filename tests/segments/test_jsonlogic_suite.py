"""JsonLogic's own shared tests: what a rule accepts means what it means everywhere, and the rest is refused.

jsonlogic_tests.json is jsonlogic.com/tests.json, by Jeremy Wadhams, under the MIT licence that its second line holds.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from loyalty_ml.errors import InvalidRequest
from loyalty_ml.segments.rules import parse_rule
from loyalty_ml.vocabulary import CUSTOMER_ID

pytestmark = pytest.mark.unit

_LINES = json.loads(Path(__file__).with_name("jsonlogic_tests.json").read_text())
CASES = [line for line in _LINES if isinstance(line, list)]
OPERATORS = {"and", "or", "!", ">", ">=", "<", "<=", "==", "!=", "===", "!==", "in", "var"}

REASONS = {
    "takes conditions": "the truth of a number, a text or a list",
    "compares": "a number with a text, which JsonLogic converts",
    "is not a list": "in a text: a part of it",
    "a rule must be a condition": "a number for the whole rule",
    "there is no column": "data that is no column of numbers: absent, a text, a list, within another",
    "is not a column's name": "var of a place, or of all the data",
    "takes a column's name": "var of a place, or of all the data",
}


def operators(rule: Any) -> set[str]:
    if isinstance(rule, list):
        return {name for part in rule for name in operators(part)}
    if isinstance(rule, dict):
        return set(rule) | operators(list(rule.values()))
    return set()


def answer(rule: Any, data: Any) -> Any:
    """The rule's answer about one customer with the data's numbers. Raises InvalidRequest."""
    numbers = {
        name: value
        for name, value in (data.items() if isinstance(data, dict) else ())
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    parsed = parse_rule(rule, list(numbers), tuple)

    def column(name: str) -> NDArray[np.float64]:
        return np.array(parsed.codes.get("1", -1.0) if name == CUSTOMER_ID else float(numbers[name]))

    conditions = [conjunct.condition for conjunct in parsed.conjuncts]
    if all(condition.true(column) for condition in conditions):
        return True
    return False if any(condition.false(column) for condition in conditions) else None


def supported(rule: Any) -> bool:
    return isinstance(rule, dict) and operators(rule) <= OPERATORS


def test_rules_of_supported_operators_give_the_official_result_or_are_refused_by_design() -> None:
    outcomes: Counter[str] = Counter()
    for rule, data, official in CASES:
        if supported(rule):
            try:
                given = answer(rule, data)
            except InvalidRequest as error:
                outcomes[next(reason for part, reason in REASONS.items() if part in error.message)] += 1
            else:
                assert given is official, rule
                outcomes["agrees"] += 1
    assert outcomes == {
        "agrees": 51,
        "the truth of a number, a text or a list": 20,
        "a number with a text, which JsonLogic converts": 9,
        "in a text: a part of it": 2,
        "a number for the whole rule": 2,
        "data that is no column of numbers: absent, a text, a list, within another": 17,
        "var of a place, or of all the data": 3,
    }


def test_the_others_are_refused() -> None:
    others = [(rule, data) for rule, data, _ in CASES if not supported(rule)]
    assert len(others) == 7 + 164  # bare values, and rules with another operator somewhere
    for rule, data in others:
        with pytest.raises(InvalidRequest, match=r"a rule is an object|there is no operator"):
            answer(rule, data)
