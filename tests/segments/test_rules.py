"""A segment's rule selects whom it says, by values and by missing values, and bad input is refused with a sentence."""

import json
import math
import operator
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from loyalty_ml.errors import InvalidRequest
from loyalty_ml.scoring.rfm import SEGMENT_NAMES
from loyalty_ml.scoring.scores import RISKS
from loyalty_ml.segments.operators import MAX_NODES
from loyalty_ml.segments.rules import MAX_DEPTH, parse_rule
from loyalty_ml.segments.variables import OFFER, PREDICTED
from loyalty_ml.vocabulary import CUSTOMER_ID
from tests.examples import examples

pytestmark = pytest.mark.unit

COLUMNS = ("revenue", "days_since_last", "a.b/c~1@0")
IDS = ("1", "2", "O'Brien", "é", "'; DROP TABLE customers; --")
NUMBERS = (0.0, -0.0, 0.1, math.nextafter(0.1, 1), 7.0, 1e300)
"""Few, so that equal ones meet."""

Row = dict[str, Any]


def var(name: str, *default: Any) -> dict[str, Any]:
    return {"var": [name, *default]} if default else {"var": name}


def offer_codes() -> list[str]:
    return ["FREE_SHIP", "0"]


def truths(rule: Any, rows: Sequence[Row], columns: Sequence[str] = COLUMNS) -> list[bool | None]:
    """What the rule says of each row: None where a value that decides is missing. A row without a value has None."""
    parsed = parse_rule(rule, columns, offer_codes)
    codes = dict(parsed.codes)

    def number(value: str | float | None) -> float:
        if isinstance(value, str):
            return codes.setdefault(value, float(len(codes)))
        return math.nan if value is None else value

    def column(name: str) -> NDArray[np.float64]:
        return np.array([number(row[name]) for row in rows])

    is_true, is_false = np.ones(len(rows), np.bool_), np.zeros(len(rows), np.bool_)
    for conjunct in parsed.conjuncts:
        assert conjunct.reads <= {CUSTOMER_ID, *columns, *PREDICTED}
        is_true, is_false = is_true & conjunct.condition.true(column), is_false | conjunct.condition.false(column)
    assert not (is_true & is_false).any()
    return [True if true else False if false else None for true, false in zip(is_true, is_false, strict=True)]


def members(rule: Any, revenues: Sequence[float | None]) -> list[float | None]:
    rows = [{"customer_id": str(place), "revenue": revenue} for place, revenue in enumerate(revenues)]
    return [revenue for revenue, truth in zip(revenues, truths(rule, rows, ["revenue"]), strict=True) if truth]


def problems(rule: Any, columns: Sequence[str] = COLUMNS) -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequest) as refused:
        parse_rule(rule, columns, offer_codes)
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


PREDICTED_NUMBERS = [name for name, variable in PREDICTED.items() if variable.texts is None]
PREDICTED_TEXTS = {"churn_risk": RISKS, "rfm_segment": SEGMENT_NAMES, OFFER: offer_codes()}
number_columns |= st.sampled_from(PREDICTED_NUMBERS).map(var)
number, text = number_columns | numbers, text_columns | texts
predicted_text = st.sampled_from([(var(name), text) for name, texts in PREDICTED_TEXTS.items() for text in texts])
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
    | st.tuples(st.sampled_from(EQUALITIES), predicted_text).map(lambda pair: {pair[0]: [*pair[1]]})
    | st.tuples(st.sampled_from(EQUALITIES), predicted_text).map(lambda pair: {pair[0]: [pair[1][1], pair[1][0]]})
    | predicted_text.map(lambda pair: {"in": [pair[0], [pair[1]]]})
    | operation(EQUALITIES, predicted_text.map(lambda pair: pair[0]), text_columns | st.none())
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
    st.fixed_dictionaries(
        {
            "customer_id": texts | st.sampled_from(RISKS),
            **{name: st.none() | st.sampled_from(NUMBERS) for name in (*COLUMNS, *PREDICTED_NUMBERS)},
            **{name: st.none() | st.sampled_from(texts) for name, texts in PREDICTED_TEXTS.items()},
        }
    ),
    min_size=4,
    max_size=8,
)


