"""What warehouse.toml may say, and the sentence for what it may not."""

from pathlib import Path

import pytest

from training import config
from training.config import EvaluationOptions, Query, Tables
from training.errors import Problem

pytestmark = pytest.mark.unit

SOME = '[tables]\ntransactions = "t"\n'
TIERS = "customers = 'c'\n[features]\nrevenue = 'revenue'\ntier = { column = 't', categories = ['gold', 'silver'] }\n"


def load(tmp_path: Path, text: str) -> config.Config:
    (tmp_path / "ours.toml").write_text(text)
    return config.load(tmp_path / "ours.toml")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (SOME + "[windows]\nchurn_day = 3", "windows.churn_day: is not known: did you mean churn_days?"),
        (
            SOME + "[gates]\noffer_auc = 0.6",
            "gates.offer_auc: is no longer a key, because the lower bound of every model's AUC must be over auc_floor: "
            "remove it.",
        ),
        ("window = 3\n" + SOME, "window: is not known: did you mean windows?"),
        ('[tables]\ntransaction = "t"', "tables.transaction: is not known: did you mean transactions?"),
        (SOME + "[columns.Transactions]", "columns.Transactions: is not known: did you mean transactions?"),
        (SOME + "[columns.churn]\nchurn = 'x'", "columns.churn.churn: is not known: did you mean churned?"),
        (SOME + "[gates]\nzzz = 1", "gates.zzz: is not known: known here: minimum_customers, "),
        (
            SOME + "[domains]\nrevenu = {}",
            "domains.revenu: there is no such feature (did you mean revenue?): name",
        ),
        (
            SOME + "[reasons.groups]\nactivity = ['days_since_last', 'engagment_score']",
            "reasons.groups.activity: there is no feature engagment_score (did you mean engagement_score?): name those",
        ),
        (
            SOME + "[reasons.groups]\na = ['revenue']\nb = ['revenue']",
            "reasons.groups: revenue is in the groups a and b: a feature has one group",
        ),
        (SOME + "[reasons.groups]\na = []", "reasons.groups: the group a has no features: name some, or remove"),
        (
            SOME + "[reasons.groups]\nrevenue = ['transaction_count']",
            "reasons.groups: the group revenue is called as a feature outside it: rename the group",
        ),
        (
            SOME + "[reasons.words]\nrevenu = '{value}'",
            "reasons.words.revenu: there is no such feature (did you mean revenue?): name one of [features]",
        ),
        (
            SOME + "[reasons.words]\nrevenue = 'spent a lot'",
            "reasons.words: the words of revenue have {value} 0 times: put it once, where the number belongs",
        ),
        (
            SOME + "[reasons.words]\nrevenue = '{value} in {year}'",
            "reasons.words: the words of revenue have other braces than {value}, and a noun of 1 and "
            "of more, such as {day|days}: correct them",
        ),
        (
            SOME + TIERS + "[reasons.groups]\nmoney = ['tier_gold', 'revenue']",
            "reasons.groups: the group money has some categories of tier and not all: name tier in place of them",
        ),
        (
            SOME + TIERS + "[reasons.groups]\ntier = ['revenue']",
            "reasons.groups: the group tier is called as a feature outside it",
        ),
        (
            SOME + TIERS + "[reasons.groups]\na = ['tier']\nb = ['tier_silver']",
            "reasons.groups: tier_silver is in the groups a and b",
        ),
        (
            SOME + TIERS + "[reasons.words]\ntier_gold = 'gold: {value}'",
            "reasons.words.tier_gold: the categories of tier are one reason: give the words of tier",
        ),
        (
            SOME + TIERS + "tier_silver = { column = 'x', categories = ['a'] }",
            "reasons.groups: tier_silver is a text and a feature: rename one of them",
        ),
        (SOME + "[reasons]\nword = {}", "reasons.word: is not known: did you mean words?"),
        (SOME + "[domains.revenue]\nleats = 0", "domains.revenue.leats: is not known: did you mean least?"),
        (
            SOME + "[domains]\nrevenue = {least = 5, most = 3}",
            "domains.revenue: a number, at least 5 and at most 3 does",
        ),
        (SOME + "[evaluation]\nsplit = 1", "evaluation.split: is not known: did you mean splits?"),
        (SOME + "[materialize]\nmax_removed = 1", "materialize.max_removed: is not known: did you mean max_remov"),
        (SOME + "[thresholds]\nhihg = 0.8", "thresholds.hihg: is not known: did you mean high?"),
        (
            SOME + "[[offers]]\noffer_id = 0\noffer_name = 'a'\ncategory = 'b'\noffer_nam = 'c'",
            "offers.0.offer_nam: is not known: did you mean offer_name?",
        ),
        ("[tables]\nchurn = { qeury = 'SELECT 1' }", "tables.churn.qeury: is not known: did you mean query?"),
        ("[tables]\nchurn = {}", "tables.churn.query: is missing."),
        ("[tables]\nchurn = { query = ' ' }", "tables.churn.query: must not be empty."),
        ("[tables]\nchurn = { query = 'a', query_file = 'b' }", "tables.churn: has both query and query_file"),
        ("[tables]\nchurn = { query_file = 'no.sql' }", "no.sql cannot be read"),
        ("[tables]\nchurn = 3", "tables.churn: must be text."),
        ("[tables]\nchurn = 't'", "is not valid: tables: neither features nor transactions is named"),
        (SOME + "[windows]\nchurn_days = -1\nchurn_dazs = 3", "churn_dazs: is not known: did you mean churn_days?"),
        (SOME + "[windows]\nchurn_days = -1\nchurn_dazs = 3", "windows.churn_days: must be greater than 0."),
    ],
)
def test_what_is_not_known_or_not_right_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(Problem) as problem:
        load(tmp_path, text)
    assert sentence in str(problem.value)


