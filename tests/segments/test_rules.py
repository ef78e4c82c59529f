"""A segment's rule selects whom it says, by values and by missing values, and bad input is refused with a sentence."""

import json
import math
import operator
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import duckdb
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loyalty_ml.errors import InvalidRequest
from loyalty_ml.segments.operators import MAX_NODES
from loyalty_ml.segments.rules import MAX_DEPTH, parse_rule
from tests.examples import examples

pytestmark = pytest.mark.unit

COLUMNS = ("revenue", "days_since_last", "a.b/c~1@0")
IDS = ("1", "2", "O'Brien", "é", "'; DROP TABLE customers; --")
NUMBERS = (0.0, -0.0, 0.1, math.nextafter(0.1, 1), 7.0, 1e300)
"""Few, so that equal ones meet."""

Row = dict[str, Any]


def var(name: str, *default: Any) -> dict[str, Any]:
    return {"var": [name, *default]} if default else {"var": name}


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def relation(connection: duckdb.DuckDBPyConnection, rows: Sequence[Row], columns: Sequence[str]) -> Any:
    """The rows as a relation of customer_id and `columns`; the columns' names are trusted."""
    texts = "unnest(?::VARCHAR[]) AS customer_id"
    numbers = [f'unnest(?::DOUBLE[]) AS "{name}"' for name in columns]
    values = [[row[name] for row in rows] for name in ("customer_id", *columns)]
    return connection.sql(f"SELECT {', '.join([texts, *numbers])}", params=values)


def truths(
    connection: duckdb.DuckDBPyConnection, rule: Any, rows: Sequence[Row], columns: Sequence[str] = COLUMNS
) -> list[bool | None]:
    """What the rule says of each row: None where a value that decides is missing."""
    predicate = parse_rule(rule, columns)
    assert predicate is not None
    return [truth for (truth,) in relation(connection, rows, columns).select(predicate).fetchall()]


def members(connection: duckdb.DuckDBPyConnection, rule: Any, revenues: Sequence[float | None]) -> list[float | None]:
    rows = [{"customer_id": str(place), "revenue": revenue} for place, revenue in enumerate(revenues)]
    selected = relation(connection, rows, ["revenue"]).filter(parse_rule(rule, ["revenue"]))
    return [revenue for _, revenue in selected.fetchall()]


def problems(rule: Any, columns: Sequence[str] = COLUMNS) -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequest) as refused:
        parse_rule(rule, columns)
    assert refused.value.message.startswith("The request is not valid: rule")
    assert refused.value.message.endswith(".")
    assert refused.value.details is not None
    orjson.dumps(refused.value.details)  # as the answer is written, whatever was in the rule
    return [(field["field"], field["problem"]) for field in refused.value.details["fields"]]


# A second reading of the module's docstring, the slow way: a rule and a row in, True, False or None out.

ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "===": operator.eq,
    "!=": operator.ne,
    "!==": operator.ne,
}


def value_of(argument: Any, row: Row) -> Any:
    if not isinstance(argument, dict):
        return argument
    name, *default = argument["var"] if isinstance(argument["var"], list) else [argument["var"]]
    return default[0] if default and row[name] is None else row[name]


def all_of(truths: Sequence[bool | None]) -> bool | None:
    if False in truths:
        return False
    return None if None in truths else True


def negated(truth: bool | None) -> bool | None:  # noqa: FBT001
    return None if truth is None else not truth


def truth_of(rule: Any, row: Row) -> bool | None:
    if isinstance(rule, bool):
        return rule
    ((name, arguments),) = rule.items()
    arguments = arguments if isinstance(arguments, list) else [arguments]
    if name == "and":
        return all_of([truth_of(argument, row) for argument in arguments])
    if name == "or":
        return negated(all_of([negated(truth_of(argument, row)) for argument in arguments]))
    if name == "!":
        return negated(truth_of(arguments[0], row))
    if name == "in":
        value = value_of(arguments[0], row)
        return None if value is None else value in arguments[1]
    values = [value_of(argument, row) for argument in arguments]
    if None in arguments:
        return ORDERS[name](None, values[0] if arguments[0] is not None else values[1])
    pairs = pairwise(values)
    return all_of([None if None in pair else ORDERS[name](*pair) for pair in pairs])