@settings(max_examples=examples(300))
@given(rule=rules, rows=rows)
def test_a_rule_says_of_each_customer_what_its_operators_say(rule: Any, rows: list[Row]) -> None:
    assert truths(rule, rows) == [truth_of(rule, row) for row in rows]


def test_an_empty_rule_is_everyone() -> None:
    assert not parse_rule({}, COLUMNS, offer_codes).conjuncts


def test_who_has_no_value_is_in_no_comparison_and_not_in_its_negation() -> None:
    revenues = [None, 0.0, 50.0, 500.0]
    small = {"<": [var("revenue"), 100]}
    assert members(small, revenues) == [0, 50]
    assert members({"!": small}, revenues) == [500]
    assert members({"!=": [var("revenue"), 50]}, revenues) == [0, 500]
    assert members({"!": {"in": [var("revenue"), [50]]}}, revenues) == [0, 500]
    assert members({"==": [var("revenue"), None]}, revenues) == [None]
    assert members({"!=": [None, var("revenue")]}, revenues) == [0, 50, 500]
    assert members({"<": [var("revenue", 0), 100]}, revenues) == [None, 0, 50]


def test_between_is_of_less_than_only() -> None:
    revenues = [1.0, 2.0, 3.0]
    assert members({"<=": [1, var("revenue"), 2]}, revenues) == [1, 2]
    assert members({"<": [1, var("revenue"), 3]}, revenues) == [2]
    # JavaScript's > ignores the third argument, which nobody who writes one means.
    assert problems({">": [3, var("revenue"), 1]}) == [("rule.>", "> takes two numbers, but here are 3")]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_compared_to_the_bit(number: float) -> None:
    neighbours = [math.nextafter(number, -math.inf), number, math.nextafter(number, math.inf)]
    rule = json.loads(json.dumps({"==": [var("revenue"), number]}))
    assert members(rule, neighbours) == [number]


def test_numbers_are_double_whatever_their_notation() -> None:
    assert members({"==": [var("revenue"), 2**60]}, [2.0**60, 2.0**60 + 256]) == [2.0**60]
    assert members({"<": [var("revenue"), 2**200]}, [2.0**199, 2.0**200]) == [2.0**199]
    assert members({"in": [var("revenue"), [0.1, 3]]}, [0.1, math.nextafter(0.1, 1), 3.0]) == [0.1, 3]


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


def test_a_columns_name_is_a_name_and_no_path() -> None:
    """Names that the library's parsers would read as more than a name."""
    names = ('a"b', "a.b", "a/b", "~1", "a@0", "*", "select", "x y", "b", "it's; --", "$1", "{}")
    row = {"customer_id": "1", **{name: float(place) for place, name in enumerate(names)}}
    for place, name in enumerate(names):
        assert truths({"==": [var(name), place]}, [row], names) == [True]
    assert problems({"==": [var("Select"), 1]}, names)
    assert "columns are b, customer_id" in problems({"==": [var("a"), 1]}, ["b"])[0][1]


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


