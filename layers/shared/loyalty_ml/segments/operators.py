"""The operators of a segment's rule: what each takes, and what it says of a block of customers.

What they mean is in rules.py; how they are computed is in conditions.py.
"""

import json
import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Self

from jsonlogic import Operator
from jsonlogic.evaluation import EvaluationContext
from jsonlogic.json_schema import from_json_schema
from jsonlogic.json_schema.types import AnyType, BooleanType, JSONSchemaType, NumberType, StringType
from jsonlogic.registry import OperatorRegistry
from jsonlogic.resolving import Unresolvable
from jsonlogic.typechecking import TypecheckContext
from jsonlogic.typing import OperatorArgument

from loyalty_ml.segments import conditions
from loyalty_ml.segments.conditions import Condition, Value

MAX_NODES = 10_000
"""Operators and values, those of lists included. What a rule costs grows with them and with nothing else: the dearest
that fits, 3,300 comparisons, takes a million customers some seconds of one processor."""

CODES = "codes"
"""What an evaluation's data has under this name: the codes of texts, each text with a number of its own."""

_CONDITION, _NUMBER, _TEXT, _NULL, _LIST = "a condition", "a number", "a text", "no value", "a list"
KINDS: Mapping[type[JSONSchemaType], str] = {BooleanType: _CONDITION, NumberType: _NUMBER, StringType: _TEXT}
"""What a problem calls the values of each type."""


@dataclass
class RuleOperator(Operator):
    """An operator over `arguments`, a condition unless `result` says otherwise."""

    arguments: list[OperatorArgument]

    counts: ClassVar[range]
    takes: ClassVar[str]

    @classmethod
    def from_expression(cls, operator: str, arguments: list[OperatorArgument]) -> Self:
        return cls(operator, arguments)

    def typecheck(self, context: TypecheckContext) -> JSONSchemaType:
        """Its type; where it has a problem, and so a diagnostic, any: one mistake is one problem."""
        if len(self.arguments) in self.counts:
            problems = list(self.problems(context))
        else:
            problems = [f"{self.operator} takes {self.takes}, but here are {len(self.arguments)}"]
        for problem in problems:
            context.add_diagnostic(problem, "argument_type", self)
        return AnyType() if problems else self.result(context)

    def result(self, context: TypecheckContext) -> JSONSchemaType:
        return BooleanType()

    @abstractmethod
    def problems(self, context: TypecheckContext) -> Iterator[str]:
        """What is wrong with the arguments, which are of the right number."""

    @abstractmethod
    def evaluate(self, context: EvaluationContext) -> Condition | Value:
        """What it says of each customer, once there are no problems. `context` has CODES as its data."""


class _Junction(RuleOperator):
    counts = range(1, MAX_NODES)
    takes = "one condition or more"

    def problems(self, context: TypecheckContext) -> Iterator[str]:
        for argument in self.arguments:
            kind = _kind(argument, context)
            if kind not in (_CONDITION, None):
                yield f"{shown(argument)} is {kind}, but {self.operator} takes conditions: compare it with a value"

    def evaluate(self, context: EvaluationContext) -> Condition:
        join = conditions.every if self.operator == "and" else conditions.some
        return join([_condition(argument, context) for argument in self.arguments])


class _Not(_Junction):
    counts = range(1, 2)
    takes = "one condition"

    def evaluate(self, context: EvaluationContext) -> Condition:
        return conditions.negation(_condition(self.arguments[0], context))


class _Order(RuleOperator):
    counts = range(2, 3)
    takes = "two numbers"

    def problems(self, context: TypecheckContext) -> Iterator[str]:
        kinds = [_kind(argument, context) for argument in self.arguments]
        if None not in kinds and set(kinds) != {_NUMBER}:
            yield f"{_with_kinds(self.arguments, kinds)}, but {self.operator} compares numbers"

    def evaluate(self, context: EvaluationContext) -> Condition:
        values = [_value(argument, context) for argument in self.arguments]
        return conditions.every([conditions.order(self.operator, *pair) for pair in pairwise(values)])


class _OrderOrBetween(_Order):
    """< and <=, which have JsonLogic's between form, {"<": [low, value, high]}; its > ignores a third argument."""

    counts = range(2, 4)
    takes = "two numbers, or three for between"


class _Equality(RuleOperator):
    counts = range(2, 3)
    takes = "two values"

    def problems(self, context: TypecheckContext) -> Iterator[str]:
        kinds = [_kind(argument, context) for argument in self.arguments]
        compared = set(kinds) - {_NULL}
        if None not in kinds and (len(compared) > 1 or _CONDITION in compared or _LIST in compared):
            yield (
                f"{_with_kinds(self.arguments, kinds)}, but {self.operator} compares two numbers, two texts, "
                "or either with null"
            )
        elif compared == {_TEXT}:
            yield from _never(self.arguments, context)

    def evaluate(self, context: EvaluationContext) -> Condition:
        left, right = [_value(argument, context) for argument in self.arguments]
        if None not in self.arguments:
            equal = conditions.equality(left, right)
        else:
            equal = conditions.absence(right if self.arguments[0] is None else left)
        return conditions.negation(equal) if self.operator.startswith("!") else equal


