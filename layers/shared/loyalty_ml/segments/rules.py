"""A segment's rule: JsonLogic (jsonlogic.com) over the snapshot's columns, made a DuckDB expression, never SQL text.

{"and": [{">": [{"var": "revenue"}, 500]}, {"<=": [0, {"var": "days_since_last"}, 30]}]}

The operators are `and`, `or`, `!`, `>`, `>=`, `<`, `<=` (these two for between as well), `==`, `!=`, `in` and `var`.
They mean what they mean in JsonLogic, with three differences, all on purpose:

- A customer without a value (NULL) is in neither a comparison with it nor that comparison's negation, as in SQL, where
  JavaScript takes null for 0. Only == null and != null ask whether there is a value, and the second argument of var is
  what the rule's author wants in its place.
- Nothing is converted: a number is compared with a number, a text with a text. What is not a condition has no truth, so
  `and`, `or`, `!` and the rule itself take conditions: comparisons, true and false. The rest is refused by name.
- A column's name is a name and not a path: "a.b" is the column a.b. The list of `in` is written out, and not empty.

`===` and `!==` are other names of `==` and `!=`, which are as strict here. Numbers are DOUBLE, as the columns are: one
that no DOUBLE is equal to is refused rather than rounded.
"""

import json
import operator
import sys
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Self

from duckdb import CoalesceOperator, ColumnExpression, ConstantExpression, Expression
from jsonlogic import JSONLogicExpression, Operator
from jsonlogic.evaluation import EvaluationContext, evaluate
from jsonlogic.json_schema import from_json_schema
from jsonlogic.json_schema.types import AnyType, BooleanType, JSONSchemaType, NumberType, StringType
from jsonlogic.registry import OperatorRegistry, UnknownOperator
from jsonlogic.resolving import ParsedReference, Unresolvable
from jsonlogic.typechecking import TypecheckContext, typecheck
from jsonlogic.typing import OperatorArgument

from loyalty_ml.errors import InvalidRequest

CUSTOMER_ID = "customer_id"
"""The only column of texts."""

MAX_DEPTH = 32
"""Operators and lists inside one another: far more than a person reads, far less than what exhausts a stack."""
MAX_NODES = 10_000
"""Operators and values, those of lists included: DuckDB plans most such rules in 50 ms, an `or` of 750 different `and`s
in 3 s."""
LONGEST_TEXT = 256
"""Characters; no id is longer."""
MAX_PROBLEMS = 10
"""In one answer; who mends ten asks again."""

_CONDITION, _NUMBER, _TEXT, _NULL, _LIST = "a condition", "a number", "a text", "no value", "a list"
_KINDS: Mapping[type[JSONSchemaType], str] = {BooleanType: _CONDITION, NumberType: _NUMBER, StringType: _TEXT}
_FUNCTIONS: Mapping[str, Callable[[Expression, Expression], Expression]] = {
    "and": operator.and_,
    "or": operator.or_,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "===": operator.eq,
    "!=": operator.ne,
    "!==": operator.ne,
}

_Problem = tuple[str, str]
"""The field, as a path into the rule such as rule.and.1.>, and what is wrong there."""


def parse_rule(rule: Mapping[str, Any], columns: Sequence[str]) -> Expression | None:
    """The members' predicate over a relation with `columns` and customer_id; None for an empty rule, which is everyone.

    `columns` are the snapshot's features, DOUBLE, finite or NULL; customer_id is VARCHAR. A column with a double quote
    in its name cannot be named, since DuckDB's expressions cannot name it either. The predicate is NULL, and so no
    member, where a value that decides is missing.

    Raises InvalidRequest with up to ten problems in `fields`. A `field` is a path into the rule with arguments counted
    from 0, also where an only argument is written without its list: the operator var in {"!": {"var": "x"}} is at
    rule.!.0.var.
    """
    if not isinstance(rule, dict):
        raise _invalid([("rule", 'a rule is an object, such as {">": [{"var": "revenue"}, 500]}')])
    if not rule:
        return None
    # Before the library: it takes the first of several keys, and it recurses.
    if problems := _problems_of_form(rule):
        raise _invalid(problems)
    tree = JSONLogicExpression.from_json(rule).as_operator_tree(_REGISTRY)

    names = [name for name in columns if '"' not in name]
    kinds = {**{name: {"type": "number"} for name in names}, CUSTOMER_ID: {"type": "string"}}
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
                    f"{_shown(tree)} is {_KINDS[type(kind)]}, but a rule must be a condition: compare it with a value",
                )
            ]
        )

    # Evaluated as the library does it, with columns for values. The quotes keep DuckDB from reading a.b as b of a.
    data: dict[str, Any] = {name: ColumnExpression(f'"{name}"') for name in kinds}
    predicate: Expression = evaluate(tree, data, None, {"reference_parser": _name_as_it_is})
    return predicate


