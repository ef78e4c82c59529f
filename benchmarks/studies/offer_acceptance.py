"""What must hold of offer models: regret, coverage of the doubly robust interval, refusals, the demo's figures.

On the simulator of exposures in the tests, whose truth is known, and on the demo's data. The tests ask the same of a
tenth (tests/training/learning/test_offer_acceptance.py).
"""

import argparse
import contextlib
import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.studies import options
from loyalty_ml.models.card import Offer
from tests.training.learning.exposure_simulator import OFFERS, Policy, world
from training import config
from training.config import CatalogueOffer, Config, EvaluationOptions, Nbo
from training.defaults import DEMO_URL
from training.learning import contenders, gates, metrics, networks, offer_quality, policy_value, recommendation, splits
from training.learning.contenders import NETWORK, Learning
from training.learning.evaluation import evaluate
from training.learning.evidence import OfferEvidence
from training.learning.figures import Evaluation
from training.learning.policy_value import Exposures
from training.learning.recommendation import Recommendation
from training.warehouse import queries
from training.warehouse.connection import connect
from training.warehouse.examples import Examples

ResultT = TypeVar("ResultT")

PARTS = ("regret", "never_shown", "coverage", "shuffled", "demo")
EXPOSURES = 8000
CUSTOMERS = 20_000
NEVER_SHOWN = 3
DEMO_SPLITS = 5
SEED = 7
NINTH = CatalogueOffer(offer_id="8", offer_name="Newcomer", explore=0.05)

REGRET_UNIFORM, REGRET_BIASED = 0.06, 0.10
DEMO_AUC, DEMO_LOG_LOSS = 0.75, 0.325


@dataclass(frozen=True, slots=True)
class Covered:
    """A world's doubly robust value of what is recommended, its standard error, and the truth."""

    value: float
    error: float
    truth: float

    @property
    def within(self) -> bool:
        """Whether the value is within two standard errors of the truth."""
        return abs(self.value - self.truth) <= 2 * self.error


@dataclass(frozen=True, slots=True)
class Demo:
    """What was measured on the demo, with a ninth offer in the catalogue that nobody was ever shown.

    recommended: int64 (customers,), what the published network recommends to the whole base.
    """

    evaluation: Evaluation
    found: Recommendation
    catalogue: tuple[Offer, ...]
    recommended: NDArray[np.int64]


def regrets(policy: Policy, worlds: int, never_shown: int | None = None) -> Iterator[tuple[float, float]]:
    """Of each world: the share of the oracle's conversions that is lost, and to whom the never shown is recommended.

    The oracle knows only offers that are shown.
    """
    for seed in range(worlds):
        company = world(seed, policy, never_shown)
        examples = company.exposures(EXPOSURES)
        network = _network(examples)
        learnt = OfferEvidence.of("conversion", examples, Nbo()).learnt
        customers = company.customers(CUSTOMERS, 9)
        sent = policy_value.recommended(networks.answers(network, customers), learnt)
        truth = company.conversion(customers)
        if never_shown is not None:
            truth[:, never_shown] = 0
        lost = 1 - float(truth[np.arange(CUSTOMERS), sent].mean() / truth.max(axis=1).mean())
        yield lost, float((sent == never_shown).mean())


def coverage(policy: Policy, worlds: int) -> Iterator[Covered]:
    """Of each world a model learns from four fifths of the customers, and its value is estimated on the others."""
    for seed in range(worlds):
        company = world(seed, policy)
        examples = company.exposures(EXPOSURES)
        held_out = splits.held_out(examples.customer_ids, 0, 0.2)
        learnt, unseen = examples.where(~held_out), examples.where(held_out)
        network = _network(learnt)
        fitted = policy_value.fit_propensities(learnt.features, contenders.shown(learnt), OFFERS)
        exposures = Exposures(unseen.customer_ids, contenders.shown(unseen), unseen.happened, fitted(unseen.features))
        may_be = OfferEvidence.of("conversion", learnt, Nbo()).learnt
        estimate = policy_value.values(networks.answers(network, unseen.features), exposures, may_be).recommended
        customers = company.customers(10 * CUSTOMERS, 9)
        truth = company.value(customers, policy_value.recommended(networks.answers(network, customers), may_be))
        yield Covered(estimate.value, (estimate.high - estimate.value) / metrics.NORMAL_95, truth)


def shuffled(draws: int, exposures: int = 3000) -> Iterator[list[str]]:
    """Of each draw, the names of the gates that refuse a model of labels that were shuffled over the exposures."""
    settings = config.load()
    for seed in range(draws):
        examples = world(seed, "biased").exposures(exposures)
        labels = np.random.default_rng(seed).permutation(examples.happened)
        yield failed(replace(examples, happened=labels), settings)


