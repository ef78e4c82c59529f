"""Training on public data: how long it takes, and how good the models are beside the baselines of the same run.

Churn is measured on CDNOW and Ta Feng, and out of time ("later") on both; the next best offer on the demo's data, The
Complete Journey. What must hold of these figures is tested (tests/training).
"""

import argparse
import contextlib
import io
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import duckdb
import numpy as np

from benchmarks.studies import data_sets, options
from training import config, train_models_from_dwh
from training.config import Config
from training.defaults import DEMO_URL
from training.learning.contenders import LABELS
from training.learning.evaluation import evaluate
from training.learning.figures import Evaluation
from training.warehouse import queries
from training.warehouse.connection import connect

SPLITS = 5
PARTS = ("time", "cdnow", "ta_feng", "later", "offers")
COLUMNS = ("auc", "pr_auc", "log_loss", "brier", "ece", "ece_floor")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_only(parser, PARTS)
    parser.add_argument("--splits", type=options.positive, default=SPLITS, help="by customer (default: %(default)s)")


def run(chosen: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if "time" in chosen.only:
            print(f"`train_models_from_dwh` on CDNOW: {_seconds_on_cdnow(folder):.1f} s\n", flush=True)
        print("| data, held-out examples | |", " | ".join(COLUMNS), "|")
        print("| --- | --- |" + " ---: |" * len(COLUMNS))
        for name, make in (("cdnow", data_sets.cdnow), ("ta_feng", data_sets.ta_feng)):
            if name in chosen.only:
                data_set = make(folder)
                _print(name, _evaluated(data_set.url, data_set.config, chosen.splits))
        if "later" in chosen.only:
            for name, data_set in (
                ("cdnow, 180 days", data_sets.cdnow(folder, churn_days=180, snapshots=2)),
                ("ta_feng", data_sets.ta_feng(folder, snapshots=2)),
            ):
                later = _evaluated(data_set.url, data_set.config, 1).out_of_time
                assert later is not None
                _print_figures(f"{name}, out of time, {later.measured.rows:,}", later.measured.mean)
    if "offers" in chosen.only:
        _print("complete_journey", _evaluated(DEMO_URL, config.load(), chosen.splits, offers=True))
    return 0


def _seconds_on_cdnow(folder: Path) -> float:
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
        auc_floor = 0.5 # what was drawn at random depends on the offer alone
        """
    )
    started = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        code = train_models_from_dwh.main(["--warehouse", url, "--config", str(toml), "--out", str(folder / "models")])
    seconds = time.perf_counter() - started
    if code:
        raise RuntimeError(f"Training on CDNOW failed:\n{printed.getvalue()}")
    return seconds


def _evaluated(url: str, settings: Config, splits: int, *, offers: bool = False) -> Evaluation:
    options = settings.evaluation.model_copy(update={"splits": splits})
    with connect(url, settings) as warehouse, contextlib.redirect_stdout(io.StringIO()):
        examples = queries.offer_examples(warehouse) if offers else queries.churn_examples(warehouse)
        assert examples is not None
        return evaluate(examples, options, settings.seed, active_days=settings.windows.days_of_the_active)


def _print(name: str, evaluation: Evaluation) -> None:
    """Means of the splits, on all held-out examples and on those of active customers."""
    _print_figures(f"{name}, {evaluation.everyone.rows:,}", evaluation.everyone.mean)
    if not evaluation.active.all():
        _print_figures(f"{name}, active, {evaluation.measured.rows:,}", evaluation.measured.mean)


def _print_figures(name: str, figures: Mapping[str, Mapping[str, float]]) -> None:
    for contender, own in figures.items():
        print(f"| {name} | {LABELS[contender]} |", " | ".join(f"{own[key]:.3f}" for key in COLUMNS), "|", flush=True)
