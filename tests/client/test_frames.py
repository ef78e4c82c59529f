"""Frames of rows: a row for each customer, and every value as it was answered."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_client import Predictions

REPOSITORY = Path(__file__).parents[2]
PYTHON = REPOSITORY / ".venv-client" / "bin" / "python"
TO_POLARS = """
import json, sys
from loyalty_client import Predictions
rows = json.load(sys.stdin)
frame = Predictions(rows, prediction_type="nbo").to_polars()
print(json.dumps([{name: str(kind) for name, kind in frame.schema.items()}, frame.to_dicts()]))
"""

ALL = [
    {"customer_id": "1", "churn": {"customer_id": "1", "churn_probability": 0.5}, "rfm": {"r_score": 5}, "errors": {}},
    {
        "customer_id": "2",
        "churn": {"customer_id": "2", "churn_probability": 0.25},
        "errors": {"rfm": {"code": "NO_PURCHASES", "error": "None yet."}},
    },
    {"customer_id": "3", "code": "CUSTOMER_NOT_FOUND", "error": "Customer not found in DWH", "errors": {}},
]


@pytest.mark.unit
def test_a_frame_has_a_row_for_each_customer_and_keeps_whole_numbers() -> None:
    frame = Predictions(ALL, prediction_type="all").to_pandas()
    assert list(frame.columns) == ["customer_id", "churn_probability", "r_score", "code", "error"]
    assert frame["r_score"].dtype == "Int64"
    assert frame["r_score"].isna().tolist() == [False, True, True]
    assert frame["churn_probability"].tolist()[:2] == [0.5, 0.25]
    assert frame["code"].tolist()[1:] == ["NO_PURCHASES", "CUSTOMER_NOT_FOUND"]
    empty = Predictions([], prediction_type="churn").to_pandas()
    assert (list(empty.columns), len(empty)) == (["customer_id"], 0)


VALUES = {
    "frequency": st.integers(-5, 5),
    "monetary": st.integers(-5, 5) | st.floats(-5, 5).map(lambda value: round(value, 2)),
    "churn_risk": st.sampled_from(["high", "low"]),
    "mock": st.just(True),
    "scores": st.lists(st.integers(0, 1) | st.just(0.5), max_size=3),
    "top_offer": st.fixed_dictionaries({"offer_id": st.integers(0, 7)}, optional={"explored": st.just(True)}),
}
ROW = st.fixed_dictionaries({"customer_id": st.sampled_from("abc")}, optional=VALUES)


@pytest.mark.unit
@given(rows=st.lists(ROW, max_size=6))
def test_a_frame_has_every_value(rows: list[dict[str, Any]]) -> None:
    frame = Predictions(rows, prediction_type="nbo").to_pandas()
    assert len(frame) == len(rows)
    assert set(frame.columns) == {"customer_id", *(name for row in rows for name in row)}
    for row, there in zip(rows, frame.to_dict("records"), strict=True):
        for name in frame.columns:
            value = there[name]
            if name not in row:
                assert not isinstance(value, dict | list)
                assert pd.isna(value)
            elif name == "top_offer":
                assert {field: each for field, each in value.items() if each is not None} == row[name]
            else:
                assert value == row[name]


@pytest.mark.process
@pytest.mark.long
def test_polars_has_every_value_whatever_comes_late() -> None:
    if not PYTHON.exists():
        pytest.skip("Polars is not installed: run 'make .venv-client/stamp'.")
    offer = {"offer_id": 1, "probability": 0.5}
    late = {"offer_id": 2, "probability": 1, "explored": True}
    rows: list[dict[str, Any]] = [{"customer_id": "1", "offers": [offer], "top_offer": offer, "monetary": 1}] * 2000
    rows += [
        {"customer_id": "2", "code": "NO_PURCHASES", "error": "None yet."},
        {"customer_id": "3", "offers": [offer, late], "top_offer": late, "monetary": 1.5, "mock": True},
    ]
    done = subprocess.run(
        [PYTHON, "-c", TO_POLARS],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "client" / "src")},
        input=json.dumps(rows),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    schema, given = json.loads(done.stdout)
    assert schema["monetary"] == "Float64"
    assert given[0] == {
        "customer_id": "1", "offers": [{**offer, "explored": None}], "top_offer": {**offer, "explored": None},
        "monetary": 1.0, "mock": None, "code": None, "error": None,
    }  # fmt: skip
    assert given[2000]["code"] == "NO_PURCHASES"
    assert given[2000]["offers"] is None
    assert given[2001]["top_offer"] == late
    assert given[2001]["offers"] == [{**offer, "explored": None}, late]


@pytest.mark.parametrize("name", ["pandas", "polars"])
def test_a_frame_without_its_package_says_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    rows = Predictions(ALL, prediction_type="all")
    with pytest.raises(ModuleNotFoundError, match=rf"^{name} is not installed: pip install {name}\.$"):
        getattr(rows, f"to_{name}")()