@dataclass
class _Operator(Operator):
    """An operator over `arguments`, a condition unless `kind` says otherwise."""

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
    def evaluate(self, context: EvaluationContext) -> Expression:
        """What it says of each customer, once there are no problems."""


class _Junction(_Operator):
    counts = range(1, MAX_NODES)
    takes = "one condition or more"

    def problems(self, context: TypecheckContext) -> Iterator[str]:
        for argument in self.arguments:
            kind = _kind(argument, context)
            if kind not in (_CONDITION, None):
                yield f"{_shown(argument)} is {kind}, but {self.operator} takes conditions: compare it with a value"

    def evaluate(self, context: EvaluationContext) -> Expression:
        return _joined(_FUNCTIONS[self.operator], [_expression(argument, context) for argument in self.arguments])


class _Not(_Junction):
    counts = range(1, 2)
    takes = "one condition"

    def evaluate(self, context: EvaluationContext) -> Expression:
        return ~_expression(self.arguments[0], context)


class _Order(_Operator):
    counts = range(2, 3)
    takes = "two numbers"

    def problems(self, context: TypecheckContext) -> Iterator[str]:
        kinds = [_kind(argument, context) for argument in self.arguments]
        if None not in kinds and set(kinds) != {_NUMBER}:
            yield f"{_with_kinds(self.arguments, kinds)}, but {self.operator} compares numbers"

    def evaluate(self, context: EvaluationContext) -> Expression:
        compare = _FUNCTIONS[self.operator]
        values = [_expression(argument, context) for argument in self.arguments]
        return _joined(operator.and_, [compare(*pair) for pair in pairwise(values)])


class _OrderOrBetween(_Order):
    """< and <=, which have JsonLogic's between form, {"<": [low, value, high]}; its > ignores a third argument."""

    counts = range(2, 4)
    takes = "two numbers, or three for between"


class _Equality(_Operator):
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

    def evaluate(self, context: EvaluationContext) -> Expression:
        compare = _FUNCTIONS[self.operator]
        left, right = [_expression(argument, context) for argument in self.arguments]
        if None not in self.arguments:
            return compare(left, right)
        value = right if self.arguments[0] is None else left
        return value.isnull() if compare is operator.eq else value.isnotnull()


class _In(_Operator):
    counts = range(2, 3)
    takes = "a value and a list"

    def problems(self, context: TypecheckContext) -> Iterator[str]:
        value, values = self.arguments
        kind = _kind(value, context)
        if kind is None:
            return
        if kind not in (_NUMBER, _TEXT):
            yield f"{_shown(value)} is {kind}, but in looks for a number or a text"
        elif not isinstance(values, list):
            yield f"{_shown(values)} is not a list: write the values of in as a list"
        elif not values:
            yield "the list of in is empty: name at least one value"
        else:
            strangers = [listed for listed in values if isinstance(listed, Operator) or _literal_kind(listed) != kind]
            if strangers:
                stranger = _shown(strangers[0])
                yield f"{_shown(value)} is {kind}, but {stranger} in its list is not a plain value of that kind"

    def evaluate(self, context: EvaluationContext) -> Expression:
        value, values = self.arguments
        assert isinstance(values, list)
        return _expression(value, context).isin(*[_expression(listed, context) for listed in values])


class _Var(_Operator):
    counts = range(1, 3)
    takes = "a column's name and, where there is one, a default"

    def problems(self, context: TypecheckContext) -> Iterator[str]:
        name, *defaults = self.arguments
        if not isinstance(name, str):
            yield f"{_shown(name)} is not a column's name: write the name as a text"
            return
        try:
            kind = _KINDS[type(self.result(context))]
        except Unresolvable:
            columns = ", ".join(context.current_schema["properties"])
            yield f"there is no column {_shown(name)}: the columns are {columns}"
            return
        for default in defaults:
            if isinstance(default, Operator) or _literal_kind(default) != kind:
                yield f"{name} is {kind}, but its default {_shown(default)} is not a plain value of that kind"

    def result(self, context: TypecheckContext) -> JSONSchemaType:
        return from_json_schema(context.resolve_variable(str(self.arguments[0])), {})

    def evaluate(self, context: EvaluationContext) -> Expression:
        name, *defaults = self.arguments
        column: Expression = context.resolve_variable(str(name))
        return (
            CoalesceOperator(column, *[_expression(default, context) for default in defaults]) if defaults else column
        )


