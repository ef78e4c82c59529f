"""Generated customers of an imaginary retailer, with a pattern in what they do next.

They are what the placeholder models learn from, so that different customers get different answers before any real
data is there. A log of purchases is drawn for each customer and the features are computed from it, so the features
agree with one another as those of a real customer do.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.customers.table import DEFAULT_FEATURES
from loyalty_ml.models.card import DEFAULT_OFFERS

Column = NDArray[np.float64]

SERVICE_COUNTERS = 11
ENGAGEMENT_WEEKS = 12


@dataclass(frozen=True, slots=True)
class GeneratedCustomers:
    """n customers.

    features:  float64 (n, 10), the columns as in DEFAULT_FEATURES; days, counts, money, and percent for engagement.
    churned:   bool (n,): the customer did not come back.
    accepted:  int64 (n,), 0..7: the offer that the customer took.
    """

    features: NDArray[np.float64]
    churned: NDArray[np.bool_]
    accepted: NDArray[np.int64]


def generate_customers(count: int, seed: int) -> GeneratedCustomers:
    """The same customers for the same count and seed.

    count: some hundreds at least, as an offer suits a customer by where that customer stands among the others.
    """
    random = np.random.default_rng(seed)
    columns = _features(count, random)
    churn_probability = 1 / (1 + np.exp(-_churn_log_odds(columns)))
    # The largest of the scores with Gumbel noise is a draw from their softmax.
    scores = _offer_scores(columns) + random.gumbel(size=(count, len(DEFAULT_OFFERS)))
    return GeneratedCustomers(
        features=np.column_stack([columns[name] for name in DEFAULT_FEATURES]),
        churned=random.random(count) < churn_probability,
        accepted=scores.argmax(axis=1),
    )


def _features(count: int, random: np.random.Generator) -> dict[str, Column]:
    first_day = np.clip(random.gamma(1.5, 300, count), 2, 3650).astype(np.int64)
    # About a third bought for the last time long ago.
    bought_until = np.where(random.random(count) < 0.35, first_day * random.beta(1, 2, count), 0)
    baskets_a_day = np.clip(random.lognormal(np.log(0.15), 0.95, count), 1 / 200, 1.5)
    usual_basket = random.lognormal(np.log(27), 0.58, count)
    # Above 1 the baskets crowd towards today: a customer who buys more and more.
    growth = random.lognormal(0, 0.25, count)

    repeats = random.poisson(baskets_a_day * (first_day - bought_until))
    customer = np.repeat(np.arange(count), repeats)
    moment = random.random(len(customer)) ** growth[customer]
    days_ago = (bought_until[customer] + moment * (first_day - bought_until)[customer]).astype(np.int64)
    customer = np.concatenate([np.arange(count), customer])
    days_ago = np.concatenate([first_day, days_ago])
    amount = np.maximum(usual_basket[customer] * random.lognormal(-0.2, 0.63, len(customer)), 0.5).round(2)

    def baskets(within: int) -> Column:
        return np.bincount(customer[days_ago < within], minlength=count).astype(np.float64)

    def spend(within: int) -> Column:
        recent = days_ago < within
        return np.bincount(customer[recent], amount[recent], count).round(2)

    last_day = first_day.copy()
    np.minimum.at(last_day, customer, days_ago)
    recent = days_ago < 7 * ENGAGEMENT_WEEKS
    active_weeks = np.unique(customer[recent] * ENGAGEMENT_WEEKS + days_ago[recent] // 7)
    weeks = np.bincount(active_weeks // ENGAGEMENT_WEEKS, minlength=count)

    revenue, transaction_count, lifetime_value = spend(365), baskets(365), spend(int(np.max(first_day)) + 1)
    products = 1.3 * lifetime_value**0.75 * random.lognormal(0, 0.25, count)
    curiosity = random.lognormal(np.log(0.048), 0.35, count) * np.sqrt(transaction_count)
    return {
        "revenue": revenue,
        "transaction_count": transaction_count,
        "days_since_last": last_day.astype(np.float64),
        "avg_transaction_value": (revenue / np.maximum(transaction_count, 1)).round(2),
        "lifetime_value": lifetime_value,
        "customer_age_days": first_day.astype(np.float64),
        "monthly_revenue": spend(30),
        "product_count": np.maximum(products, 1).round(),
        "service_count": random.binomial(SERVICE_COUNTERS, 1 - np.exp(-curiosity)).astype(np.float64),
        "engagement_score": (100 * weeks / ENGAGEMENT_WEEKS).round(1),
    }


def _overdue(columns: dict[str, Column]) -> Column:
    """How long a customer has been away against the own rhythm, in powers of e."""
    usual_gap = np.minimum(columns["customer_age_days"], 365) / np.maximum(columns["transaction_count"], 1)
    return np.log1p(columns["days_since_last"]) - np.log1p(usual_gap)


def _churn_log_odds(columns: dict[str, Column]) -> Column:
    """Who is away for longer than usual leaves; who comes often, and in most weeks, stays."""
    often = np.log1p(columns["transaction_count"]) - np.log1p(40)
    engaged = (columns["engagement_score"] - 50) / 50
    log_odds: Column = _overdue(columns) - 0.5 * often - 0.9 * engaged - 0.7
    return log_odds


def _offer_scores(columns: dict[str, Column]) -> NDArray[np.float64]:
    """float64 (n, 8): how well each offer suits each customer, in the order of DEFAULT_OFFERS."""
    standing = {name: _standardised(np.log1p(column)) for name, column in columns.items()}
    usual_month = columns["revenue"] * 30 / np.minimum(columns["customer_age_days"] + 1, 365)
    suits = {
        "Double Points Weekend": standing["transaction_count"] - standing["avg_transaction_value"],
        "Free Shipping": standing["avg_transaction_value"] - standing["transaction_count"],
        "10% Discount": -standing["product_count"] - standing["customer_age_days"],
        "Exclusive VIP Access": np.sqrt(columns["revenue"]),
        "Birthday Bonus": standing["service_count"],
        "Referral Reward": standing["engagement_score"] + standing["product_count"],
        "Flash Sale": _overdue(columns),
        "Loyalty Tier Upgrade": np.log1p(columns["monthly_revenue"]) - np.log1p(usual_month),
    }
    return 2.0 * np.column_stack([_standardised(suits[offer.offer_name]) for offer in DEFAULT_OFFERS])


def _standardised(column: Column) -> Column:
    return (column - np.mean(column)) / np.std(column)
