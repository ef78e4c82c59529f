"""The training command on offers of which too little is known: each ends in a sentence with what to do."""

from pathlib import Path

import duckdb
import pytest

from loyalty_ml.customers.table import DEFAULT_FEATURES
from loyalty_ml.models.card import Card
from loyalty_ml.models.manifest import parse_manifest
from tests.training.learning.exposure_simulator import world
from training import train_models_from_dwh

pytestmark = pytest.mark.moto

EXPOSURES = 3000
CONFIG = """
[tables]
features = "customers_today"
offers = "offers_shown"

[evaluation]
splits = 1

[gates]
minimum_customers = 100
calibration_over_floor = 0.1
auc_ceiling = 0.99
log_loss_over_baselines = 0.1

[features]
"""


def make_warehouse(path: Path, exposures: int, where: str) -> None:
    """Simulated exposures, of which those remain for which `where` holds; one more is much later than all others."""
    examples = world(4, "biased").exposures(exposures)
    assert examples.offers is not None
    columns = {name: examples.features[:, place] for place, name in enumerate(DEFAULT_FEATURES)}
    rows = {
        "customer_id": examples.customer_ids.astype(str),
        "offer_id": examples.offers,
        "converted": examples.happened,
        "created_at": examples.moments,
        **columns,
    }
    names = ", ".join(columns)
    with duckdb.connect(str(path)) as connection:
        connection.register("rows", rows)
        connection.execute(f"CREATE TABLE offers_shown AS SELECT * FROM rows WHERE {where}")
        connection.execute(
            "INSERT INTO offers_shown SELECT * REPLACE (created_at + INTERVAL 400 DAY AS created_at) FROM offers_shown "
            "ORDER BY offer_id, customer_id LIMIT 1"
        )
        connection.execute(
            "CREATE TABLE customers_today AS "
            f"SELECT DISTINCT customer_id, TIMESTAMP '2026-06-01' AS updated_at, {names} FROM rows"
        )


def train(folder: Path, *options: str, where: str = "TRUE", settings: str = "") -> int:
    warehouse, toml = folder / "warehouse.duckdb", folder / "warehouse.toml"
    if not warehouse.exists():
        make_warehouse(warehouse, EXPOSURES, where)
    features = "".join(f'{name} = "{name}"\n' for name in DEFAULT_FEATURES)
    # Simulated features are numbers of any kind.
    domains = "[domains]\n" + "".join(f"{name} = {{}}\n" for name in DEFAULT_FEATURES)
    toml.write_text(CONFIG + features + domains + settings)
    return train_models_from_dwh.main(
        ["--warehouse", f"duckdb://{warehouse}", "--config", str(toml), "--out", str(folder / "models"), *options]
    )


def nbo_card(folder: Path) -> Card:
    version = parse_manifest((folder / "models/manifest.json").read_bytes()).models["nbo"].version
    return Card.model_validate_json((folder / "models/nbo" / version / "card.json").read_bytes())


def test_where_no_offer_is_learnt_the_counts_are_said_before_any_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(tmp_path, "--only", "nbo", settings="[nbo]\nminimum_conversions = 2000\n") == 1
    printed = capsys.readouterr()
    assert "No offer has 2,000 conversions and 50 refusals in these exposures: " in printed.err
    assert "lower [nbo] minimum_conversions and minimum_refusals" in printed.err
    assert "split 1" not in printed.out
    assert not list(tmp_path.glob("models/nbo/*"))


def test_one_offer_of_which_enough_is_known_is_what_to_send_everyone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_warehouse(tmp_path / "warehouse.duckdb", 12_000, "offer_id = 2 OR customer_id IN ('c1', 'c2')")
    assert train(tmp_path, "--only", "nbo") == 1
    refused = capsys.readouterr().err
    assert "so there is no choice: send everyone 2." in refused


@pytest.mark.long
def test_an_offer_with_one_exposure_is_in_the_model_and_not_learnt(tmp_path: Path) -> None:
    once = "offer_id <> 5 OR customer_id = (SELECT min(customer_id) FROM rows WHERE offer_id = 5)"
    assert train(tmp_path, "--only", "nbo", where=once) == 0
    card = nbo_card(tmp_path)
    assert [offer.offer_code for offer in card.offers] == [str(number) for number in range(8)]
    assert card.offers[5].evidence == "too_few"
    assert [offer.evidence for offer in card.offers].count("learnt") >= 5
    assert card.offer_quality is not None
    assert card.offer_quality.over_shown.low > 0
    assert card.distribution is not None
    assert isinstance(card.distribution.score, tuple)
    assert card.distribution.score[5] == 0
    report = next((tmp_path / "models/nbo").glob("*/report.html")).read_text()
    assert card.offer_quality.sentence in report


@pytest.mark.long
def test_what_is_known_of_taken_offers_alone_is_written_only_by_force(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_warehouse(tmp_path / "warehouse.duckdb", 12_000, "converted")
    assert train(tmp_path, "--only", "nbo") == 1
    printed = capsys.readouterr()
    assert "It knows what was taken where it used to be shown, not what works" in printed.out
    assert "knows what works" in printed.err
    assert train(tmp_path, "--only", "nbo", "--force", "we know no refusals") == 0
    card = nbo_card(tmp_path)
    assert card.forced == "we know no refusals"
    assert {offer.evidence for offer in card.offers} == {None}
    assert card.offer_quality is None
