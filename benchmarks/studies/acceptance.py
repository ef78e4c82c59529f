"""What must hold of churn models: shuffled labels and worse models are refused, honest ones of small companies are not.

On CDNOW and Ta Feng, with the gates as they are by default, and on the demo. The tests ask the same of a tenth
(tests/training/learning/test_acceptance.py); of offer models see the study offer_acceptance.
"""

import argparse
import contextlib
import io
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from benchmarks.studies import data_sets, options
from loyalty_ml.models.quality import ChurnQuality
from training import config
from training.config import EvaluationOptions, Gates
from training.defaults import DEMO_URL
from training.errors import Problem
from training.learning import bands, gates, metrics
from training.learning.contenders import LABELS, NETWORK
from training.learning.evaluation import active_rows, evaluate
from training.learning.figures import Evaluation
from training.learning.held_out import HeldOut, said
from training.learning.measured import measure
from training.learning.quality import churn_quality
from training.registry.model_set import log_odds
from training.warehouse import queries
from training.warehouse.connection import connect
from training.warehouse.examples import Examples

PARTS = ("shuffled", "honest", "degraded", "baselines", "demo")
SMALL, LARGE = 1500, 20_000
TAKEN_AWAY = 0.1
NOISES = 10
"""How often the answers of one training are made worse, each time by other noise."""
DEMO_SPLITS = 5
SEED = 7

HONEST_REFUSED, DEGRADED_REFUSED, AUC_BELOW_LIGHTGBM, CAUGHT = 0.05, 0.8, 0.005, 0.6


class Company(NamedTuple):
    """The churn examples of a data set, and within how many days an active customer bought."""

    name: str
    examples: Examples
    active_days: float

    def some(self, customers: int, seed: int) -> "Company":
        """The same of so many of its customers, drawn by the seed."""
        ids = np.unique(self.examples.customer_ids.astype(str))
        drawn = np.random.default_rng(seed).choice(ids, customers, replace=False)
        return self._replace(examples=self.examples.where(np.isin(self.examples.customer_ids.astype(str), drawn)))

    def shuffled(self, seed: int) -> "Company":
        """The same with labels that say nothing of anyone."""
        happened = np.random.default_rng(seed).permutation(self.examples.happened)
        return self._replace(examples=replace(self.examples, happened=happened))

    def without_transactions(self) -> "Company":
        return self._replace(name=f"{self.name}, no transactions", examples=replace(self.examples, purchases=None))


def companies() -> list[Company]:
    """CDNOW and Ta Feng, as the literature labels them."""
    found = []
    for name, make in (("CDNOW", data_sets.cdnow), ("Ta Feng", data_sets.ta_feng)):
        with tempfile.TemporaryDirectory() as folder:
            data_set = make(Path(folder))
            with connect(data_set.url, data_set.config) as warehouse:
                examples = queries.churn_examples(warehouse)
        found.append(Company(name, examples, data_set.config.windows.days_of_the_active))
    return found


def evaluated(company: Company, splits: int = EvaluationOptions().splits) -> Evaluation:
    with contextlib.redirect_stdout(io.StringIO()):
        return evaluate(company.examples, EvaluationOptions(splits=splits), SEED, active_days=company.active_days)


def failed(company: Company) -> list[str]:
    """The names of the gates that refuse a model of this company, and why it could not be trained at all."""
    bars, active = Gates(), active_rows(company.examples, company.active_days)
    too_few = [gate.name for gate in gates.of_data(company.examples, active, bars) if not gate.passed]
    if too_few:
        return too_few
    try:
        found = evaluated(company)
    except Problem:
        return ["too few to be measured"]
    checks = gates.of_quality("churn", found.measured, bars, feature_auc=found.feature_auc)
    return [gate.name for gate in checks if not gate.passed]


def shuffled(company: Company, draws: int) -> Iterator[list[str]]:
    """What refuses each of so many companies of 1,500 whose labels say nothing."""
    for seed in range(draws):
        yield failed(company.some(SMALL, seed).shuffled(seed))


def honest(company: Company, draws: int) -> Iterator[list[str]]:
    """What refuses each of so many companies of 1,500 customers."""
    for seed in range(draws):
        yield failed(company.some(SMALL, seed))