_OPERATORS: Mapping[str, type[Operator]] = {
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
_REGISTRY = OperatorRegistry().copy(extend=dict(_OPERATORS))


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
        _REGISTRY.get(name)
    except UnknownOperator:
        return f"there is no operator {_shown(name)}: the operators are {', '.join(_OPERATORS)}"
    return None


def _problem_of_literal(value: object) -> str | None:
    if isinstance(value, str):
        if len(value) > LONGEST_TEXT:
            return f"a text is longer than {LONGEST_TEXT} characters, the most that an id can have: shorten it"
        lone_surrogates = value.encode(errors="replace").decode() != value
        return f"{_shown(value)} is not Unicode: leave out lone surrogates" if lone_surrogates else None
    if isinstance(value, int | float):
        return _problem_of_number(value)
    if value is not None:
        return f"a {type(value).__name__} is not a JSON value: write a number, a text, true, false or null"
    return None


def _problem_of_number(value: float) -> str | None:
    if not -sys.float_info.max <= value <= sys.float_info.max:  # NaN too
        return "a number is not finite as a 64-bit float: write one below 1.8e308"
    if float(value) != value:
        return f"{_shown(value)} is not a 64-bit float: write the nearest one, {float(value)!r}"
    return None


def _kind(argument: OperatorArgument, context: TypecheckContext) -> str | None:
    """None for an operator with a problem of its own."""
    return _KINDS.get(type(argument.typecheck(context))) if isinstance(argument, Operator) else _literal_kind(argument)


def _literal_kind(value: object) -> str:
    if value is None:
        return _NULL
    if isinstance(value, bool):  # before int, which it is one of
        return _CONDITION
    if isinstance(value, int | float):
        return _NUMBER
    return _TEXT if isinstance(value, str) else _LIST


def _expression(argument: OperatorArgument, context: EvaluationContext) -> Expression:
    if isinstance(argument, Operator):
        expression: Expression = argument.evaluate(context)
        return expression
    if isinstance(argument, int | float) and not isinstance(argument, bool):
        # A Python float is DOUBLE to DuckDB, where an int is one of its many whole numbers.
        return ConstantExpression(float(argument))
    return ConstantExpression(argument)


def _joined(join: Callable[[Expression, Expression], Expression], parts: Sequence[Expression]) -> Expression:
    """Halves with halves: DuckDB copies both sides, so that one after another 5,000 take seconds."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    return join(_joined(join, parts[:middle]), _joined(join, parts[middle:]))


def _name_as_it_is(reference: str) -> tuple[ParsedReference, int]:
    """The library's own parsers read "a/b" and "a.b" as paths and "a@1" as a scope."""
    return ParsedReference(reference, [reference]), 0


def _fields(tree: Operator, field: str) -> Iterator[tuple[int, str]]:
    """The identity of each operator and its path."""
    assert isinstance(tree, _Operator)
    field = f"{field}.{tree.operator}"
    yield id(tree), field
    for place, argument in enumerate(tree.arguments):
        if isinstance(argument, Operator):
            yield from _fields(argument, f"{field}.{place}")


def _with_kinds(arguments: Sequence[OperatorArgument], kinds: Sequence[str | None]) -> str:
    return " and ".join(f"{_shown(argument)} is {kind}" for argument, kind in zip(arguments, kinds, strict=True))


def _shown(argument: OperatorArgument) -> str:
    """A column's name, an operator's, or a value as JSON: short, and of printable characters."""
    if isinstance(argument, _Var):
        return str(argument.arguments[0])
    if isinstance(argument, Operator):
        return argument.operator
    if isinstance(argument, list):
        return "[...]"
    text = json.dumps(argument, ensure_ascii=False).encode(errors="backslashreplace").decode()
    return text if len(text) <= 60 else f"{text[:57]}..."


def _invalid(problems: Sequence[_Problem]) -> InvalidRequest:
    return InvalidRequest(problems[:MAX_PROBLEMS])
