"""A value outside its feature's domain is found, however many rows and columns a table has."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from pydantic import ValidationError

from loyalty_ml.customers.domains import CHUNK_VALUES, Domains, outside_domains
from loyalty_ml.customers.table import DEFAULT_FEATURES
from loyalty_ml.models.domain import DEFAULT_DOMAINS, Domain, shown
from training.config import OFFER_FEATURES

pytestmark = pytest.mark.unit

LIMITS = [-1e12, -1.0, 0.0, 0.5, 1.0, 100.0, 100_000.0, 1e12]
NEAR = [
    *LIMITS,
    *(math.nextafter(limit, math.inf) for limit in LIMITS), *(math.nextafter(limit, -math.inf) for limit in LIMITS),
    -0.0, 2.5, 1e16, 1e300, math.nan, math.inf, -math.inf,
]  # fmt: skip


@st.composite
def domain(draw: st.DrawFn) -> Domain:
    low, high = sorted(draw(st.tuples(st.sampled_from(LIMITS), st.sampled_from(LIMITS))))
    bounds = {
        **draw(st.sampled_from([{}, {"least": low}, {"above": low - 1}])),
        **draw(st.sampled_from([{}, {"most": high}, {"below": high + 1}])),
    }
    return Domain(**bounds, whole=low == math.floor(low) and draw(st.booleans()))


def holds(domain: Domain, value: float) -> bool:
    """What a domain is, in its own words."""
    return (
        (domain.least is None or value >= domain.least)
        and (domain.above is None or value > domain.above)
        and (domain.most is None or value <= domain.most)
        and (domain.below is None or value < domain.below)
        and (not domain.whole or math.isinf(value) or value == int(value))
    )


@given(data=st.data(), domains=st.lists(st.tuples(domain(), domain()), min_size=1, max_size=4))
def test_a_row_is_outside_if_a_value_is_and_its_reason_names_value_and_domain(
    data: st.DataObject, domains: list[tuple[Domain, Domain]]
) -> None:
    names = [f"f{place}" for place in range(len(domains))]
    rows = data.draw(arrays(np.float64, (data.draw(st.integers(0, 9)), len(names)), elements=st.sampled_from(NEAR)))
    first, second = ({name: pair[one] for name, pair in zip(names, domains, strict=True)} for one in (0, 1))
    del second[names[0]]
    outside = Domains([*names, "free"], [first, second]).outside(np.column_stack([rows, np.full(len(rows), -5.5)]))
    expected = [
        any(
            name in mapping and not math.isnan(value) and not holds(mapping[name], value)
            for mapping in (first, second)
            for name, value in zip(names, row, strict=True)
        )
        for row in rows.tolist()
    ]
    assert ([False] * len(rows) if outside is None else outside.tolist()) == expected
    assert outside is None or outside.any()
    for row in rows[~np.isnan(rows).any(axis=1)]:
        wrong = [name for name, value in zip(names, row.tolist(), strict=True) if not holds(first[name], value)]
        problem = outside_domains(names, row, first)
        assert (problem is not None) == bool(wrong)
        if problem is not None:
            assert problem.code == "INVALID_FEATURES"
            assert problem.details == {"features": wrong}
            for name in wrong:
                value = shown(float(row[names.index(name)]))
                assert f"{name} is {value}, but must be {first[name]}" in problem.message


@pytest.mark.parametrize("columns", [1, 3, 10])
def test_a_table_of_many_chunks_says_the_same_as_its_rows(columns: int) -> None:
    at_once = CHUNK_VALUES // columns
    values = np.ones((2 * at_once + 7, columns))
    wrong = [0, 1, at_once - 1, at_once, 2 * at_once, len(values) - 1]
    values[wrong, -1] = 0.5
    values[5] = np.nan
    names = [f"f{place}" for place in range(columns)]
    domains = Domains(names, [{names[-1]: Domain(whole=True)}])
    outside = domains.outside(values)
    assert outside is not None
    assert np.flatnonzero(outside).tolist() == wrong
    assert domains.outside(values[2 : at_once - 1]) is None
    transposed = domains.outside(np.asfortranarray(values))
    assert transposed is not None
    assert transposed.tolist() == outside.tolist()


def test_without_domains_every_number_is_good() -> None:
    values: NDArray[np.float64] = np.full((3, 2), -1e300)
    assert Domains(("a", "b"), []).outside(values) is None
    assert Domains(("a", "b"), [{}, {}]).outside(values) is None
    assert Domains((), [{"a": Domain(least=0)}]).outside(np.empty((3, 0))) is None


def test_every_feature_of_the_project_has_a_domain() -> None:
    features = {
        *DEFAULT_FEATURES,
        *OFFER_FEATURES,
        "lifetime_transaction_count",
        "rfm_transaction_count",
        "rfm_revenue",
    }
    assert set(DEFAULT_DOMAINS) == features


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("transaction_count", [0, 1e9], [-1, 2.5, 12.345]),
        ("days_since_last", [0, 99_999], [-1, 100_000, 604_800_000_000, 0.5]),
        ("engagement_score", [0, 83.3, 100], [-0.1, 100.1]),
        ("revenue", [-5.5, 0, 999_999_999_999], [1e12, -1e12, 1e39]),
        ("offer_take_rate", [0, 0.1, 1], [1.1]),
    ],
)
def test_counts_days_money_and_scores(name: str, good: list[float], bad: list[float]) -> None:
    assert [value for value in good if not DEFAULT_DOMAINS[name].holds(value)] == []
    assert [value for value in bad if DEFAULT_DOMAINS[name].holds(value)] == []


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"least": 5, "most": 3}, "does not exist"),
        ({"above": 1, "below": 1}, "does not exist"),
        ({"least": 0.2, "most": 0.8, "whole": True}, "does not exist"),
        ({"least": 1, "above": 1}, "both given"),
        ({"most": math.inf}, "finite"),
    ],
)
def test_a_domain_without_a_value_is_refused(fields: dict[str, float], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        Domain.model_validate(fields)


@pytest.mark.parametrize(
    ("domain", "text"),
    [
        (Domain(), "a number"),
        (Domain(whole=True, least=0), "a whole number, at least 0"),
        (Domain(least=0, below=100_000, whole=True), "a whole number, at least 0 and below 100,000"),
        (Domain(above=-0.5, most=100), "a number, above -0.5 and at most 100"),
    ],
)
def test_a_domain_says_what_a_value_must_be(domain: Domain, text: str) -> None:
    assert str(domain) == text