def degraded(company: Company, draws: int) -> Iterator[list[str]]:
    """What refuses models of 20,000 customers that have lost a tenth of their AUC over 0.5; ten of each training."""
    for seed in range(-(-draws // NOISES)):
        outcomes = evaluated(company.some(LARGE, seed)).outcomes
        for noise in range(min(NOISES, draws - seed * NOISES)):
            worse = degrade(outcomes.where(outcomes.active), noise)
            checks = gates.of_quality("churn", measure(worse, SEED), Gates())
            yield [gate.name for gate in checks if not gate.passed]


def degrade(outcomes: HeldOut, seed: int, share: float = TAKEN_AWAY) -> HeldOut:
    """The network's log-odds with as much noise as takes away `share` of its AUC over 0.5, on all the rows.

    They are shrunk by what noise adds to their variance, so that the probabilities stay about as calibrated.
    """
    ours = outcomes.answers[NETWORK]
    before, noise = log_odds(ours.probability), np.random.default_rng(seed).normal(0, 1, len(outcomes))
    auc = metrics.auc(ours.happened, before)
    aim = auc - share * (auc - 0.5)
    low, high = 0.0, 20.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if metrics.auc(ours.happened, before + middle * noise) > aim else (low, middle)
    centre, variance = float(before.mean()), float(before.var())
    shrunk = centre + (before + low * noise - centre) * variance / (variance + low**2)
    answers = {**outcomes.answers, NETWORK: said(ours.happened, 1 / (1 + np.exp(-shrunk)))}
    return replace(outcomes, answers=answers)


def demo(splits: int = DEMO_SPLITS) -> ChurnQuality:
    """What the demo's churn model is worth, with bands that are shares of the held-out active customers."""
    settings = config.load()
    with connect(DEMO_URL, settings) as warehouse, contextlib.redirect_stdout(io.StringIO()):
        examples = queries.churn_examples(warehouse)
        options = settings.evaluation.model_copy(update={"splits": splits})
        found = evaluate(examples, options, settings.seed, active_days=settings.windows.days_of_the_active)
    assert examples.days_since_last is not None
    active = found.outcomes.where(found.outcomes.active).answers[NETWORK].probability.astype(np.float32)
    learnt = (examples.days_since_last[found.learnt], examples.happened[found.learnt])
    thresholds = bands.thresholds(settings.thresholds, active)
    days = examples.days_since_last[found.outcomes.rows]
    return churn_quality(found.outcomes, days, learnt, thresholds, seed=settings.seed)


def caught(quality: ChurnQuality) -> float:
    """The share of the active who left whose band was high or medium."""
    return sum(band.happened for band in quality.bands if band.name in {"high", "medium"}) / quality.left


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_only(parser, PARTS)
    parser.add_argument(
        "--draws", type=options.positive, default=100, help="of shuffled, honest and degraded (default: %(default)s)"
    )


def run(chosen: argparse.Namespace) -> int:
    known = companies()
    if {"shuffled", "honest", "degraded"} & set(chosen.only):
        print("| part, data | refused | by |\n| --- | ---: | --- |")
    for company in known:
        if "shuffled" in chosen.only:
            for of_company in (company, company.without_transactions()):
                _tell(f"shuffled labels, {of_company.name}", shuffled(of_company, chosen.draws), chosen.draws)
        if "honest" in chosen.only:
            _tell(f"honest, {SMALL:,} customers, {company.name}", honest(company, chosen.draws), chosen.draws)
        if "degraded" in chosen.only:
            _tell(f"a tenth of its AUC away, {LARGE:,}, {company.name}", degraded(company, chosen.draws), chosen.draws)
    if "baselines" in chosen.only:
        print("\n| data, held-out examples | AUC, this model | LightGBM | better by |\n| --- | ---: | ---: | --- |")
        for company in known:
            found = evaluated(company, DEMO_SPLITS)
            for whom, measured in (("all", found.everyone), ("active", found.measured)):
                ours, theirs = measured.sampled[NETWORK]["auc"], measured.sampled["lightgbm"]["auc"]
                print(
                    f"| {company.name}, {whom}, {measured.rows:,} | {ours.value:.3f} | {theirs.value:.3f} | "
                    f"{gates.ranged(ours - theirs, '+.4f')} |",
                    flush=True,
                )
    if "demo" in chosen.only:
        quality = demo()
        print(f"\nDemo, {LABELS[NETWORK].lower()}: {caught(quality):.0%} of the active who left are high or medium.")
        for one in quality.lists:
            print(f"- {one.sentence}")
        for band in quality.bands:
            print(f"- {band.name}: of {band.customers:,}, {band.happened:,} left")
    return 0


def _tell(part: str, refusals: Iterator[list[str]], draws: int) -> None:
    names = list(tqdm(refusals, desc=part, total=draws, file=sys.stderr, disable=None))
    by = ", ".join(f"{name} {count}" for name, count in Counter(name for one in names for name in one).most_common())
    print(f"| {part} | {sum(map(bool, names))} of {len(names)} | {by} |", flush=True)
