"""The median customer of the active base, and the groups and words that go with it into a card."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_ml.models.baseline import Baseline, words_of
from training.config import Reasons
from training.learning.baseline import median_customer

pytestmark = pytest.mark.unit

NAMES = ("days_since_last", "spent")


@given(rows=st.lists(st.tuples(st.integers(0, 200), st.integers(-50, 50) | st.just(np.nan)), min_size=1, max_size=12))
def test_each_median_is_a_value_of_an_active_customer_who_has_all(rows: list[tuple[int, float]]) -> None:
    features = np.array(rows, np.float64)
    found = median_customer(NAMES, features, features[:, 0], 90)
    active = [row for row in rows if row[0] <= 90 and row[1] == row[1]]
    if not active:
        assert found is None
        return
    assert found is not None
    assert found.customers == len(active)
    for place, name in enumerate(NAMES):
        own = sorted(row[place] for row in active)
        assert found.values[name] == own[(len(own) - 1) // 2]


TIERS = {"tier_gold": "gold", "tier_silver": "silver", "tier_bronze": "bronze"}


@given(st.lists(st.sampled_from([(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.0, 0.0, 0.0)]), min_size=1))
def test_of_a_text_it_has_what_most_customers_have(tiers: list[tuple[float, ...]]) -> None:
    features = np.array([(*tier, 5.0) for tier in tiers])
    names, reasons = (*TIERS, "spent"), Reasons(groups={"status": ("tier", "spent")}, words={"tier": "{value} tier"})
    found = median_customer(names, features, None, 90, reasons=reasons, categories={"tier": TIERS})
    assert found is not None
    typical = tuple(found.values[name] for name in TIERS)
    assert tiers.count(typical) == max(map(tiers.count, tiers))
    assert found.categories == {"tier": TIERS}
    assert found.groups == {"status": names}
    assert found.words == {"tier": "{value} tier", "spent": "spent is {value}"}


def test_where_nobody_knows_who_is_active_it_is_of_all() -> None:
    found = median_customer(NAMES, np.array([[500.0, 1], [600, 2], [700, 3]]), None, 90)
    assert found == Baseline(
        values={"days_since_last": 600, "spent": 2},
        customers=3,
        words={"days_since_last": words_of("days_since_last"), "spent": "spent is {value}"},
    )


def test_a_model_has_what_it_reads_of_groups_and_words() -> None:
    reasons = Reasons(
        groups={"activity": ("days_since_last", "engagement_score"), "others": ("engagement_score",)},
        words={"spent": "{value} euros", "engagement_score": "{value} %"},
    )
    found = median_customer(NAMES, np.ones((3, 2)), None, 90, reasons=reasons)
    assert found is not None
    assert found.groups == {"activity": ("days_since_last",)}
    assert found.words == {"days_since_last": "no purchase for {value} {day|days}", "spent": "{value} euros"}