def failed(examples: Examples, settings: Config) -> list[str]:
    """The names of the gates of quality and of recommendation that these examples of offers fail."""
    evaluation = _evaluated(examples, settings.evaluation)
    found = recommendation.recommendation(examples, evaluation.outcomes, settings)
    later = evaluation.out_of_time.measured if evaluation.out_of_time else None
    checks = [
        *gates.of_quality(
            evaluation.kind,
            evaluation.measured,
            settings.gates,
            later=later,
            feature_auc=evaluation.feature_auc,
        ),
        *found.gates,
    ]
    return [gate.name for gate in checks if not gate.passed]


def demo(number_of_splits: int = DEMO_SPLITS) -> Demo:
    settings = config.load()
    settings = settings.model_copy(update={"offers": (*settings.offers, NINTH)})
    with connect(DEMO_URL, settings) as warehouse:
        examples = queries.offer_examples(warehouse)
        assert examples is not None
        base = queries.base(warehouse, examples.names)
    evaluation = _evaluated(examples, settings.evaluation.model_copy(update={"splits": number_of_splits}))
    found = recommendation.recommendation(examples, evaluation.outcomes, settings)
    whole = base.features[np.isfinite(base.features).all(axis=1)]
    sent = policy_value.recommended(networks.answers(evaluation.network, whole), found.evidence.learnt)
    return Demo(evaluation, found, found.catalogue(settings.offers), sent)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_only(parser, PARTS)
    parser.add_argument("--worlds", type=options.positive, default=20, help="simulated (default: %(default)s)")
    parser.add_argument("--draws", type=options.positive, default=100, help="of labels (default: %(default)s)")


def run(chosen: argparse.Namespace) -> int:
    worlds = chosen.worlds
    print("| what | asked | found |\n| --- | ---: | ---: |", flush=True)
    policies: tuple[tuple[Policy, float], ...] = (("uniform", REGRET_UNIFORM), ("biased", REGRET_BIASED))
    for policy, bar in policies:
        if "regret" in chosen.only:
            lost = [one for one, _ in _shown(regrets(policy, worlds), worlds)]
            _print(f"regret, {policy}, mean of {worlds} worlds (largest)", f"{bar:g}", _mean(lost))
    if "never_shown" in chosen.only:
        found = list(_shown(regrets("biased", worlds, NEVER_SHOWN), worlds))
        _print("an offer never shown is recommended to", "0 %", f"{max(share for _, share in found):.0%}")
        _print("regret without it, biased", f"{REGRET_BIASED:g}", _mean([lost for lost, _ in found]))
    for policy, _ in policies:
        if "coverage" in chosen.only:
            within = [one.within for one in _shown(coverage(policy, worlds), worlds)]
            name = f"doubly robust value within 2 standard errors, {policy}"
            _print(name, f"90 % of {worlds}", f"{sum(within)} of {worlds}")
    if "shuffled" in chosen.only:
        refused = [bool(names) for names in _shown(shuffled(chosen.draws), chosen.draws)]
        _print("shuffled labels refused", f"{chosen.draws} of {chosen.draws}", f"{sum(refused)} of {chosen.draws}")
    if "demo" in chosen.only:
        _print_demo(demo())
    return 0


def _print_demo(measured: Demo) -> None:
    mean = measured.evaluation.measured.mean[NETWORK]
    _print("demo, AUC", f"{DEMO_AUC:g}", f"{mean['auc']:.3f}")
    _print("demo, log-loss", f"{DEMO_LOG_LOSS:g}", f"{mean['log_loss']:.3f}")
    ninth = len(measured.catalogue) - 1
    _print("demo, a ninth offer without exposures is recommended to", "0", f"{(measured.recommended == ninth).sum():,}")
    assert measured.found.measured is not None
    for name, values in measured.found.measured.values.items():
        label = contenders.LABELS[name]
        _print(f"demo, recommended by: {label}", "", offer_quality.of_1000(values.recommended))
        _print(f"demo, over what was shown: {label}", "> 0", offer_quality.difference(values.over_shown))
        _print(f"demo, over the best single offer: {label}", "", offer_quality.difference(values.over_best_single))
    ours = measured.found.measured.ours
    _print("demo, the best single offer for everyone", "", offer_quality.of_1000(ours.best_single))
    _print("demo, what was shown", "", offer_quality.of_1000(ours.shown))


def _print(what: str, asked: str, found: str) -> None:
    print(f"| {what} | {asked} | {found} |", flush=True)


def _mean(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f} ({max(values):.3f})"


def _shown(results: Iterator[ResultT], count: int) -> Iterator[ResultT]:
    return iter(tqdm(results, total=count, file=sys.stderr, disable=None))


def _network(examples: Examples) -> object:
    stopping = splits.for_stopping(examples.customer_ids)
    return contenders.fit_network(Learning("conversion", examples, stopping, OFFERS, SEED)).network


def _evaluated(examples: Examples, measured_by: EvaluationOptions) -> Evaluation:
    with contextlib.redirect_stdout(io.StringIO()):
        return evaluate(examples, measured_by, SEED)
