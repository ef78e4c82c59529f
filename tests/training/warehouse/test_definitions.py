"""What makes a feature has a definition that changes with it, and with nothing else."""

import pytest

from loyalty_ml.registry.inputs import changes
from training import config
from training.warehouse.definitions import definitions, definitions_of

pytestmark = pytest.mark.unit

BOTH = config.Config(tables=config.Tables(features="everyone", transactions="sales"))
COMPUTED = config.Config(tables=config.Tables(transactions="sales"))
WITH_OFFERS = config.Config(
    tables=config.Tables(transactions="sales", offers="shown"),
    features={name: name for name in ("revenue", *config.OFFER_FEATURES)},
)


def changed(before: config.Config, after: config.Config) -> dict[str, str]:
    """What has another definition, and what the sentence says of it."""
    old, new = definitions(before), definitions(after)
    return {name: changes(old[name], new[name]) for name in old if old[name] != new[name]}


@pytest.mark.parametrize(
    ("windows", "features", "sentence"),
    [
        (
            {"year_days": 180},
            {"revenue", "transaction_count", "avg_transaction_value"},
            "[windows] year_days was 365 and is 180",
        ),
        ({"month_days": 28}, {"monthly_revenue"}, "[windows] month_days was 30 and is 28"),
        ({"engagement_weeks": 10}, {"engagement_score"}, "[windows] engagement_weeks was 12 and is 10"),
        ({"churn_days": 60, "churn_snapshots": 3, "active_days": 45, "offer_days": 10}, set(), ""),
    ],
)
def test_a_window_changes_the_features_that_use_it(windows: dict[str, int], features: set[str], sentence: str) -> None:
    found = changed(COMPUTED, COMPUTED.model_copy(update={"windows": config.Windows(**windows)}))
    assert found == dict.fromkeys(features, sentence)


def test_a_column_changes_the_features_that_are_computed_from_it() -> None:
    def mapped(**columns: str) -> dict[str, str]:
        transactions = config.TransactionColumns(**columns)
        return changed(COMPUTED, COMPUTED.model_copy(update={"columns": config.Columns(transactions=transactions)}))

    assert mapped(product="sku") == {"product_count": '[columns.transactions] product was null and is "sku"'}
    assert mapped(amount="net").keys() == definitions(COMPUTED).keys(), "a return is no purchase, whatever is counted"


def test_the_history_of_offers_depends_on_their_table_and_on_how_long_they_may_be_taken() -> None:
    history = set(config.OFFER_FEATURES)

    def with_windows(**windows: int) -> dict[str, str]:
        return changed(WITH_OFFERS, WITH_OFFERS.model_copy(update={"windows": config.Windows(**windows)}))

    assert with_windows(offer_days=10) == dict.fromkeys(history, "[windows] offer_days was 30 and is 10")
    assert history & with_windows(year_days=90).keys() == {"days_since_offer"}
    assert not history & with_windows(month_days=7, engagement_weeks=3, churn_days=9, active_days=4).keys()
    columns = config.Columns(offers=config.OfferColumns(converted="taken"))
    assert changed(WITH_OFFERS, WITH_OFFERS.model_copy(update={"columns": columns})) == dict.fromkeys(
        history, '[columns.offers] converted was "converted" and is "taken"'
    )
    tables = config.Tables(transactions="receipts", offers="shown")
    assert not history & changed(WITH_OFFERS, WITH_OFFERS.model_copy(update={"tables": tables})).keys()


def test_a_table_a_mapping_and_the_way_of_computing_are_part_of_it() -> None:
    other = config.Config(tables=config.Tables(features="everyone_v2", transactions="sales"))
    assert changed(BOTH, other)["revenue"] == '[tables] features was "everyone" and is "everyone_v2"'
    columns = {**BOTH.features, "revenue": "net_revenue"}
    assert changed(BOTH, BOTH.model_copy(update={"features": columns})) == {
        "revenue": '[features] revenue was "revenue" and is "net_revenue"'
    }
    assert (
        "formula of revenue was not there and is 1"
        in changed(config.Config(tables=config.Tables(features="everyone")), BOTH)["revenue"]
    )


@pytest.mark.parametrize(
    ("rewritten", "is_another"),
    [
        ("SELECT a, 'x -- y'\n  FROM sales -- of the shop\n/* all */ WHERE b = 1", False),
        ("SELECT a, 'x --  y' FROM sales WHERE b = 1", True),
        ("SELECT a, 'x -- y' FROM sales WHERE b = 2", True),
        ("SELECT a, 'x -- y FROM sales WHERE b = 1", True),  # no SQL, and still another text
    ],
)
def test_a_query_is_another_if_its_words_are(rewritten: str, *, is_another: bool) -> None:
    before, after = (
        config.Config(tables=config.Tables(transactions=config.Query(query=query)))
        for query in ("SELECT a, 'x -- y' FROM sales WHERE b = 1", rewritten)
    )
    assert bool(changed(before, after)) is is_another


def test_an_attribute_has_a_definition_for_each_of_its_categories() -> None:
    def tiers(*categories: str) -> config.Config:
        source = config.Attribute(column="tier", table="customers", categories=categories)
        tables = config.Tables(transactions="sales", customers="crm.customers")
        return config.Config(tables=tables, features={"revenue": "revenue", "tier": source})

    before, after = definitions(tiers("gold", "silver")), definitions(tiers("gold", "silver", "none"))
    assert before["tier_gold"] != before["tier_silver"]
    assert '[tables] customers = "crm.customers"' in before["tier_gold"]
    assert "[windows]" not in before["tier_gold"], "it is a column as it stands"
    assert before == {name: after[name] for name in before}
    assert "tier_none" in after


def test_a_window_of_rfm_changes_what_rfm_reads_only() -> None:
    narrow = COMPUTED.model_copy(update={"rfm": config.Rfm(window_days=180)})
    sentence = "[rfm] window_days was null and is 180"
    assert changed(COMPUTED, narrow) == {"rfm_transaction_count": sentence, "rfm_revenue": sentence}


def test_what_is_trained_otherwise_is_the_same_feature() -> None:
    assert changed(COMPUTED, COMPUTED.model_copy(update={"seed": 8, "gates": config.Gates(auc_floor=0.7)})) == {}


def test_the_default_configuration_has_a_short_definition_of_each_feature() -> None:
    settings = config.load()
    known = definitions(settings)
    assert known.keys() > set(settings.features)
    assert len(set(known.values())) == len(known)
    hashed, _, parts = known["product_count"].partition(": ")
    assert len(hashed) == 12
    assert '[columns.transactions] product = "product_id"' in parts
    assert definitions_of(settings, ["revenue", "of nobody"]) == {"revenue": known["revenue"]}
