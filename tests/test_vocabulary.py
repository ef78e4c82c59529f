"""What is wrong with a request, in the service's words."""

import datetime
import re
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from loyalty_ml.jobs.contracts import JobRequest
from loyalty_ml.models.card import Card
from loyalty_ml.models.manifest import Manifest
from loyalty_ml.scoring.contracts import BatchRequest, PredictOrBatchRequest, PredictRequest
from loyalty_ml.segments.contracts import SegmentPredictRequest
from loyalty_ml.segments.definition import SegmentDefinition
from loyalty_ml.vocabulary import problem_in
from training.config import Config

pytestmark = pytest.mark.unit

READ: list[type[BaseModel]] = [
    PredictRequest,
    BatchRequest,
    PredictOrBatchRequest,
    SegmentPredictRequest,
    SegmentDefinition,
    JobRequest,
    Card,
    Manifest,
    Config,
]
"""All that a person writes and pydantic checks."""
OF_PYDANTIC = re.compile(r"\b[Ii]nputs?\b|should|Field required|permitted|\bvalid (int|bool|str|num|dict|list|tuple)")
FIELDS = sorted({name for model in READ for name in model.model_fields})
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 10**20)
    | st.floats()
    | st.sampled_from(["", "churn", "1", "x" * 257, "2018-01-02T00:00:00Z", "../x"])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*FIELDS, "x"]), inner, max_size=4),
    max_leaves=12,
)


def problems(model: type[BaseModel] | TypeAdapter[Any], value: Any) -> list[str]:
    try:
        if isinstance(model, TypeAdapter):
            model.validate_python(value)
        else:
            model.model_validate(value)
    except ValidationError as error:
        return [problem_in(each) for each in error.errors()]
    return []


@pytest.mark.parametrize("model", READ, ids=lambda model: model.__name__)
@given(data=st.data())
def test_no_problem_is_said_in_pydantics_words(model: type[BaseModel], data: st.DataObject) -> None:
    names = st.sampled_from([*model.model_fields, "x"])
    value = data.draw(JSON | st.dictionaries(names, JSON, min_size=1))
    for problem in problems(model, value):
        assert not OF_PYDANTIC.search(problem), problem
        assert problem
        assert not problem.endswith(".")


class Whole(BaseModel):
    model_config = ConfigDict(extra="forbid")
    number: int = 1


@pytest.mark.parametrize(
    ("kind", "value", "problem"),
    [
        (Whole, {"numbr": 1}, "is not known: remove it, or correct its name"),
        (Whole, {"number": 1.5}, "must be a whole number"),
        (Whole, [], "must be an object with named fields"),
        (Annotated[str, Field(min_length=1)], "", "must not be empty"),
        (Annotated[str, Field(min_length=2)], "a", "must have at least 2 characters"),
        (Annotated[str, Field(max_length=256)], "a" * 257, "must have at most 256 characters"),
        (Annotated[list[int], Field(min_length=1)], [], "must not be empty"),
        (Annotated[list[int], Field(max_length=2)], [1, 2, 3], "must have at most 2 items"),
        (Literal["churn", "nbo"], "chrun", "must be 'churn' or 'nbo'"),
        (Annotated[float, Field(gt=0.5)], 0, "must be greater than 0.5"),
        (Annotated[int, Field(le=1000)], 1001, "must be 1,000 or less"),
        (Annotated[float, Field(allow_inf_nan=False)], float("nan"), "must be a finite number"),
        (bool, "perhaps", "must be true or false"),
        (datetime.datetime, "yesterday", "must be a moment such as 2018-01-02T00:00:00Z"),
    ],
    ids=lambda value: None if isinstance(value, (str, int, float, list, dict)) else "kind",
)
def test_a_problem_says_what_must_be(kind: Any, value: Any, problem: str) -> None:
    assert problems(TypeAdapter(kind), value) == [problem]