class _In(RuleOperator):
    counts = range(2, 3)
    takes = "a value and a list"

    def problems(self, context: TypecheckContext) -> Iterator[str]:
        value, values = self.arguments
        kind = _kind(value, context)
        if kind is None:
            return
        if kind not in (_NUMBER, _TEXT):
            yield f"{shown(value)} is {kind}, but in looks for a number or a text"
        elif not isinstance(values, list):
            yield f"{shown(values)} is not a list: write the values of in as a list"
        elif not values:
            yield "the list of in is empty: name at least one value"
        else:
            strangers = [listed for listed in values if isinstance(listed, Operator) or _literal_kind(listed) != kind]
            if strangers:
                stranger = shown(strangers[0])
                yield f"{shown(value)} is {kind}, but {stranger} in its list is not a plain value of that kind"
            elif kind == _TEXT:
                yield from _never([value, *values], context)

    def evaluate(self, context: EvaluationContext) -> Condition:
        value, values = self.arguments
        assert isinstance(values, list)
        return conditions.membership(_value(value, context), [_number(listed, context) for listed in values])


class _Var(RuleOperator):
    counts = range(1, 3)
    takes = "a column's name and, where there is one, a default"

    def problems(self, context: TypecheckContext) -> Iterator[str]:
        name, *defaults = self.arguments
        if not isinstance(name, str):
            yield f"{shown(name)} is not a column's name: write the name as a text"
            return
        try:
            kind = KINDS[type(self.result(context))]
        except Unresolvable:
            columns = ", ".join(context.current_schema["properties"])
            yield f"there is no column {shown(name)}: the columns are {columns}"
            return
        for default in defaults:
            if isinstance(default, Operator) or _literal_kind(default) != kind:
                yield f"{name} is {kind}, but its default {shown(default)} is not a plain value of that kind"

    def result(self, context: TypecheckContext) -> JSONSchemaType:
        return from_json_schema(context.resolve_variable(str(self.arguments[0])), {})

    def evaluate(self, context: EvaluationContext) -> Value:
        name, *defaults = self.arguments
        column = conditions.column(str(name))
        return conditions.with_default(column, _number(defaults[0], context)) if defaults else column


OPERATORS: Mapping[str, type[Operator]] = {
    "and": _Junction,
    "or": _Junction,
    "!": _Not,
    ">": _Order,
    ">=": _Order,
    "<": _OrderOrBetween,
    "<=": _OrderOrBetween,
    "==": _Equality,
    "!=": _Equality,
    "===": _Equality,
    "!==": _Equality,
    "in": _In,
    "var": _Var,
}
"""By name, in the order in which a problem lists them."""
REGISTRY = OperatorRegistry().copy(extend=dict(OPERATORS))
"""These operators alone, as the library takes them."""


def _kind(argument: OperatorArgument, context: TypecheckContext) -> str | None:
    """None for an operator with a problem of its own."""
    return KINDS.get(type(argument.typecheck(context))) if isinstance(argument, Operator) else _literal_kind(argument)


def _literal_kind(value: object) -> str:
    if value is None:
        return _NULL
    if isinstance(value, bool):  # before int, which it is one of
        return _CONDITION
    if isinstance(value, int | float):
        return _NUMBER
    return _TEXT if isinstance(value, str) else _LIST


def _never(arguments: Sequence[OperatorArgument], context: TypecheckContext) -> Iterator[str]:
    """Of texts that are compared: the first that a prediction among them never is, so that a misspelt one is told."""
    literals = [argument for argument in arguments if isinstance(argument, str)]
    for argument in arguments:
        if isinstance(argument, _Var):
            name = str(argument.arguments[0])
            texts = context.current_schema["properties"][name].get("enum")
            stranger = next((literal for literal in literals if texts is not None and literal not in texts), None)
            if stranger is not None:
                yield f"{name} is never {shown(stranger)}: it is one of {', '.join(texts)}"


def _condition(argument: OperatorArgument, context: EvaluationContext) -> Condition:
    if isinstance(argument, Operator):
        condition: Condition = argument.evaluate(context)
        return condition
    return conditions.constant(truth=argument is True)


def _value(argument: OperatorArgument, context: EvaluationContext) -> Value:
    if isinstance(argument, Operator):
        value: Value = argument.evaluate(context)
        return value
    return conditions.literal(_number(argument, context))


def _number(argument: OperatorArgument, context: EvaluationContext) -> float:
    """A plain value as columns have it: a text is its code, and null is NaN."""
    if isinstance(argument, str):
        codes: dict[str, float] = context.resolve_variable(CODES)
        return codes.setdefault(argument, float(len(codes)))
    assert argument is None or isinstance(argument, int | float)
    return math.nan if argument is None else float(argument)


def _with_kinds(arguments: Sequence[OperatorArgument], kinds: Sequence[str | None]) -> str:
    return " and ".join(f"{shown(argument)} is {kind}" for argument, kind in zip(arguments, kinds, strict=True))


def shown(argument: OperatorArgument) -> str:
    """A column's name, an operator's, or a value as JSON: short, and of printable characters."""
    if isinstance(argument, _Var):
        return str(argument.arguments[0])
    if isinstance(argument, Operator):
        return argument.operator
    if isinstance(argument, list):
        return "[...]"
    text = json.dumps(argument, ensure_ascii=False).encode(errors="backslashreplace").decode()
    return text if len(text) <= 60 else f"{text[:57]}..."
