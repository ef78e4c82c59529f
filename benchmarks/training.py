"""Training on public data: how long it takes, and how good it is beside the baselines of the same run.

Quality is written as what is missing from perfection, so that here too less is better and the bar is the most that the
ratio may be; the bars are DATA.md's margins.
"""

import contextlib
import io
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np

from benchmarks import data_sets
from benchmarks.measure import Result
from training import config
from training.cli import main as cli
from training.config import Config, Gates
from training.defaults import DEMO_URL
from training.learning.contenders import LABELS, NETWORK
from training.learning.evaluation import evaluate
from training.learning.figures import Evaluation
from training.warehouse import queries
from training.warehouse.connection import connect

SPLITS = 5
SECONDS = 180.0


def run() -> Iterator[Result]:
    """training.cdnow in seconds; quality.*: churn on CDNOW and Ta Feng, next best offer on The Complete Journey."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        yield _time_on_cdnow(folder)
        for name, data_set in (("cdnow", data_sets.cdnow(folder)), ("ta_feng", data_sets.ta_feng(folder))):
            evaluation = _evaluated(data_set.url, data_set.config)
            _print(name, evaluation)
            yield from _churn_quality(name, evaluation, data_set.config.gates)
        for name, data_set in (
            ("cdnow_180_days", data_sets.cdnow(folder, churn_days=180, snapshots=2)),
            ("ta_feng", data_sets.ta_feng(folder, snapshots=2)),
        ):
            yield _out_of_time(name, _evaluated(data_set.url, data_set.config, splits=1), data_set.config.gates)
    settings = config.load()
    offers = _evaluated(DEMO_URL, settings, offers=True)
    _print("complete_journey offers", offers)
    yield from _offer_quality(offers, settings.gates)


def _time_on_cdnow(folder: Path) -> Result:
    """The whole command, with an offer history drawn at random for the 23,570 customers, as CDNOW has none."""
    url, settings = data_sets.cdnow(folder)
    with duckdb.connect(url.removeprefix("duckdb://")) as connection:
        draw = np.random.default_rng(5)
        shown = draw.integers(0, 8, 23_570)
        connection.register("drawn", {"offer_id": shown, "converted": draw.random(23_570) < 0.05 + 0.03 * shown})
        connection.execute(
            "CREATE TABLE customer_offer_history AS "
            "SELECT customer_id, offer_id, converted, DATE '1997-10-01' AS created_at "
            f"FROM (SELECT DISTINCT customer_id FROM {data_sets.TABLE}) POSITIONAL JOIN drawn"
        )
    toml = folder / "cdnow.toml"
    toml.write_text(
        f"""
        [tables]
        transactions = "{data_sets.TABLE}"
        offers = "customer_offer_history"
        [windows]
        churn_days = {settings.windows.churn_days}
        churn_snapshots = 1
        [gates]
        offer_auc = 0.5 # what was drawn at random depends on the offer alone
        """
    )
    started = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        code = cli.main(["train", "--warehouse", url, "--config", str(toml), "--out", str(folder / "models")])
    seconds = time.perf_counter() - started
    if code:
        raise SystemExit(f"Training on CDNOW failed:\n{printed.getvalue()}")
    return Result("training.cdnow", seconds, "s", f"the bar of {SECONDS:.0f} s", SECONDS, 1.0)


def _evaluated(url: str, settings: Config, splits: int = SPLITS, *, offers: bool = False) -> Evaluation:
    options = settings.evaluation.model_copy(update={"splits": splits})
    with connect(url, settings) as warehouse, contextlib.redirect_stdout(io.StringIO()):
        examples = queries.offer_examples(warehouse) if offers else queries.churn_examples(warehouse)
        assert examples is not None
        return evaluate(examples, options, settings.seed)


def _print(name: str, evaluation: Evaluation) -> None:
    measured = evaluation.splits
    print(f"  {name}: mean of {len(measured)} splits by customer, {measured[0].rows:,} held-out examples in the first")
    for contender, figures in evaluation.mean.items():
        numbers = "  ".join(
            f"{key} {figures[key]:.3f}" for key in ("auc", "pr_auc", "log_loss", "brier", "ece", "ece_floor")
        )
        print(f"    {LABELS[contender]:<24}{numbers}")


def _churn_quality(name: str, evaluation: Evaluation, gates: Gates) -> Iterator[Result]:
    ours = evaluation.mean[NETWORK]
    margins = {
        "logistic_regression": -gates.auc_below_baselines,
        "lightgbm": -gates.auc_below_baselines,
        "bg_nbd": gates.auc_over_bg_nbd,
    }
    for baseline, margin in margins.items():
        missing = 1 - evaluation.mean[baseline]["auc"]
        bar = (missing - margin) / missing
        yield Result(f"quality.{name}.auc.{baseline}", 1 - ours["auc"], "1 - AUC", LABELS[baseline], missing, bar)
    theirs = evaluation.mean["bg_nbd"]["log_loss"]
    bar = (theirs - gates.log_loss_under_bg_nbd) / theirs
    yield Result(f"quality.{name}.log_loss.bg_nbd", ours["log_loss"], "log-loss", LABELS["bg_nbd"], theirs, bar)
    yield _calibration(f"quality.{name}.ece", ours, gates)


def _offer_quality(evaluation: Evaluation, gates: Gates) -> Iterator[Result]:
    ours, base = evaluation.mean[NETWORK], evaluation.mean["offer_base_rate"]
    peer = LABELS["offer_base_rate"]
    bar = (1 - gates.offer_auc) / (1 - base["auc"])
    yield Result("quality.offers.auc", 1 - ours["auc"], "1 - AUC", peer, 1 - base["auc"], bar)
    yield Result("quality.offers.log_loss", ours["log_loss"], "log-loss", peer, base["log_loss"], 1.0)
    yield _calibration("quality.offers.ece", ours, gates)


def _calibration(name: str, ours: dict[str, float], gates: Gates) -> Result:
    floor = ours["ece_floor"]
    bar = (floor + gates.calibration_over_floor) / floor
    return Result(name, ours["ece"], "ECE", "a perfectly calibrated model of this size, simulated", floor, bar)


def _out_of_time(name: str, evaluation: Evaluation, gates: Gates) -> Result:
    assert evaluation.out_of_time is not None
    ours = evaluation.out_of_time.contest.figures[NETWORK]["ece"]
    bar = gates.calibration_out_of_time
    return Result(f"quality.{name}.ece.later", ours, "ECE out of time", "the bar", bar, 1.0)
