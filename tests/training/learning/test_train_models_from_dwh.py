"""The training command on a small warehouse: what it writes, what it refuses, and that it publishes."""

import errno
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from loyalty_ml.customers.snapshot import CURRENT_KEY
from loyalty_ml.customers.table import DEFAULT_FEATURES, model_matrix
from loyalty_ml.models.card import Card, Histogram
from loyalty_ml.models.domain import Domain
from loyalty_ml.models.manifest import Manifest, parse_manifest
from loyalty_ml.scoring.scores import score_offers
from tests.service import Service
from training import config, train_models_from_dwh
from training.registry.active_models import active_in_folder
from training.warehouse.definitions import definitions

pytestmark = pytest.mark.moto

CUSTOMERS = 1500
DOMAINS = "[domains]\n" + "".join(f"{name} = {{ least = 0 }}\n" for name in DEFAULT_FEATURES)
"""The features below are no whole numbers."""
CONFIG = f"""{DOMAINS}
[tables]
features = "customer_features_view"
churn = "customer_churn_history"
offers = "customer_offer_history"

[evaluation]
splits = 1

[gates]

[features]
"""
ALL_FEATURES = "".join(f'{name} = "{name}"\n' for name in DEFAULT_FEATURES)

RFM = 'days_since_last = "days_since_last"\ntransaction_count = "service_count"\nrevenue = "revenue"\n'

Train = Callable[..., int]


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,500 customers: churn depends on the first features, the offers that suit someone on the others."""
    path = tmp_path_factory.mktemp("warehouse") / "warehouse.duckdb"
    draw = np.random.default_rng(11)
    features = np.exp(draw.normal(2, 1, (CUSTOMERS, 10)))
    standard = (np.log(features) - 2) @ np.diag([1.5, -1.2, 1, 1, 1, 1, 1, 1, 1, 1])
    churned = draw.random(CUSTOMERS) < 1 / (1 + np.exp(-standard[:, :3].sum(axis=1)))
    shown = draw.integers(0, 8, CUSTOMERS)
    liking = np.column_stack([standard[:, 2 + offer] for offer in range(8)])[np.arange(CUSTOMERS), shown]
    converted = draw.random(CUSTOMERS) < 1 / (1 + np.exp(1.5 - 2 * liking))
    rows = {
        "customer_id": np.array([f"c-{number}" for number in range(CUSTOMERS)]),
        "moment": np.full(CUSTOMERS, np.datetime64("2025-05-01", "us")),
        "churned": churned,
        "converted": converted,
        "offer_id": shown,
        **{name: features[:, place] for place, name in enumerate(DEFAULT_FEATURES)},
    }
    tables = {
        "customer_features_view": "moment AS updated_at",
        "customer_churn_history": "churned, moment AS snapshot_date",
        "customer_offer_history": "offer_id, converted, moment AS created_at",
    }
    with duckdb.connect(str(path)) as connection:
        connection.register("rows", rows)
        for name, own in tables.items():
            columns = ", ".join(DEFAULT_FEATURES)
            connection.execute(f"CREATE TABLE {name} AS SELECT customer_id, {own}, {columns} FROM rows")
        # Shown so much later that all others had the time to be taken.
        connection.execute(
            "INSERT INTO customer_offer_history SELECT * REPLACE (created_at + INTERVAL 60 DAY AS created_at) "
            "FROM customer_offer_history WHERE offer_id = 0 ORDER BY customer_id LIMIT 1"
        )
    return path


def training_in(folder: Path, warehouse: Path) -> Train:
    """train(*options, change=SQL, settings=TOML): trains on a copy of the warehouse into folder/models."""

    def call(*options: str, change: str = "", settings: str = CONFIG + ALL_FEATURES) -> int:
        mine, toml = folder / "warehouse.duckdb", folder / "warehouse.toml"
        shutil.copy(warehouse, mine)
        toml.write_text(settings)
        if change:
            with duckdb.connect(str(mine)) as connection:
                connection.execute(change)
        return train_models_from_dwh.main(
            ["--warehouse", f"duckdb://{mine}", "--config", str(toml), "--out", str(folder / "models"), *options]
        )

    return call


@pytest.fixture
def train(warehouse: Path, tmp_path: Path) -> Train:
    return training_in(tmp_path, warehouse)


@pytest.fixture(scope="module")
def trained(warehouse: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one training of both models, for those who only read what it wrote."""
    folder = tmp_path_factory.mktemp("trained")
    assert training_in(folder, warehouse)() == 0
    return folder