@pytest.mark.parametrize(
    ("features", "sentence"),
    [
        ("revenu = 'x'", "features.revenu: transactions cannot give this feature (did you mean revenue?)"),
        ("email_open_rate = 'x'", "features.email_open_rate: transactions cannot give this feature: they give rev"),
        ("product_count = 'x'", "features.product_count: transactions cannot give this feature: name the column pro"),
        ("service_count = 'x'", "name the column service under [columns.transactions], or remove the feature."),
        (
            "offers_seen = 'x'",
            "features.offers_seen: exposures of offers give this feature: name their table as [tables]",
        ),
        ("revenue = 'a'\nRevenue = 'b'", "features.Revenue: revenue is the same name but for its case"),
        ("'' = 'a'", "features: a feature has no name"),
    ],
)
def test_a_feature_that_nothing_gives_is_named(tmp_path: Path, features: str, sentence: str) -> None:
    with pytest.raises(Problem) as problem:
        load(tmp_path, f"{SOME}[features]\n{features}")
    assert sentence in str(problem.value)


SHARES = "".join(f"[[offers]]\noffer_id = {code}\nexplore = {{}}\n" for code in range(3))


def test_customers_are_given_an_offer_to_explore_once(tmp_path: Path) -> None:
    catalogue = load(tmp_path, SOME + SHARES.format(0.7, 0, 0.3)).catalogue
    assert [offer.explore for offer in catalogue] == [0.7, None, 0.3]
    with pytest.raises(Problem, match=r"offers: the explore shares of all offers are 1\.1 together, over 1"):
        load(tmp_path, SOME + SHARES.format(0.7, 0.2, 0.2))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[thresholds]\nhigh_share = 0.1\nhigh = 0.7", "thresholds: high_share is a share and high a probability"),
        ("[thresholds]\nhigh = 0.7", "thresholds: high is given alone: give both high and medium, or neither"),
        ("[thresholds]\nhigh_share = 0.9", "thresholds: high_share and medium_share are more than 1 together"),
        ("[thresholds]\nhigh = 0.4\nmedium = 0.7", "thresholds: the medium threshold is above the high one"),
        ("[nbo]\nminimum_conversions = 0", "nbo.minimum_conversions: must be 1 or more"),
        ("[windows]\nactive_days = 0", "windows.active_days: must be greater than 0"),
        ("[windows]\noffer_days = 0", "windows.offer_days: must be greater than 0"),
        (SHARES.format(1, 0, 0), "offers.0.explore: must be less than 1"),
    ],
)
def test_what_says_who_counts_is_checked_when_the_file_is_read(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(Problem) as problem:
        load(tmp_path, f"{SOME}{text}")
    assert sentence in str(problem.value)


def test_what_says_who_counts_has_defaults(tmp_path: Path) -> None:
    default = load(tmp_path, SOME)
    assert (default.windows.days_of_the_active, default.windows.offer_days) == (90, 30)
    assert (default.nbo.minimum_conversions, default.nbo.minimum_refusals) == (50, 50)
    assert (default.thresholds.shares, default.thresholds.fixed) == ((0.1, 0.2), None)
    fixed = load(tmp_path, f"{SOME}[windows]\nactive_days = 45\n[thresholds]\nhigh = 0.7\nmedium = 0.4")
    assert fixed.windows.days_of_the_active == 45
    assert fixed.thresholds.shares is None
    assert fixed.thresholds.fixed is not None
    assert (fixed.thresholds.fixed.high, fixed.thresholds.fixed.medium) == (0.7, 0.4)


@pytest.mark.parametrize("name", sorted(config.RESERVED))
def test_a_feature_cannot_have_the_name_of_a_column_of_the_service(tmp_path: Path, name: str) -> None:
    for spelt in (name, name.upper()):
        with pytest.raises(Problem, match=f"features.{spelt}: the service has a column of this name"):
            load(tmp_path, f"[tables]\nfeatures = 'f'\n[features]\n{spelt} = 'x'")


def test_a_feature_cannot_begin_as_the_services_own_columns_do(tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"features._left_out: names that begin with _ are the service's"):
        load(tmp_path, "[tables]\nfeatures = 'f'\n[features]\n_left_out = 'x'")


@pytest.mark.parametrize("key", ["churn_days", "year_days", "month_days", "engagement_weeks"])
def test_a_window_is_no_longer_than_warehouses_can_count(tmp_path: Path, key: str) -> None:
    with pytest.raises(Problem, match=f"windows.{key}: must be .* or less"):
        load(tmp_path, f"{SOME}[windows]\n{key} = 100000000")


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("{ column = 'tier', categories = ['gold '] }", "features.tier.categories: 'gold ' ends with a blank"),
        ("{ column = 'tier', table = 'customer' }", "features.tier.table: must be 'customers'."),
        ("7", "features.tier: must be text."),
    ],
)
def test_of_a_feature_only_what_is_wrong_is_told(tmp_path: Path, entry: str, sentence: str) -> None:
    with pytest.raises(Problem) as problem:
        load(tmp_path, f"{SOME}customers = 'c'\n[features]\ntier = {entry}")
    assert str(problem.value).split("is not valid: ")[1].startswith(sentence)


