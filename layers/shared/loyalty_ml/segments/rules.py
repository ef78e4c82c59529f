"""A segment's rule: JsonLogic (jsonlogic.com) over the snapshot's columns and over predictions.

{"and": [{">": [{"var": "revenue"}, 500]}, {"in": [{"var": "churn_risk"}, ["high", "medium"]]}]}

The operators are `and`, `or`, `!`, `>`, `>=`, `<`, `<=` (these two for between as well), `==`, `!=`, `in` and `var`.
They mean what they mean in JsonLogic, with three differences, all on purpose:

- A customer without a value (NULL) is in neither a comparison with it nor that comparison's negation, as in SQL, where
  JavaScript takes null for 0. Only == null and != null ask whether there is a value, and the second argument of var is
  what the rule's author wants in its place.
- Nothing is converted: a number is compared with a number, a text with a text. What is not a condition has no truth, so
  `and`, `or`, `!` and the rule itself take conditions: comparisons, true and false. The rest is refused by name.
- A column's name is a name and not a path: "a.b" is the column a.b. The list of `in` is written out, and not empty.

A prediction is a variable (variables.py). It has no value for a customer without an answer. A column of the snapshot
that has its name comes before it, so that a stored rule goes on meaning what it meant.

`===` and `!==` are other names of `==` and `!=`, which are as strict here. Numbers are DOUBLE, as the columns are: one
that no DOUBLE is equal to is refused rather than rounded.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from jsonlogic import JSONLogicExpression, Operator
from jsonlogic.evaluation import evaluate
from jsonlogic.json_schema.types import BooleanType
from jsonlogic.registry import UnknownOperator
from jsonlogic.resolving import ParsedReference
from jsonlogic.typechecking import typecheck

from loyalty_ml.errors import InvalidRequest
from loyalty_ml.segments.conditions import Condition
from loyalty_ml.segments.operators import CODES, KINDS, MAX_NODES, OPERATORS, REGISTRY, RuleOperator, shown
from loyalty_ml.segments.variables import OFFER, PREDICTED
from loyalty_ml.vocabulary import CUSTOMER_ID

MAX_DEPTH = 32
"""Operators and lists inside one another: far more than a person reads, far less than what exhausts a stack."""
LONGEST_TEXT = 256
"""Characters; no id is longer."""
MAX_PROBLEMS = 10
"""In one answer; who mends ten asks again."""

_Problem = tuple[str, str]
"""The field, as a path into the rule such as rule.and.1.>, and what is wrong there."""


class Conjunct(NamedTuple):
    """A condition that every member satisfies, and the names of the variables that it reads."""

    condition: Condition
    reads: frozenset[str]


class Rule(NamedTuple):
    """Members are those of whom each of `conjuncts` is true; everyone if there are none.

    codes:  what columns have for the rule's texts; another text may have any other number.
    """

    conjuncts: Sequence[Conjunct]
    codes: Mapping[str, float]


def parse_rule(rule: Mapping[str, Any], columns: Sequence[str], offer_codes: Callable[[], Sequence[str]]) -> Rule:
    """The rule as it is evaluated, over a snapshot with `columns` and customer_id, and over predictions.

    columns:      the snapshot's features, finite or NaN for no value.
    offer_codes:  the codes that `recommended_offer` can be; called only if the rule reads it.

    Raises InvalidRequest with up to ten problems in `fields`, and what `offer_codes` raises. A `field` is a path into
    the rule with arguments counted from 0, also where an only argument is written without its list: the operator var in
    {"!": {"var": "x"}} is at rule.!.0.var.
    """
    if not isinstance(rule, dict):
        raise _invalid([("rule", 'a rule is an object, such as {">": [{"var": "revenue"}, 500]}')])
    if not rule:
        return Rule((), {})
    # Before the library: it takes the first of several keys, and it recurses.
    if problems := _problems_of_form(rule):
        raise _invalid(problems)
    tree = JSONLogicExpression.from_json(rule).as_operator_tree(REGISTRY)

    kinds = _kinds(columns, offer_codes if OFFER in _reads(tree) else tuple)
    kind, diagnostics = typecheck(
        tree, {"type": "object", "properties": kinds}, {"reference_parser": _name_as_it_is, "variable_casts": {}}
    )
    if diagnostics:
        fields = dict(_fields(tree, "rule"))
        raise _invalid([(fields[id(diagnostic.operator)], diagnostic.message) for diagnostic in diagnostics])
    if not isinstance(kind, BooleanType):
        raise _invalid(
            [
                (
                    "rule",
                    f"{shown(tree)} is {KINDS[type(kind)]}, but a rule must be a condition: compare it with a value",
                )
            ]
        )

    codes: dict[str, float] = {}
    data: Any = {CODES: codes}
    conjuncts = [
        Conjunct(evaluate(each, data, None, {"reference_parser": _name_as_it_is}), _reads(each))
        for each in _conjuncts(tree)
    ]
    return Rule(conjuncts, codes)


def _kinds(columns: Sequence[str], offer_codes: Callable[[], Sequence[str]]) -> dict[str, Any]:
    """The JSON schema of each variable."""
    predicted: dict[str, Any] = {}
    for name, variable in PREDICTED.items():
        texts = offer_codes() if name == OFFER else variable.texts
        predicted[name] = {"type": "number"} if texts is None else {"type": "string", "enum": list(texts)}
    names = dict.fromkeys([*columns, CUSTOMER_ID, *PREDICTED])
    features = {name: {"type": "number"} for name in columns}
    kinds: dict[str, Any] = {CUSTOMER_ID: {"type": "string"}, **predicted, **features}
    return {name: kinds[name] for name in names}


def _conjuncts(tree: Operator) -> Iterator[Operator]:
    """The conditions that are all true of a member: those of an `and`, and of the `and`s in it."""
    assert isinstance(tree, RuleOperator)
    if tree.operator == "and" and all(isinstance(argument, Operator) for argument in tree.arguments):
        for argument in tree.arguments:
            assert isinstance(argument, Operator)
            yield from _conjuncts(argument)
    else:
        yield tree


def _reads(tree: Operator) -> frozenset[str]:
    """The names of the variables in it."""
    assert isinstance(tree, RuleOperator)
    if tree.operator == "var":
        return frozenset(argument for argument in tree.arguments[:1] if isinstance(argument, str))
    return frozenset(name for argument in tree.arguments if isinstance(argument, Operator) for name in _reads(argument))


def _problems_of_form(rule: dict[str, Any]) -> list[_Problem]:
    """What keeps `rule` from being a tree of known operators and usable values; empty where nothing does."""
    problems: list[_Problem] = []
    nodes = 1
    waiting: list[tuple[str, object, int]] = [("rule", rule, 1)]
    while waiting:
        field, node, depth = waiting.pop()
        if not isinstance(node, dict | list):
            problem = _problem_of_literal(node)
        elif depth > MAX_DEPTH:
            return [("rule", f"the rule is over {MAX_DEPTH} levels deep: give and, or and in more arguments instead")]
        else:
            problem = _problem_of_operator(node) if isinstance(node, dict) else None
        if problem:
            problems.append((field, problem))
        elif isinstance(node, dict | list):
            if isinstance(node, dict):
                ((name, node),) = node.items()
                field = f"{field}.{name}"
            arguments = node if isinstance(node, list) else [node]
            nodes += len(arguments)
            if nodes > MAX_NODES:
                return [
                    (
                        "rule",
                        f"the rule has over {MAX_NODES:,} operators and values: use two segments, or a list of ids",
                    )
                ]
            below = [(f"{field}.{place}", argument, depth + 1) for place, argument in enumerate(arguments)]
            waiting += reversed(below)
    return problems


def _problem_of_operator(node: dict[str, Any]) -> str | None:
    if len(node) != 1:
        return f"an operator is an object with one key, but here are {len(node)}: join conditions with and"
    (name,) = node
    try:
        REGISTRY.get(name)
    except UnknownOperator:
        return f"there is no operator {shown(name)}: the operators are {', '.join(OPERATORS)}"
    return None


def _problem_of_literal(value: object) -> str | None:
    if isinstance(value, str):
        if len(value) > LONGEST_TEXT:
            return f"a text is longer than {LONGEST_TEXT} characters, the most that an id can have: shorten it"
        lone_surrogates = value.encode(errors="replace").decode() != value
        return f"{shown(value)} is not Unicode: leave out lone surrogates" if lone_surrogates else None
    if isinstance(value, int | float):
        return _problem_of_number(value)
    if value is not None:
        return f"a {type(value).__name__} is not a JSON value: write a number, a text, true, false or null"
    return None


def _problem_of_number(value: float) -> str | None:
    if not -sys.float_info.max <= value <= sys.float_info.max:  # NaN too
        return "a number is not finite as a 64-bit float: write one below 1.8e308"
    if float(value) != value:
        return f"{shown(value)} is not a 64-bit float: write the nearest one, {float(value)!r}"
    return None


def _name_as_it_is(reference: str) -> tuple[ParsedReference, int]:
    """The library's own parsers read "a/b" and "a.b" as paths and "a@1" as a scope."""
    return ParsedReference(reference, [reference]), 0


def _fields(tree: Operator, field: str) -> Iterator[tuple[int, str]]:
    """The identity of each operator and its path."""
    assert isinstance(tree, RuleOperator)
    field = f"{field}.{tree.operator}"
    yield id(tree), field
    for place, argument in enumerate(tree.arguments):
        if isinstance(argument, Operator):
            yield from _fields(argument, f"{field}.{place}")


def _invalid(problems: Sequence[_Problem]) -> InvalidRequest:
    return InvalidRequest(problems[:MAX_PROBLEMS])