def manifest_in(folder: Path) -> Manifest:
    return parse_manifest((folder / "models/manifest.json").read_bytes())


def card_in(folder: Path, name: str) -> Card:
    version = manifest_in(folder).models[name].version
    return Card.model_validate_json((folder / "models" / name / version / "card.json").read_bytes())


def test_a_warehouse_becomes_a_published_set_and_a_worse_one_is_refused_or_forced(
    train: Train, tmp_path: Path, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket = service.model_bucket
    assert train("--publish", "--bucket", bucket) == 0
    printed = capsys.readouterr().out
    assert "FAILED" not in printed
    assert f"active one in {bucket}" in printed
    assert "RFM is over a year: the features table has no lifetime_transaction_count and lifetime_value" in printed

    churn, nbo = card_in(tmp_path, "churn"), card_in(tmp_path, "nbo")
    assert churn.churn_quality is not None
    assert nbo.offer_quality is not None
    for sentence in (*(one.sentence for one in churn.churn_quality.lists), nbo.offer_quality.sentence):
        assert sentence in printed
    assert not churn.placeholder
    assert churn.features == DEFAULT_FEATURES
    assert churn.metrics["auc"] > 0.75
    assert churn.training.objective is not None
    assert churn.training.objective.startswith("the probability of churn, over active customers; ")
    assert nbo.training.objective is not None
    assert nbo.training.objective.startswith(
        "the conversion probability of each offer, over all exposures, converted or not; "
    )
    assert nbo.metrics["auc"] > 0.7
    assert set(churn.op_versions.values()) == {1}
    gates: Any = churn.evaluation["gates"]
    assert all(gate["passed"] for gate in gates)
    assert {"network", "logistic_regression", "lightgbm", "base_rate"} == set(dict(churn.evaluation["mean"]))  # type: ignore[arg-type]
    report = (tmp_path / "models/churn" / churn.version / "report.html").read_text()
    assert f"{churn.evaluation['mean']['network']['auc']:.3f}" in report  # type: ignore[index,call-overload]
    assert not re.search(r"(src|href)=\"?https?://", report)

    answer = service.predict("good")
    assert answer.body["model"] == {"name": "churn", "version": churn.version, "placeholder": False}
    assert service.predict("good", "rfm").body["model"]["version"] == f"20250501T000000Z-{CUSTOMERS}"

    # With one of the three features that say something of churn, the same customers are told apart less well.
    few = CONFIG + "".join(f'{name} = "{name}"\n' for name in ("avg_transaction_value", "product_count")) + RFM
    before = manifest_in(tmp_path)
    assert train("--only", "churn", settings=few) == 1
    refusal = capsys.readouterr().err
    assert "nothing was written: churn failed not worse than the active version" in refusal
    assert manifest_in(tmp_path) == before
    assert list((tmp_path / "models/refused").glob("churn-*.html"))

    assert train("--only", "churn", "--force", "the old features are gone", settings=few) == 0
    after = manifest_in(tmp_path)
    assert card_in(tmp_path, "churn").forced == "the old features are gone"
    assert after.models["nbo"] == before.models["nbo"]
    assert after.models["churn"] != before.models["churn"]
    assert service.predict("good").body["model"]["version"] == churn.version  # nothing was published


def test_a_card_has_the_distribution_of_the_whole_base_and_of_its_served_answers(
    trained: Path, warehouse: Path
) -> None:
    models = active_in_folder(trained / "models")
    for name in ("churn", "nbo"):
        card, network = models[name].card, models[name].network
        with duckdb.connect(str(warehouse), read_only=True) as connection:
            columns = connection.execute(f"SELECT {', '.join(card.features)} FROM customer_features_view").fetchnumpy()
        rows = np.column_stack([columns[feature] for feature in card.features])
        now = card.distribution
        assert now is not None
        assert now.rows == len(rows) == CUSTOMERS > card.training.rows
        for column, feature in enumerate(card.features):
            assert_shares(now.features[feature], rows[:, column])
            assert now.features[feature].shares == pytest.approx([0.1] * 10, abs=1e-3)
        answers = network(model_matrix(rows))
        if isinstance(now.score, Histogram):
            assert_shares(now.score, answers[:, 0])
        else:
            recommended = np.bincount(score_offers(model_matrix(rows), network, card.offers).best, minlength=8)
            assert list(now.score) == (recommended / len(rows)).tolist()
        assert now.weights is not None
        assert list(now.weights) == list(card.features)
        assert max(now.weights.values()) == 1
        assert now.weights["customer_age_days"] == 0
    churn = models["churn"].card.distribution
    assert churn is not None
    assert churn.weights is not None
    assert churn.weights["revenue"] == 1  # it was made to do most
    assert churn.weights["engagement_score"] < 0.2


def test_a_churn_card_says_who_is_active_where_its_bands_begin_and_what_it_is_worth(
    trained: Path, warehouse: Path
) -> None:
    model = active_in_folder(trained / "models")["churn"]
    card = model.card
    assert card.active is not None
    assert (card.active.feature, card.active.days) == ("days_since_last", 90)
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        columns = connection.execute(
            f"SELECT {', '.join(card.features)} FROM customer_features_view WHERE days_since_last <= 90"
        ).fetchnumpy()
    baseline = card.baseline
    assert baseline is not None
    for feature in card.features:
        values = np.sort(columns[feature])
        assert baseline.values[feature] == values[(len(values) - 1) // 2]
    assert baseline.customers == len(values)
    scores = model.network(model_matrix(np.column_stack([columns[feature] for feature in card.features])))[:, 0]
    assert (scores >= card.thresholds.high).mean() == pytest.approx(0.1, abs=1e-3)
    assert (scores >= card.thresholds.medium).mean() == pytest.approx(0.3, abs=1e-3)

    quality, everyone = card.churn_quality, card.evaluation["everyone"]
    assert quality is not None
    assert [group.name for group in quality.bands] == ["high", "medium", "low", "lapsed"]
    assert sum(group.customers for group in quality.bands) == everyone["rows"]  # type: ignore[index,call-overload]
    assert sum(group.customers for group in quality.tenths) == quality.customers == card.evaluation["rows"]
    assert quality.lists[-1].found.value > quality.lists[-1].chance.value
    assert {"auc", "auc_all"} <= set(card.metrics)
    nbo = active_in_folder(trained / "models")["nbo"].card
    assert (nbo.active, nbo.churn_quality) == (None, None)


@pytest.mark.long
def test_each_model_stands_alone(
    train: Train, tmp_path: Path, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether an offer was taken says nothing here: churn is written and published without it."""
    luck = "UPDATE customer_offer_history SET converted = hash(customer_id) % 3 = 0"
    assert train("--publish", "--bucket", service.model_bucket, change=luck) == 1
    captured = capsys.readouterr()
    assert list(manifest_in(tmp_path).models) == ["churn"]
    assert (
        "churn and the RFM cut points were written and published, but not nbo, which stays as it was: nbo failed "
        in (captured.err)
    )
    assert captured.err.count("\n") == 1
    assert [path.name.split("-")[0] for path in (tmp_path / "models/refused").iterdir()] == ["nbo"]
    assert service.predict("good").body["model"]["version"] == card_in(tmp_path, "churn").version

    # One of which nothing or too little can be learnt does not stand in the way of the other either.
    assert train(change="DELETE FROM customer_churn_history WHERE churned") == 1
    told = capsys.readouterr().err
    but = "nbo and the RFM cut points were written, but not churn, which stays as it was: churn cannot be trained: All "
    assert but in told
    assert set(manifest_in(tmp_path).models) == {"churn", "nbo"}
    assert train(change="DELETE FROM customer_offer_history") == 1
    assert "nbo cannot be trained: customer_offer_history has no rows at all" in capsys.readouterr().err


def assert_shares(histogram: Histogram, values: np.ndarray) -> None:
    counts, _ = np.histogram(values, [-np.inf, *histogram.edges, np.inf])
    assert list(histogram.shares) == (counts / len(values)).tolist()


@pytest.mark.long
def test_a_feature_that_knows_the_answer_is_refused_and_nothing_written(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leak = "UPDATE customer_churn_history SET engagement_score = 50 * churned::INT + revenue / 1e6"
    assert train("--only", "churn", change=leak) == 1
    error = capsys.readouterr().err
    assert "not too good to be true" in error
    assert "not one feature alone" in error
    assert not (tmp_path / "models/manifest.json").exists()
    report = next((tmp_path / "models/refused").glob("churn-*.html")).read_text()
    assert "engagement_score alone reaches AUC 1.000" in report


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("DROP TABLE customer_churn_history", "has no table customer_churn_history; it has customer_features_view"),
        ("ALTER TABLE customer_churn_history DROP revenue", "customer_churn_history has no column revenue"),
        (
            "DELETE FROM customer_churn_history; DELETE FROM customer_offer_history",
            "nothing was written: churn cannot be trained: customer_churn_history has no rows",
        ),
        (
            "DELETE FROM customer_churn_history WHERE churned; UPDATE customer_offer_history SET converted = FALSE",
            "nothing was written: churn cannot be trained: All ",
        ),
        (
            "DELETE FROM customer_churn_history WHERE customer_id LIKE '%7%';"
            "DELETE FROM customer_offer_history WHERE customer_id LIKE '%7%'",
            "churn cannot be trained: 1,134 customers, where 1,200 are asked for: too few.",
        ),
        (
            "ALTER TABLE customer_churn_history ALTER churned TYPE VARCHAR USING if(churned, 'gone', 'here')",
            "Column churned of customer_churn_history is string",
        ),
        (
            "ALTER TABLE customer_churn_history ALTER revenue TYPE VARCHAR",
            "Column revenue of customer_churn_history is string",
        ),
        ("UPDATE customer_churn_history SET snapshot_date = '2999-01-01'", "because of: dated after this run (such as"),
        (
            "INSERT INTO customer_churn_history SELECT * REPLACE (revenue + 1 AS revenue) FROM customer_churn_history",
            "because of: rows of the same customer and moment that differ (such as",
        ),
        (
            "UPDATE customer_churn_history SET revenue = 'inf' WHERE churned",
            "because of: revenue is infinite or not a number (such as",
        ),
        (
            "UPDATE customer_offer_history SET offer_id = NULL WHERE converted",
            "because of: no offer (such as",
        ),
        ("UPDATE customer_features_view SET revenue = NULL", "No customer has all that RFM needs"),
    ],
)
def test_what_cannot_be_trained_on_is_one_sentence_and_changes_nothing(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str, sentence: str
) -> None:
    settings = CONFIG.replace("[gates]", "[gates]\nminimum_customers = 1200")
    assert train(change=change, settings=settings + ALL_FEATURES) == 1
    error = capsys.readouterr().err
    assert sentence in error
    assert re.search(r"\[\w[\w.]*\]|\bdata\b", error), "which key of which section, or which data, to change"
    assert error.startswith("python -m training.train_models_from_dwh: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "models/manifest.json").exists()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ("[tables", "is not TOML"),
        ("[tables]\nfeature = 'x'", "tables.feature: is not known: did you mean features?"),
        ("[windows]\nchurn_days = 0\n[tables]\nfeatures = 'x'", "windows.churn_days: must be greater than 0"),
        ("seed = 1", "neither features nor transactions is named"),
        ("[rfm]\nwindow_days = 90\n[tables]\nfeatures = 'x'", "rfm.window_days: counting back needs transactions"),
    ],
)
def test_a_bad_configuration_is_named(
    train: Train, capsys: pytest.CaptureFixture[str], settings: str, sentence: str
) -> None:
    assert train(settings=settings) == 1
    assert sentence in capsys.readouterr().err


def test_no_configuration_no_bucket_and_no_reason_are_told(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--config", "/no/such/file.toml") == 1
    assert "cannot be read" in capsys.readouterr().err
    for options, sentence in (
        (["--publish"], "--publish needs --bucket"),
        (["--force", " "], "--force needs a reason"),
    ):
        with pytest.raises(SystemExit):
            train(*options)
        assert sentence in capsys.readouterr().err


def test_a_bucket_that_is_not_there_is_told_before_any_training(
    train: Train, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("--publish", "--bucket", "no-such-bucket") == 1
    captured = capsys.readouterr()
    assert "NoSuchBucket" in captured.err
    assert "no-such-bucket" in captured.err
    assert captured.out == "The models are not compared with the snapshot: name the data bucket with --data-bucket.\n"


def test_what_the_current_snapshot_lacks_is_told_before_any_training(
    train: Train, tmp_path: Path, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    part = {"key": "snapshots/20180102T000000Z-ab12cd34/part-00000.parquet", "customers": 1, "size": 1}
    card = {
        "as_of": "2018-01-02T00:00:00Z",
        "customers": 1,
        "features": DEFAULT_FEATURES[:-1],
        "parts": [{**part, "sha256": "0" * 64}],
    }
    service.s3.put_object(Bucket=service.ids["DataBucket"], Key=CURRENT_KEY, Body=json.dumps(card))
    data = ["--data-bucket", service.ids["DataBucket"]]
    assert train("--publish", "--bucket", service.model_bucket, *data) == 1
    told = capsys.readouterr().err
    both = "the new churn and the new nbo read engagement_score"
    assert f"{both}, which the snapshot of 2018-01-02 does not have" in told
    assert not (tmp_path / "models/manifest.json").exists()
    with pytest.raises(SystemExit, match="2"):
        train("--bucket", service.model_bucket, *data)
    assert "--data-bucket is compared with what is published: it needs --publish" in capsys.readouterr().err


def test_a_card_says_what_makes_each_feature(trained: Path) -> None:
    settings = config.load(trained / "warehouse.toml")
    expected = {name: definitions(settings)[name] for name in DEFAULT_FEATURES}
    for name in ("churn", "nbo"):
        assert card_in(trained, name).domains == dict.fromkeys(DEFAULT_FEATURES, Domain(least=0))
        assert card_in(trained, name).feature_definitions == expected
    points = manifest_in(trained).rfm
    assert points is not None
    assert points.feature_definitions == {name: expected[name] for name in points.features}
    assert points.domains == dict.fromkeys(points.features, Domain(least=0))


def test_a_full_disk_leaves_the_active_set_as_it_was(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = b'{"created": "2025-01-01T00:00:00Z", "models": {}}'
    (tmp_path / "models").mkdir()
    (tmp_path / "models/manifest.json").write_bytes(before)
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if path.name == "card.json":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    # The disk fills up on the way; a test cannot fill one.
    monkeypatch.setattr(Path, "write_bytes", full)
    assert train("--only", "churn") == 1
    assert (
        capsys.readouterr().err
        == "python -m training.train_models_from_dwh: the disk is full: make room, then run it again.\n"
    )
    assert (tmp_path / "models/manifest.json").read_bytes() == before


CODES = ("FREE_SHIP", "VIP NIGHT", "TEN OFF", "BONUS", "REFER", "FLASH", "TIER", "ZOË")
WITH_CODES = (
    "ALTER TABLE customer_offer_history ALTER offer_id TYPE VARCHAR USING "
    f"(CAST({list(CODES)} AS VARCHAR[]))[offer_id + 1]"
)


@pytest.mark.long
def test_a_new_catalogue_is_compared_with_the_active_one_on_what_both_know(
    train: Train, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The active model has the codes 0 to 7 of the data, in that order; of the new one's five, four are among them."""
    shutil.copytree(trained / "models", tmp_path / "models")
    before = card_in(tmp_path, "nbo")
    assert [(offer.offer_code, offer.offer_name) for offer in before.offers] == [(str(n), str(n)) for n in range(8)]

    offers = "".join(f'[[offers]]\noffer_id = "{code}"\n' for code in ("NEW", "6", "3", "5", "0"))
    fewer = CONFIG.replace("[gates]", "[gates]\nminimum_customers = 500") + ALL_FEATURES + offers
    fewer = fewer.replace("splits = 1", "splits = 5")  # half of the exposures are left
    assert train("--only", "nbo", settings=fewer) == 1
    assert "because of: an offer that the catalogue does not have (such as" in capsys.readouterr().err
    fewer += "[reading]\nmax_rejected_share = 0.5\n"
    assert train("--only", "nbo", "--force", "fewer offers", settings=fewer) == 0
    printed = capsys.readouterr().out
    assert ": an offer that the catalogue does not have (such as" in printed
    assert "The catalogue has offers that no example is of, of which nothing can be learnt: NEW." in printed
    which = f"Both know the offers 6, 3, 5, 0. Only this one knows NEW. Only {before.version} knows 1, 2, 4, 7."
    assert which in printed
    after = card_in(tmp_path, "nbo")
    assert [offer.offer_code for offer in after.offers] == ["NEW", "6", "3", "5", "0"]
    report = (tmp_path / "models/nbo" / after.version / "report.html").read_text()
    assert which in report
    assert "nothing can be learnt: NEW." in report

    # Text codes, of which the active model knows none.
    assert train("--only", "nbo", change=WITH_CODES) == 0
    printed = capsys.readouterr().out
    assert f"Not compared with the active {after.version}. No offer is known to both." in printed
    assert "There are no [[offers]] in the configuration: the codes in the table are the offers' names." in printed
    named = card_in(tmp_path, "nbo").offers
    assert [offer.offer_code for offer in named] == [offer.offer_name for offer in named] == sorted(CODES)


def test_the_evaluation_in_the_card_is_plain_json(trained: Path) -> None:
    version = manifest_in(trained).models["churn"].version
    text = (trained / "models/churn" / version / "card.json").read_text()

    def no_constants(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    json.loads(text, parse_constant=no_constants)
