"""The placeholder models: the real command, run once, against the sample set in local/sample_models."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from loyalty_ml.customers.table import DEFAULT_FEATURES, model_matrix
from loyalty_ml.models.card import DEFAULT_OFFERS, ActiveRule, Card, Histogram, card_key, model_key, parse_card
from loyalty_ml.models.document import Refused, check_content, path_in
from loyalty_ml.models.interpreter import Network
from loyalty_ml.models.manifest import MANIFEST_KEY, parse_manifest
from training.defaults import PLACEHOLDER_SEED
from training.learning.placeholder_data import generate_customers
from training.learning.placeholders import HELD_OUT, LEARNT
from training.registry.model_set import check_answers

pytestmark = pytest.mark.moto

REPOSITORY = Path(__file__).parents[3]
SAMPLE_SET = REPOSITORY / "local" / "sample_models"


class Served(NamedTuple):
    card: Card
    network: Network


class ModelSet(NamedTuple):
    keys: set[str]
    churn: Served
    nbo: Served


def create(directory: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "training.create_ml_models", "--out", str(directory)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False)


def read(directory: Path) -> ModelSet:
    """As serving reads it: every hash is checked on the way."""

    def content(key: str) -> bytes:
        return path_in(directory, key).read_bytes()

    def served(name: str) -> Served:
        active = manifest.models[name]
        text = content(card_key(name, active.version))
        card = parse_card(text, name, active.version, active.card_sha256)
        model = content(model_key(name, active.version))
        check_content(model, model_key(name, active.version), card.file.sha256, card.file.size)
        return Served(card, Network(model, len(card.features), card.width))

    manifest = parse_manifest(content(MANIFEST_KEY))
    files = (path for path in directory.rglob("*") if path.is_file())
    return ModelSet(
        keys={f"models/{path.relative_to(directory).as_posix()}" for path in files},
        churn=served("churn"),
        nbo=served("nbo"),
    )


@pytest.fixture(scope="module")
def created(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("created") / "models"
    command = create(directory)
    assert command.returncode == 0, command.stderr
    assert "PLACEHOLDERS" in command.stdout
    for name in ("churn", "nbo"):
        assert f"{name}.tflite" in command.stdout
    return directory


@pytest.fixture(scope="module", params=["created", "committed"])
def model_set(request: pytest.FixtureRequest, created: Path) -> ModelSet:
    return read(created if request.param == "created" else SAMPLE_SET)


def test_committed_set_is_what_the_command_writes(created: Path) -> None:
    customers = model_matrix(generate_customers(500, seed=2026).features)
    for ours, theirs in zip(read(created)[1:], read(SAMPLE_SET)[1:], strict=True):
        for field in (
            "name",
            "features",
            "output",
            "offers",
            "thresholds",
            "active",
            "training",
            "baseline",
            "op_versions",
        ):
            assert getattr(ours.card, field) == getattr(theirs.card, field), field
        # On one machine these are equal. Another CPU rounds sums otherwise, which by itself moves an answer by 1e-6;
        # but a rounding can decide whether one ReLU passes one customer in one training step, and the two trainings
        # part from there. Starting weights changed by a millionth moved an answer by 0.026 at most, 0.004 on average.
        difference = np.abs(ours.network(customers) - theirs.network(customers))
        assert difference.max() < 0.05
        assert difference.mean() < 0.01


def test_cards_describe_placeholders_and_hold_their_golden_answers(model_set: ModelSet) -> None:
    expected = {MANIFEST_KEY}
    for card, network in (model_set.churn, model_set.nbo):
        expected |= {card_key(card.name, card.version), model_key(card.name, card.version)}
        assert card.placeholder
        assert "generated" in card.training.data
        assert card.features == DEFAULT_FEATURES
        inputs = model_matrix(np.array(card.golden.inputs))
        np.testing.assert_allclose(network(inputs), card.golden.outputs, rtol=0, atol=card.golden.tolerance)
    assert model_set.churn.card.active == ActiveRule(feature="days_since_last", days=90)
    assert [offer.offer_name for offer in model_set.nbo.card.offers] == [offer.offer_name for offer in DEFAULT_OFFERS]
    assert {offer.evidence for offer in model_set.nbo.card.offers} == {"learnt"}
    assert model_set.keys == expected  # nothing left over: no unfinished manifest, no second version


def test_cards_hold_the_distribution_of_the_customers_learnt_from(model_set: ModelSet) -> None:
    customers = generate_customers(LEARNT + HELD_OUT, PLACEHOLDER_SEED).features[:LEARNT]
    for card, network in (model_set.churn, model_set.nbo):
        learnt_from = card.distribution
        assert learnt_from is not None
        assert learnt_from.rows == card.training.rows == LEARNT
        for name, column in zip(card.features, customers.T, strict=True):
            # Another processor may round a generated customer otherwise, as it may an answer.
            assert shares(column, learnt_from.features[name].edges) == pytest.approx(
                learnt_from.features[name].shares, abs=2e-3
            )
        answers = network(model_matrix(customers))
        if isinstance(learnt_from.score, Histogram):
            assert shares(answers[:, 0], learnt_from.score.edges) == pytest.approx(learnt_from.score.shares, abs=2e-3)
        else:
            recommended = np.bincount(answers.argmax(axis=1), minlength=len(card.offers)) / LEARNT
            assert recommended == pytest.approx(learnt_from.score, abs=2e-3)


def shares(values: np.ndarray, edges: Sequence[float]) -> np.ndarray:
    counts: np.ndarray = np.histogram(values, [-np.inf, *edges, np.inf])[0] / len(values)
    return counts


def test_different_customers_get_different_answers(model_set: ModelSet) -> None:
    customers = model_matrix(generate_customers(2000, seed=2026).features)
    recommended = np.bincount(model_set.nbo.network(customers).argmax(axis=1), minlength=len(DEFAULT_OFFERS))
    assert np.min(recommended) > 0.02 * len(customers)
    assert np.max(recommended) < 0.4 * len(customers)

    thresholds, probability = model_set.churn.card.thresholds, model_set.churn.network(customers)
    for share in (
        (probability < thresholds.medium).mean(),
        ((probability >= thresholds.medium) & (probability < thresholds.high)).mean(),
        (probability >= thresholds.high).mean(),
    ):
        assert share > 0.1


def test_model_that_must_not_be_served_is_refused() -> None:
    answers = np.linspace(0, 1, 50).reshape(-1, 1)
    check_answers("churn", answers, answers)
    with pytest.raises(Refused, match="answers otherwise in TFLite than in Keras"):
        check_answers("churn", answers, answers + 2e-5)
    with pytest.raises(Refused, match="every customer the same answer"):
        check_answers("churn", np.full((50, 1), 0.5), np.full((50, 1), 0.5))
    rare = np.linspace(0.001, 0.005, 50, dtype=np.float32)[:, np.newaxis]  # apart in log-odds, near in probability
    check_answers("churn", rare, rare)
    with pytest.raises(Refused, match="every customer the same answer"):
        check_answers("churn", 0.5 + rare, 0.5 + rare)
    with pytest.raises(Refused, match="no number"):
        check_answers("churn", np.full((50, 1), np.nan), np.full((50, 1), np.nan))


def test_unwritable_directory_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    command = create(tmp_path / "file" / "models")
    assert command.returncode == 1
    assert command.stdout == ""
    assert command.stderr.count("\n") == 1
    assert str(tmp_path / "file") in command.stderr
    assert "--out" in command.stderr


def test_refused_run_leaves_the_active_set_alone(created: Path, tmp_path: Path) -> None:
    directory = tmp_path / "models"
    shutil.copytree(created, directory)
    version = next((directory / "nbo").iterdir()).name
    (directory / "nbo").rename(tmp_path / "nbo")
    (directory / "nbo").write_text("in the way")
    before = (directory / "manifest.json").read_bytes()

    assert create(directory).returncode == 1

    (directory / "nbo").unlink()
    (tmp_path / "nbo").rename(directory / "nbo")
    assert (directory / "manifest.json").read_bytes() == before
    assert read(directory).nbo.card.version == version
