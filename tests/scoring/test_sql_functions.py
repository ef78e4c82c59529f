"""The functions that SQL calls: the API's answers in columns, one value a row whatever is wrong with the others."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_ml.customers.table import DEFAULT_FEATURES, LIFETIME_TRANSACTION_COUNT, FeatureTable
from loyalty_ml.errors import InvalidRequest, LoyaltyError, ModelUnavailable
from loyalty_ml.models.store import ModelSet
from loyalty_ml.scoring import predictions, sql_functions
from loyalty_ml.scoring.scorers import scorer_for
from loyalty_ml.scoring.sql_functions import ERROR, PARTS, SqlFunction, parse_name, signature_of
from loyalty_ml.vocabulary import PREDICTION_TYPES, PredictionType
from tests import sample_set

pytestmark = pytest.mark.unit

NAMES = (*DEFAULT_FEATURES, LIFETIME_TRANSACTION_COUNT)
MODELS = sample_set.model_set()
CUSTOMERS = 10_000
RANDOM = np.random.default_rng(18)
TABLE = RANDOM.integers(0, 90, (CUSTOMERS, len(NAMES))).astype(np.float64)
TABLE[::97, 3] = np.nan  # nothing stored
TABLE[::89, 9] = 101  # outside its domain


def read(customer_ids: Sequence[str], names: Sequence[str]) -> FeatureTable:
    """A store in memory, which is asked for at most a hundred, each once, and knows ids from "0" on."""
    assert 0 < len(customer_ids) <= 100
    assert len(set(customer_ids)) == len(customer_ids)
    found = np.array([each.isdigit() and int(each) < CUSTOMERS for each in customer_ids])
    rows = [int(each) if known else 0 for each, known in zip(customer_ids, found, strict=True)]
    values = TABLE[rows][:, [NAMES.index(name) for name in names]].copy()
    values[~found] = np.nan
    return FeatureTable(customer_ids, tuple(names), values, np.isnan(values), found, sample_set.AS_OF)


def call(function: SqlFunction, rows: Sequence[Any], models: ModelSet = MODELS) -> list[Any]:
    return sql_functions.values(function, rows, models, read, "false")


def signature(prediction_type: PredictionType) -> str:
    return signature_of(features(prediction_type))


def features(prediction_type: PredictionType) -> Sequence[str]:
    return scorer_for(prediction_type, MODELS, "false").features


@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
def test_ten_thousand_rows_are_the_apis_answers_to_the_bit(prediction_type: PredictionType) -> None:
    ids = [str(place) for place in RANDOM.permutation(CUSTOMERS)]
    answers: dict[str, Any] = {}
    for start in range(0, CUSTOMERS, 100):
        asked = ids[start : start + 100]
        answer = predictions.batch_answer(asked, predictions.predict(prediction_type, asked, MODELS, read, "false"))
        answers |= {each["customer_id"]: each["result"] for each in answer["results"]}
        answers |= {each["customer_id"]: f"{each['code']}: {each['error']}" for each in answer["errors"]}
    objects = call(SqlFunction(prediction_type), [[each] for each in ids])
    errors = call(SqlFunction(prediction_type, ERROR), [[each] for each in ids])
    of_features = [
        [_or_null(TABLE[int(each), NAMES.index(name)]) for name in features(prediction_type)] for each in ids
    ]
    same = call(SqlFunction(prediction_type, None, signature(prediction_type)), of_features)
    assert len(objects) == CUSTOMERS
    unanswered = 0
    for customer_id, given_object, error, by_features in zip(ids, objects, errors, same, strict=True):
        result = answers[customer_id]
        assert by_features == given_object
        if isinstance(result, str):
            unanswered += 1
            assert (given_object, error) == (None, result)
            continue
        assert error is None
        if prediction_type == "nbo":
            scores = [given_object[f"offer_{place}"] for place in range(8)]
            assert (scores, given_object["recommended_offer"]) == (result["offer_scores"], result["recommended_offer"])
            assert given_object["offer_code"] == result["top_offer"]["offer_code"]
        else:
            assert given_object == {name: value for name, value in result.items() if name != "customer_id"}
    assert bool(unanswered) is (prediction_type != "rfm")
    for part, (column, _) in PARTS[prediction_type].items():
        alone = call(SqlFunction(prediction_type, part), [[each] for each in ids[:200]])
        assert alone == [each and each[column] for each in objects[:200]]


def _or_null(number: float) -> float | None:
    return None if np.isnan(number) else float(number)


@given(
    st.lists(
        st.sampled_from(["1", "2", 3, None, "", "nobody", 1.5, True, "x" * 257, "\ud800", [], {}, "97"]), max_size=40
    )
)
def test_a_row_is_answered_the_same_whatever_stands_beside_it(arguments: list[Any]) -> None:
    for part in ("probability", ERROR):
        alone = [call(SqlFunction("churn", part), [[each]])[0] for each in arguments]
        assert call(SqlFunction("churn", part), [[each] for each in arguments]) == alone


def test_nulls_give_nulls_and_an_error_is_told_by_its_function() -> None:
    rows = [["1"], [None], ["nobody"], [""], ["97"], [1]]
    values = call(SqlFunction("churn", "probability"), rows)
    assert [value is None for value in values] == [False, True, True, True, True, False]
    assert values[0] == values[5]
    told = call(SqlFunction("churn", ERROR), rows)
    assert told[:2] == [None, None]
    assert [each.partition(":")[0] for each in told[2:5]] == [
        "CUSTOMER_NOT_FOUND", "INVALID_CUSTOMER_ID", "MISSING_FEATURES",
    ]  # fmt: skip


@pytest.mark.parametrize("argument", [1.0, 1e3, True, ["1"], {"id": "1"}])
def test_what_is_no_id_is_told_so_and_is_nobodys(argument: Any) -> None:
    assert call(SqlFunction("churn", "risk"), [[argument], ["1"]])[0] is None
    (told,) = call(SqlFunction("churn", ERROR), [[argument]])
    assert told == "INVALID_CUSTOMER_ID: The customer's id is neither text nor a whole number: cast it to VARCHAR."


def test_numbers_may_be_text_and_what_is_no_number_fails_its_row_alone() -> None:
    row = TABLE[1, :10].tolist()
    rows = [
        row,
        [str(number) for number in row],
        [f"+{number:.1f}" for number in row],
        ["1_0", *row[1:]],
        ["nan", *row[1:]],
        [True, *row[1:]],
        [10**400, *row[1:]],
        [[], *row[1:]],
        [None, *row[1:]],
    ]
    values = call(SqlFunction("churn", "probability", signature("churn")), rows)
    assert values[0] is not None
    assert values == [values[0]] * 3 + [None] * 6
    told = call(SqlFunction("churn", ERROR, signature("churn")), rows)
    assert [each and each.partition(":")[0] for each in told] == [
        *[None] * 3, *["INVALID_FEATURES"] * 5, "MISSING_FEATURES",
    ]  # fmt: skip


@pytest.mark.parametrize("row", [[], ["1", "2"], "1", None, {"id": 1}])
def test_the_wrong_number_of_arguments_fails_the_call_and_names_the_row(row: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"row 1: has .* takes 1"):
        call(SqlFunction("churn"), [["1"], row])


def test_a_function_of_other_features_is_refused_rather_than_answered_with_exchanged_ones() -> None:
    rows = [TABLE[1, :10].tolist()]
    other = signature_of([*DEFAULT_FEATURES[1:], DEFAULT_FEATURES[0]])
    with pytest.raises(InvalidRequest, match=r"other features .*loyalty sql"):
        call(SqlFunction("churn", None, other), rows)
    with pytest.raises(InvalidRequest, match="takes 10"):
        call(SqlFunction("churn", None, signature("churn")), [rows[0][:9]])


def test_by_features_nothing_is_mock() -> None:
    function = SqlFunction("churn", None, signature("churn"))
    with pytest.raises(ModelUnavailable):
        sql_functions.values(function, [], ModelSet(), read, "auto")
    with pytest.raises(ModelUnavailable):
        sql_functions.values(function, [], MODELS, read, "true")
    values = sql_functions.values(SqlFunction("churn"), [["1"]], ModelSet(), read, "auto")
    assert values[0]["mock"] is True


def test_no_rows_are_no_values() -> None:
    for function in sql_functions.functions({name: signature(name) for name in PREDICTION_TYPES}):
        assert call(function, []) == []


def test_each_function_has_a_name_that_leads_back_to_it_in_any_schema() -> None:
    made = list(sql_functions.functions({name: signature(name) for name in PREDICTION_TYPES}))
    assert len({function.name for function in made}) == len(made) == 24
    for function in made:
        for name in (function.name, f"public.{function.name}", f'db."Mixed".F_{function.name.upper()}'):
            assert parse_name(name) == function


@pytest.mark.parametrize(
    "name",
    ["", "loyalty", "public.", "churn_", "loyalty_churn_offer", "loyalty_churned", "loyalty_churn_of_features_", "é"],
)
def test_another_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match="no function of this service"):
        parse_name(name)


def test_one_that_fails_as_a_whole_says_why() -> None:
    with pytest.raises(LoyaltyError, match="No churn model is published"):
        sql_functions.values(SqlFunction("churn"), [["1"]], ModelSet(), read, "false")