@pytest.mark.parametrize(
    ("rule", "field", "problem"),
    [
        (
            {"==": [var("churn_risk"), "hihg"]},
            "rule.==",
            'churn_risk is never "hihg": it is one of high, medium, low, lapsed',
        ),
        ({"!=": ["High", var("churn_risk")]}, "rule.!=", 'churn_risk is never "High"'),
        ({"in": [var("churn_risk"), ["high", "very high"]]}, "rule.in", 'churn_risk is never "very high"'),
        ({"==": [var("rfm_segment"), "545"]}, "rule.==", 'rfm_segment is never "545": it is one of Hibernating'),
        ({"==": [var(OFFER), "free_ship"]}, "rule.==", f'{OFFER} is never "free_ship": it is one of FREE_SHIP, 0'),
        ({"==": [var(OFFER), 0]}, "rule.==", f"{OFFER} is a text and 0 is a number"),
        ({">": [var("churn_risk"), 0.5]}, "rule.>", "churn_risk is a text"),
        ({"==": [var("churn_probability"), "high"]}, "rule.==", "churn_probability is a number"),
        ({"and": [True, var("churn_risk")]}, "rule.and", "churn_risk is a text, but and takes conditions"),
    ],
)
def test_what_a_prediction_never_is_is_refused(rule: Any, field: str, problem: str) -> None:
    ((found_field, found_problem),) = problems(rule)
    assert found_field == field
    assert problem in found_problem


def test_a_column_comes_before_a_prediction_of_its_name() -> None:
    """Or a rule that was stored before predictions had names would mean another thing."""
    row = {"customer_id": "1", "churn_risk": 0.5}
    assert truths({">": [var("churn_risk"), 0.4]}, [row], ["churn_risk"]) == [True]
    assert problems({"==": [var("churn_risk"), "high"]}, ["churn_risk"])


def test_offers_are_asked_for_only_if_a_rule_names_one() -> None:
    def no_model() -> list[str]:
        raise AssertionError

    parse_rule({"==": [var("churn_risk"), "high"]}, COLUMNS, no_model)
    with pytest.raises(AssertionError):
        parse_rule({"!=": [var(OFFER), None]}, COLUMNS, no_model)


def test_one_answer_names_up_to_ten_problems() -> None:
    wrong: list[Any] = [{">": [var("spend"), 1]}, {"<": [var("revenue"), "abc"]}, var("revenue")]
    assert [field for field, _ in problems({"and": wrong})] == ["rule.and.0.>.0.var", "rule.and.1.<", "rule.and"]
    assert len(problems({"and": wrong * 20})) == 10


def nested(levels: int) -> dict[str, Any]:
    rule: dict[str, Any] = {"!": True}
    for _ in range(levels - 1):
        rule = {"!": [rule]}
    return rule


def test_depth_has_a_limit_that_no_stack_notices() -> None:
    row = {"customer_id": "1", **dict.fromkeys(COLUMNS, 1.0)}
    assert truths(nested(MAX_DEPTH), [row]) == [True]
    lists: Any = []
    for _ in range(10_000):
        lists = [lists]
    for too_deep in (nested(MAX_DEPTH + 1), nested(10_000), {"in": [1, lists]}):
        ((field, problem),) = problems(too_deep)
        assert (field, problem[:31]) == ("rule", "the rule is over 32 levels deep")


def test_size_has_a_limit_lists_included() -> None:
    row = {"customer_id": "1", **dict.fromkeys(COLUMNS, 1.0)}
    around = 4  # in, var, its name, and the list
    assert truths({"in": [var("revenue"), list(range(MAX_NODES - around))]}, [row]) == [True]
    wide = [
        {"in": [var("revenue"), list(range(MAX_NODES - around + 1))]},
        {"in": [var("revenue"), list(range(700_000))]},  # over 5 MB
        {"or": [{"and": [{">": [var("revenue"), 1]}] * 50}] * 100},
        {"and": [True] * MAX_NODES},
    ]
    for rule in wide:
        ((field, problem),) = problems(rule)
        assert (field, problem[:24]) == ("rule", "the rule has over 10,000")


def tree(levels: int, place: int = 1) -> dict[str, Any]:
    """`and`s and `or`s of two, each of which is one of the other kind, and comparisons at the bottom."""
    if not levels:
        return {">": [var(COLUMNS[place % 3]), place]}
    return {"and" if levels % 2 else "or": [tree(levels - 1, 2 * place), tree(levels - 1, 2 * place + 1)]}