def test_features_that_a_view_or_a_mapped_column_gives_are_taken(tmp_path: Path) -> None:
    own = load(tmp_path, "[tables]\nfeatures = 'f'\ntransactions = 't'\n[features]\nemail_open_rate = 'opens'")
    assert own.features == {"email_open_rate": "opens"}
    mapped = load(tmp_path, f"{SOME}[columns.transactions]\nproduct = 'sku'\n[features]\nproduct_count = 'x'")
    assert mapped.features == {"product_count": "x"}
    assert not load(tmp_path, SOME).features_are_chosen


def test_a_query_is_called_by_its_table_wherever_it_is_read_from(tmp_path: Path) -> None:
    (tmp_path / "churn.sql").write_text("﻿SELECT 1;\n")
    read = load(tmp_path, "[tables]\nfeatures = 'dwh.f'\nchurn = { query_file = 'churn.sql' }").tables
    assert isinstance(read.churn, Query)
    assert read.churn.query == "SELECT 1;\n"
    assert [str(source) for source in (read.features, read.churn)] == ["dwh.f", "the query of [tables] churn"]
    assert [read.source("dwh.f"), read.source("the query of [tables] churn")] == ["dwh.f", read.churn]
    # Two tables of the same text are still two.
    again = Tables.model_validate({"offers": {"query": "SELECT 1"}, "churn": {"query": "SELECT 1"}})
    assert [str(again.offers), str(again.churn)] == ["the query of [tables] offers", "the query of [tables] churn"]


def test_splits_that_hold_out_more_than_everyone_are_refused() -> None:
    assert EvaluationOptions(splits=5, held_out=0.2).splits == 5
    with pytest.raises(ValueError, match=r"4 splits that hold out 0\.3 each are more than all customers: lower splits"):
        EvaluationOptions(splits=4, held_out=0.3)