numbers = st.sampled_from((*NUMBERS, 0, 7))
texts = st.sampled_from(IDS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
number_columns = st.builds(var, st.sampled_from(COLUMNS)) | st.builds(var, st.sampled_from(COLUMNS), numbers)
text_columns = st.just(var("customer_id")) | st.builds(var, st.just("customer_id"), texts)


def operation(names: Sequence[str], *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(st.sampled_from(names), st.tuples(*arguments).map(list)).map(lambda pair: dict([pair]))


number, text = number_columns | numbers, text_columns | texts
EQUALITIES = ("==", "!=", "===", "!==")
comparisons = (
    st.booleans()
    | operation((">", ">=", "<", "<="), number, number)
    | operation(("<", "<="), number, number, number)
    | operation(EQUALITIES, number, number)
    | operation(EQUALITIES, text, text)
    | operation(EQUALITIES, number | text, st.none())
    | operation(EQUALITIES, st.none(), number | text)
    | operation(["in"], number, st.lists(numbers, min_size=1, max_size=4))
    | operation(["in"], text, st.lists(texts, min_size=1, max_size=4))
)
rules = st.recursive(
    comparisons,
    lambda inner: (
        st.dictionaries(st.sampled_from(["and", "or"]), st.lists(inner, min_size=1, max_size=4), min_size=1, max_size=1)
        | st.builds(lambda rule: {"!": rule}, inner)
        | st.builds(lambda rule: {"!": [rule]}, inner)
    ),
).filter(lambda rule: isinstance(rule, dict))
rows = st.lists(
    st.fixed_dictionaries({"customer_id": texts, **{name: st.none() | st.sampled_from(NUMBERS) for name in COLUMNS}}),
    min_size=4,
    max_size=8,
)


@settings(max_examples=examples(300))
@given(rule=rules, rows=rows)
def test_a_rule_says_of_each_customer_what_its_operators_say(
    connection: duckdb.DuckDBPyConnection, rule: Any, rows: list[Row]
) -> None:
    assert truths(connection, rule, rows) == [truth_of(rule, row) for row in rows]


def test_an_empty_rule_is_everyone() -> None:
    assert parse_rule({}, COLUMNS) is None


def test_who_has_no_value_is_in_no_comparison_and_not_in_its_negation(connection: duckdb.DuckDBPyConnection) -> None:
    revenues = [None, 0.0, 50.0, 500.0]
    small = {"<": [var("revenue"), 100]}
    assert members(connection, small, revenues) == [0, 50]
    assert members(connection, {"!": small}, revenues) == [500]
    assert members(connection, {"!=": [var("revenue"), 50]}, revenues) == [0, 500]
    assert members(connection, {"!": {"in": [var("revenue"), [50]]}}, revenues) == [0, 500]
    assert members(connection, {"==": [var("revenue"), None]}, revenues) == [None]
    assert members(connection, {"!=": [None, var("revenue")]}, revenues) == [0, 50, 500]
    assert members(connection, {"<": [var("revenue", 0), 100]}, revenues) == [None, 0, 50]


def test_between_is_of_less_than_only(connection: duckdb.DuckDBPyConnection) -> None:
    revenues = [1.0, 2.0, 3.0]
    assert members(connection, {"<=": [1, var("revenue"), 2]}, revenues) == [1, 2]
    assert members(connection, {"<": [1, var("revenue"), 3]}, revenues) == [2]
    # JavaScript's > ignores the third argument, which nobody who writes one means.
    assert problems({">": [3, var("revenue"), 1]}) == [("rule.>", "> takes two numbers, but here are 3")]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_compared_to_the_bit(connection: duckdb.DuckDBPyConnection, number: float) -> None:
    neighbours = [math.nextafter(number, -math.inf), number, math.nextafter(number, math.inf)]
    rule = json.loads(json.dumps({"==": [var("revenue"), number]}))
    assert members(connection, rule, neighbours) == [number]


def test_numbers_are_double_whatever_their_notation(connection: duckdb.DuckDBPyConnection) -> None:
    assert members(connection, {"==": [var("revenue"), 2**60]}, [2.0**60, 2.0**60 + 256]) == [2.0**60]
    assert members(connection, {"<": [var("revenue"), 2**200]}, [2.0**199, 2.0**200]) == [2.0**199]
    assert members(connection, {"in": [var("revenue"), [0.1, 3]]}, [0.1, math.nextafter(0.1, 1), 3.0]) == [0.1, 3]


@pytest.mark.parametrize(
    ("number", "problem"),
    [
        (2**53 + 1, "9007199254740993 is not a 64-bit float: write the nearest one, 9007199254740992.0"),
        (10**400, "a number is not finite as a 64-bit float: write one below 1.8e308"),
        (-(10**400), "a number is not finite as a 64-bit float: write one below 1.8e308"),
        (math.nan, "a number is not finite as a 64-bit float: write one below 1.8e308"),
        (-math.inf, "a number is not finite as a 64-bit float: write one below 1.8e308"),
    ],
)
def test_a_number_that_no_column_can_hold_is_refused_and_not_rounded(number: float, problem: str) -> None:
    assert problems({"<": [var("revenue"), number]}) == [("rule.<.1", problem)]
    assert problems({"in": [var("revenue"), [1, number]]}) == [("rule.in.1.1", problem)]


def test_a_columns_name_is_a_name_and_no_path(connection: duckdb.DuckDBPyConnection) -> None:
    """Names that the library's parsers, or DuckDB's, would read as more than a name."""
    names = ("a.b", "a/b", "~1", "a@0", "*", "select", "x y", "b", "it's; --", "$1", "{}")
    row = {"customer_id": "1", **{name: float(place) for place, name in enumerate(names)}}
    for place, name in enumerate(names):
        assert truths(connection, {"==": [var(name), place]}, [row], names) == [True]
    assert problems({"==": [var("Select"), 1]}, names)  # though DuckDB does not tell Select from select
    assert "columns are b, customer_id" in problems({"==": [var('a"b'), 1]}, ['a"b', "b"])[0][1]


@pytest.mark.parametrize(
    ("rule", "field", "problem"),
    [
        ([], "rule", "a rule is an object"),
        (True, "rule", "a rule is an object"),
        (None, "rule", "a rule is an object"),
        ("revenue > 5", "rule", "a rule is an object"),
        (var("revenue"), "rule", "revenue is a number, but a rule must be a condition"),
        ({">": [var("revenue"), 5], "<": [var("revenue"), 9]}, "rule", "one key, but here are 2"),
        ({"and": [{">": [var("revenue"), 5]}, {}]}, "rule.and.1", "one key, but here are 0"),
        ({"and": [True, {"or": [{"cat": ["a"]}]}]}, "rule.and.1.or.0", 'no operator "cat": the operators are and, or'),
        ({1: []}, "rule", "there is no operator 1"),
        ({">": [var("spend"), 5]}, "rule.>.0.var", "the columns are revenue, days_since_last, a.b/c~1@0, customer_id"),
        ({">": [var("spend", 1), 5]}, "rule.>.0.var", 'there is no column "spend"'),
        ({">": [var(""), 5]}, "rule.>.0.var", 'there is no column ""'),
        ({">": [{"var": 1}, 5]}, "rule.>.0.var", "1 is not a column's name"),
        ({">": [{"var": [var("revenue")]}, 5]}, "rule.>.0.var", "revenue is not a column's name"),
        ({">": [{"var": []}, 5]}, "rule.>.0.var", "a column's name and, where there is one, a default, but here are 0"),
        ({">": [{"var": ["revenue", 0, 1]}, 5]}, "rule.>.0.var", "but here are 3"),
        ({">": [var("revenue", None), 5]}, "rule.>.0.var", "revenue is a number, but its default null is not"),
        ({">": [var("revenue", True), 5]}, "rule.>.0.var", "revenue is a number, but its default true is not"),
        (
            {">": [var("revenue", var("revenue")), 5]},
            "rule.>.0.var",
            "its default revenue is not a plain value of that kind",
        ),
        ({"==": [var("customer_id", 1), "1"]}, "rule.==.0.var", "customer_id is a text, but its default 1 is not"),
        ({">": [var("revenue"), "abc"]}, "rule.>", 'revenue is a number and "abc" is a text, but > compares numbers'),
        ({">": [var("customer_id"), "1"]}, "rule.>", "customer_id is a text"),
        ({"<": [0, var("revenue"), None]}, "rule.<", "null is no value"),
        ({"<": [var("revenue"), True]}, "rule.<", "true is a condition"),
        ({"<=": [var("revenue"), [1]]}, "rule.<=", "[...] is a list"),
        ({"<": [1]}, "rule.<", "two numbers, or three for between, but here are 1"),
        ({">=": [1, 2, 3, 4]}, "rule.>=", "two numbers, but here are 4"),
        ({"==": [var("revenue"), True]}, "rule.==", "revenue is a number and true is a condition"),
        ({"==": [True, True]}, "rule.==", "true is a condition"),
        ({"==": [var("revenue"), "1"]}, "rule.==", 'revenue is a number and "1" is a text'),
        ({"!==": [{"!": True}, None]}, "rule.!==", "! is a condition and null is no value"),
        ({"==": [var("revenue")]}, "rule.==", "two values, but here are 1"),
        ({"in": [var("revenue"), []]}, "rule.in", "the list of in is empty"),
        ({"in": [var("revenue"), 5]}, "rule.in", "5 is not a list"),
        ({"in": ["Spring", "Springfield"]}, "rule.in", '"Springfield" is not a list'),
        ({"in": [var("revenue"), [1, "2"]]}, "rule.in", 'revenue is a number, but "2" in its list is not'),
        ({"in": [var("revenue"), [1, True]]}, "rule.in", "true in its list is not"),
        ({"in": [var("revenue"), [1, None]]}, "rule.in", "null in its list is not"),
        (
            {"in": [var("revenue"), [1, var("revenue")]]},
            "rule.in",
            "revenue in its list is not a plain value of that kind",
        ),
        ({"in": [var("revenue"), [[1]]]}, "rule.in", "[...] in its list is not"),
        ({"in": [None, [1]]}, "rule.in", "null is no value, but in looks for a number or a text"),
        ({"in": [[], [1]]}, "rule.in", "[...] is a list, but in looks for"),
        ({"and": []}, "rule.and", "one condition or more, but here are 0"),
        ({"or": [True, var("revenue")]}, "rule.or", "revenue is a number, but or takes conditions"),
        ({"and": [True, 1]}, "rule.and", "1 is a number, but and takes conditions"),
        ({"!": ""}, "rule.!", '"" is a text, but ! takes conditions'),
        ({"!": [None]}, "rule.!", "null is no value, but ! takes conditions"),
        ({"!": [True, False]}, "rule.!", "one condition, but here are 2"),
        ({"and": [{"!": {">": [var("revenue"), "abc"]}}]}, "rule.and.0.!.0.>", '"abc" is a text'),
        ({"==": [var("customer_id"), "x" * 257]}, "rule.==.1", "longer than 256 characters"),
        ({"==": [var("customer_id"), "\ud800"]}, "rule.==.1", '"\\ud800" is not Unicode'),
        ({"\ud800": []}, "rule", 'there is no operator "\\ud800"'),
        ({"==": [var("customer_id"), b"1"]}, "rule.==.1", "a bytes is not a JSON value"),
    ],
)
def test_what_is_no_rule_is_refused_by_name_and_place(rule: Any, field: str, problem: str) -> None:
    ((found_field, found_problem),) = problems(rule)
    assert found_field == field
    assert problem in found_problem


def test_one_answer_names_up_to_ten_problems() -> None:
    wrong: list[Any] = [{">": [var("spend"), 1]}, {"<": [var("revenue"), "abc"]}, var("revenue")]
    assert [field for field, _ in problems({"and": wrong})] == ["rule.and.0.>.0.var", "rule.and.1.<", "rule.and"]
    assert len(problems({"and": wrong * 20})) == 10


def nested(levels: int) -> dict[str, Any]:
    rule: dict[str, Any] = {"!": True}
    for _ in range(levels - 1):
        rule = {"!": [rule]}
    return rule


def test_depth_has_a_limit_that_no_stack_notices(connection: duckdb.DuckDBPyConnection) -> None:
    row = {"customer_id": "1", **dict.fromkeys(COLUMNS, 1.0)}
    assert truths(connection, nested(MAX_DEPTH), [row]) == [True]
    lists: Any = []
    for _ in range(10_000):
        lists = [lists]
    for too_deep in (nested(MAX_DEPTH + 1), nested(10_000), {"in": [1, lists]}):
        ((field, problem),) = problems(too_deep)
        assert (field, problem[:31]) == ("rule", "the rule is over 32 levels deep")


def test_size_has_a_limit_lists_included(connection: duckdb.DuckDBPyConnection) -> None:
    row = {"customer_id": "1", **dict.fromkeys(COLUMNS, 1.0)}
    around = 4  # in, var, its name, and the list
    assert truths(connection, {"in": [var("revenue"), list(range(MAX_NODES - around))]}, [row]) == [True]
    wide = [
        {"in": [var("revenue"), list(range(MAX_NODES - around + 1))]},
        {"in": [var("revenue"), list(range(700_000))]},  # over 5 MB
        {"or": [{"and": [{">": [var("revenue"), 1]}] * 50}] * 100},
        {"and": [True] * MAX_NODES},
    ]
    for rule in wide:
        ((field, problem),) = problems(rule)
        assert (field, problem[:24]) == ("rule", "the rule has over 10,000")


def test_thousands_of_conditions_side_by_side_are_one_level(connection: duckdb.DuckDBPyConnection) -> None:
    """Joined one after another they would be thousands of levels to DuckDB, and seconds."""
    row = {"customer_id": "1", **dict.fromkeys(COLUMNS, 1000.0)}
    rule = {"and": [{"!": {"==": [var("revenue"), place]}} for place in range(1600)]}
    assert truths(connection, rule, [row]) == [False]
    assert truths(connection, {"!": rule}, [row]) == [True]


HOSTILE = (
    "'; DROP TABLE customers; --",
    '"; DROP TABLE customers; --',
    'revenue"; DROP TABLE customers; --',
    "revenue > 0 OR 1=1",
    "' OR ''='",
    "1) OR (1=1",
    "\\",
    "a\x00b",
    "%",
    "${revenue}",
    "/../customer_id",
    "revenue@0",
    "__class__",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_is_a_value_or_nothing(text: str) -> None:
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE customers (customer_id VARCHAR, revenue DOUBLE)")
        connection.executemany("INSERT INTO customers VALUES (?, ?)", [["1", 10.0], [text, 20.0], [None, None]])
        customers = connection.table("customers")

        def ids(rule: Any) -> list[str | None]:
            predicate = parse_rule(rule, ["revenue"])
            assert predicate is not None
            selected = customers.filter(predicate)
            return [customer_id for customer_id, _ in selected.fetchall()]

        assert ids({"==": [var("customer_id"), text]}) == [text]
        assert ids({"==": [text, var("customer_id")]}) == [text]
        assert ids({"!=": [var("customer_id"), text]}) == ["1"]
        assert ids({"in": [var("customer_id"), [text, "no one"]]}) == [text]
        assert ids({"==": [var("customer_id", text), text]}) == [text, None]
        for rule in (
            {">": [var(text), 0]},
            {text: [var("revenue"), 0]},
            {">": [var("revenue"), text]},
            {">": [var("revenue", text), 0]},
            {"and": [text]},
            {"!": text},
            {"in": [var("revenue"), [text]]},
            {"var": text},
        ):
            assert problems(rule, ["revenue"])
        assert customers.aggregate("count(*)").fetchone() == (3,)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5) | st.sampled_from(COLUMNS),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["and", "or", "!", ">", "<=", "==", "!=", "in", "var"]) | st.text(max_size=3),
            inner,
            max_size=2,
        )
    ),
)


@given(json_values)
def test_any_json_is_a_rule_or_refused(connection: duckdb.DuckDBPyConnection, value: Any) -> None:
    row = {"customer_id": "1", **dict.fromkeys(COLUMNS, 1.0)}
    try:
        predicate = parse_rule(value, COLUMNS)
    except InvalidRequest:
        assert problems(value)
    else:
        assert predicate is None or truths(connection, value, [row])[0] in (True, False, None)