LARGE: dict[str, dict[str, Any]] = {
    "and of !": {"and": [{"!": {"==": [var("revenue"), place]}} for place in range(1600)]},
    "or of in, numbers": {"or": [{"in": [var("revenue"), [*range(n, n + 5)]]} for n in range(0, 5000, 5)]},
    "or of in, texts": {"or": [{"in": [var("customer_id"), [f"{n}-{m}" for m in range(5)]]} for n in range(1000)]},
    "in, numbers": {"in": [var("revenue"), [*range(9_990)]]},
    "! in, texts": {"!": {"in": [var("customer_id"), [str(place) for place in range(9_990)]]}},
    "or of and": {"or": [{"and": [{">": [var("revenue"), n]}, {"<": [var(COLUMNS[1]), n]}]} for n in range(1100)]},
    "and of or": {"and": [{"or": [{">": [var("revenue"), n]}, {"<": [var(COLUMNS[1]), n]}]} for n in range(1100)]},
    "or of between": {"or": [{"<": [n, var("revenue", n), n + 0.5]} for n in range(1600)]},
    "or of ==": {"or": [{"==": [var("customer_id"), str(n)]} for n in range(2400)]},
    "and of predictions": {"and": [{"!=": [var("churn_probability", n), var("r_score")]} for n in range(1600)]},
    "tree": tree(10),
    "limits of a float": {"or": [{">": [var("revenue"), 1.7e308]}, {"<=": [-1.7e308, var("revenue"), 5e-324]}] * 800},
}


@pytest.mark.parametrize("shape", LARGE)
def test_whatever_the_shape_of_a_large_rule_it_means_what_its_operators_mean(shape: str) -> None:
    """As expressions of DuckDB such rules took seconds, and some a whole machine's memory."""
    predictions = {"churn_probability": 0.5, "r_score": 3.0}
    rows: list[Row] = [
        {"customer_id": "7", **dict.fromkeys(COLUMNS, 1000.0), **predictions},
        {"customer_id": "x", "revenue": 9_999.5, COLUMNS[1]: 3.0, COLUMNS[2]: None, **predictions},
        {"customer_id": "12", "revenue": None, COLUMNS[1]: -5.0, COLUMNS[2]: 2000.0, **dict.fromkeys(predictions)},
        {"customer_id": "999-4", "revenue": 1.79e308, COLUMNS[1]: None, COLUMNS[2]: None, **predictions},
    ]
    for rule in (LARGE[shape], {"!": LARGE[shape]}):
        assert truths(rule, rows) == [truth_of(rule, row) for row in rows]


@pytest.mark.parametrize("shape", LARGE)
def test_a_rule_reads_each_column_as_often_as_it_names_it_and_no_more(shape: str) -> None:
    """Its cost is its length: no part of it is looked at twice."""
    reads: Counter[str] = Counter()

    def column(name: str) -> NDArray[np.float64]:
        reads[name] += 1
        return np.array([0.25, math.nan])

    for conjunct in parse_rule(LARGE[shape], COLUMNS, offer_codes).conjuncts:
        conjunct.condition.true(column)
        conjunct.condition.false(column)
    named = json.dumps(LARGE[shape]).count('"var"')
    assert 0 < reads.total() <= 6 * named  # an equality's opposite has two comparisons, `in`'s asks for missing values


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
    rows: list[Row] = [
        {"customer_id": "1", "revenue": 10.0},
        {"customer_id": text, "revenue": 20.0},
        {"customer_id": None, "revenue": None},
    ]

    def ids(rule: Any) -> list[str | None]:
        return [row["customer_id"] for row, truth in zip(rows, truths(rule, rows, ["revenue"]), strict=True) if truth]

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
def test_any_json_is_a_rule_or_refused(value: Any) -> None:
    row = {"customer_id": "1", **dict.fromkeys((*COLUMNS, *PREDICTED), 1.0)}
    try:
        (truth,) = truths(value, [row])
    except InvalidRequest:
        assert problems(value)
    else:
        assert truth in (True, False, None)
