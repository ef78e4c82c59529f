"""Training and measuring on small generated data, whose truth is known."""

import html
import json
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from loyalty_ml.models.card import DEFAULT_OFFERS, Thresholds
from training.config import EvaluationOptions
from training.errors import Problem
from training.learning import contenders, networks, splits
from training.learning.contenders import NETWORK, Learning
from training.learning.evaluation import evaluate
from training.learning.figures import Evaluation
from training.learning.gates import Gate
from training.learning.quality import churn_quality
from training.learning.report import write_report
from training.warehouse.examples import Examples

pytestmark = [pytest.mark.moto, pytest.mark.long]

REPOSITORY = Path(__file__).parents[3]
ONE_SPLIT = EvaluationOptions(splits=1)
SEED = 3
OFFERS = 8
NEVER_SHOWN = 7


def churn_examples(customers: int = 1200) -> Examples:
    """Customers at two moments: those who bought often and lately stay."""
    random = np.random.default_rng(1)
    per_moment = []
    for moment in ("2025-01-01", "2025-07-01"):
        features = random.lognormal(2, 1, (customers, 3))
        log_odds = 1.3 * (np.log1p(features[:, 0]) - np.log1p(features[:, 1]))
        happened = random.random(customers) < 1 / (1 + np.exp(-log_odds))
        per_moment.append((np.full(customers, np.datetime64(moment, "us")), features, happened))
    moments, features, happened = (np.concatenate(column) for column in zip(*per_moment, strict=True))
    return Examples(
        customer_ids=np.array([f"c{number}" for number in range(customers)] * 2, dtype=object),
        moments=moments,
        names=("days_since_last", "transaction_count", "revenue"),
        features=features,
        happened=happened,
        offers=None,
        purchases=None,
        horizon_days=90,
        left_out={"no purchase before the moment": 4},
    )


def conversion_probabilities(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 8): each offer suits customers of another direction; what is popular suits nobody in particular."""
    standing = (np.log1p(features) - 2) / 0.8
    angle = 2 * np.pi * np.arange(OFFERS) / OFFERS
    suits = standing[:, :1] * np.cos(angle) + standing[:, 1:2] * np.sin(angle)
    truth: NDArray[np.float64] = 1 / (1 + np.exp(1.8 - 1.5 * suits))
    return truth


def offer_examples(exposures: int = 6000) -> Examples:
    """Exposures as a campaign makes them: some offers far more often than others, and one never."""
    random = np.random.default_rng(2)
    features = random.lognormal(2, 0.8, (exposures, 2))
    shown = random.choice(OFFERS, exposures, p=[0.4, 0.25, 0.12, 0.08, 0.06, 0.05, 0.04, 0])
    days = np.sort(random.integers(0, 300, exposures)).astype("timedelta64[D]")
    return Examples(
        customer_ids=np.array([f"c{number}" for number in random.integers(0, exposures // 3, exposures)], dtype=object),
        moments=np.datetime64("2025-01-01", "us") + days,
        names=("revenue", "transaction_count"),
        features=features,
        happened=random.random(exposures) < conversion_probabilities(features)[np.arange(exposures), shown],
        offers=shown,
        purchases=None,
        horizon_days=None,
        left_out={},
        catalogue=DEFAULT_OFFERS,
    )


def churn_model() -> str:
    """The hash of the TFLite file that the churn examples give."""
    return sha256(networks.to_tflite(evaluate(churn_examples(), ONE_SPLIT, SEED).network)).hexdigest()


@pytest.fixture(scope="module")
def churn() -> Evaluation:
    return evaluate(churn_examples(), EvaluationOptions(splits=2), SEED)


def lately() -> Examples:
    """The same, whose first feature is the days since the last purchase."""
    examples = churn_examples()
    return replace(examples, days_since_last=examples.features[:, 0])


@pytest.fixture(scope="module")
def of_active() -> Evaluation:
    return evaluate(lately(), ONE_SPLIT, SEED, active_days=10)


@pytest.fixture(scope="module")
def offers() -> Evaluation:
    return evaluate(offer_examples(), ONE_SPLIT, SEED)


def test_same_data_and_seed_give_the_same_file(churn: Evaluation) -> None:
    # In another process, and after other splits' networks.
    code = "from tests.training.learning.test_evaluation import churn_model; print(churn_model())"
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=True
    )
    model = networks.to_tflite(churn.network)
    assert process.stdout.split()[-1] == sha256(model).hexdigest()
    assert networks.op_versions(model)["FULLY_CONNECTED"] == 1


def test_another_seed_holds_out_the_same_customers(churn: Evaluation) -> None:
    assert np.array_equal(evaluate(churn_examples(), ONE_SPLIT, SEED + 1).held_out, churn.held_out)


def test_published_network_is_the_one_that_was_measured(churn: Evaluation) -> None:
    examples = churn_examples()
    first = churn.outcomes.where(churn.outcomes.folds == 0)
    np.testing.assert_array_equal(first.rows, np.flatnonzero(churn.held_out))
    answers = networks.answers(churn.network, examples.features[churn.held_out])
    np.testing.assert_array_equal(answers[:, 0], first.answers[NETWORK].probability)
    np.testing.assert_array_equal(examples.happened[churn.held_out], first.answers[NETWORK].happened)
    assert churn.measured.folds[0].rows == churn.held_out.sum()


def test_customers_stay_held_out_when_the_data_grows(churn: Evaluation) -> None:
    fewer, more = churn_examples(600), churn_examples(1200)
    held_out = splits.held_out(fewer.customer_ids, 0, ONE_SPLIT.held_out)
    assert set(fewer.customer_ids[held_out]) <= set(more.customer_ids[churn.held_out])
    assert set(fewer.customer_ids[~held_out]) <= set(more.customer_ids[churn.learnt])


def test_nobody_is_on_two_sides(churn: Evaluation) -> None:
    ids = churn_examples().customer_ids
    learnt_from = set(ids[churn.learnt & ~churn.stopping])
    assert learnt_from.isdisjoint(ids[churn.held_out])
    assert learnt_from.isdisjoint(ids[churn.stopping])
    assert set(ids[churn.stopping]).isdisjoint(ids[churn.held_out])


def test_churn_is_learnt_about_as_well_as_it_can_be(churn: Evaluation) -> None:
    mean = churn.measured.mean
    ours = mean[NETWORK]
    assert set(mean) == {NETWORK, "logistic_regression", "lightgbm", "base_rate"}
    assert churn.measured.not_fitted == {"bg_nbd": "BG/NBD cannot be fitted: it needs transactions."}
    assert ours["auc"] > mean["logistic_regression"]["auc"] - 0.02
    drawn = churn.measured.sampled[NETWORK]["auc"]
    assert drawn.value == pytest.approx(ours["auc"])
    assert drawn.low < ours["auc"] < drawn.high
    assert ours["ece"] < ours["ece_floor_95"] * 1.5
    assert churn.out_of_time is not None
    assert churn.out_of_time.measured.customers == len(set(churn_examples().customer_ids[churn.held_out]))
    assert churn.feature_auc["revenue"] < 0.6 < churn.feature_auc["days_since_last"]


def test_the_lapsed_are_measured_and_not_learnt_from(churn: Evaluation, of_active: Evaluation) -> None:
    examples, found = churn_examples(), of_active
    assert np.array_equal(found.active, examples.features[:, 0] <= 10)
    assert not (found.learnt & ~found.active).any()
    assert np.array_equal(found.held_out, churn.held_out)
    held_out = found.outcomes
    assert len(held_out) == found.held_out.sum() == found.everyone.rows
    assert found.measured.rows == (found.held_out & found.active).sum() == held_out.active.sum()
    # Who has been gone for long is told apart from the others easily, which is nothing to be proud of.
    assert found.everyone.mean[NETWORK]["auc"] > found.measured.mean[NETWORK]["auc"] + 0.02
    headline = found.summary()
    assert headline["auc"] == found.measured.mean[NETWORK]["auc"]
    assert headline["auc_all"] == found.everyone.mean[NETWORK]["auc"]
    assert found.as_json()["everyone"]["mean"][NETWORK]["auc"] == headline["auc_all"]

    with pytest.raises(
        Problem, match=r"among active customers, who bought within 0\.1 days .* raise \[windows\] active"
    ):
        evaluate(lately(), ONE_SPLIT, SEED, active_days=0.1)


@pytest.mark.parametrize(("straight", "form"), [(True, networks.LINEAR_FORM), (False, networks.HIDDEN_FORM)])
def test_the_graph_has_no_hidden_layers_where_a_line_is_the_better_model(straight: bool, form: str) -> None:  # noqa: FBT001
    """Eight features of which one decides, and few customers; or two that decide together."""
    random = np.random.default_rng(6)
    features = np.exp(random.normal(2, 1, (500 if straight else 1500, 8)))
    standing = np.log1p(features) - 2
    log_odds = standing[:, 0] if straight else 4 * standing[:, 0] * standing[:, 1]
    churn = replace(
        churn_examples(len(features) // 2),
        names=tuple("abcdefgh"),
        features=features,
        happened=random.random(len(features)) < 1 / (1 + np.exp(-log_odds)),
    )
    stopping = splits.for_stopping(churn.customer_ids)
    fitted = contenders.fit_network(Learning("churn", churn, stopping, 0, SEED))
    assert fitted.form == form
    assert len(fitted.network.trainable_weights) == (2 if straight else 6)
    if straight:
        line = networks.fit_linear(churn.features, churn.happened)
        theirs = line.predict_proba(networks.scaled_by(churn.features, churn.features))[:, 1]
        np.testing.assert_allclose(fitted.answer(churn), theirs, atol=1e-6)


def test_one_moment_is_not_measured_out_of_time() -> None:
    examples = churn_examples()
    alone = evaluate(examples.where(examples.moments == examples.moments[0]), ONE_SPLIT, SEED)
    assert alone.out_of_time is None
    assert any("out of time" in note for note in alone.notes)
    assert "auc_out_of_time" not in alone.summary()


def test_unconverted_exposures_teach_what_works(offers: Evaluation) -> None:
    assert offers.kind == "conversion"
    assert offers.measured.mean[NETWORK]["log_loss"] < offers.measured.mean["offer_base_rate"]["log_loss"] - 0.01
    assert offers.measured.mean[NETWORK]["auc"] > offers.measured.mean["offer_base_rate"]["auc"] + 0.05

    examples = offer_examples()
    converted = examples.where(examples.happened)
    stopping = splits.for_stopping(converted.customer_ids)
    choice = contenders.fit_network(Learning("choice", converted, stopping, OFFERS, SEED))

    customers = np.random.default_rng(9).lognormal(2, 0.8, (4000, 2))
    shown_before = np.arange(OFFERS) != NEVER_SHOWN
    truth = conversion_probabilities(customers)[:, shown_before]

    def regret(network: object) -> float:
        """How much less often the offer put first converts than the best: 1 is as bad as any at random."""
        first = networks.answers(network, customers)[:, shown_before].argmax(axis=1)
        lost = truth.max(axis=1) - truth[np.arange(len(truth)), first]
        return float(lost.mean() / (truth.max(axis=1) - truth.mean(axis=1)).mean())

    assert regret(offers.network) < 0.2
    assert regret(choice.network) > regret(offers.network) + 0.2


def test_offer_never_shown_is_of_the_base_rate_for_everyone(offers: Evaluation) -> None:
    examples = offer_examples()
    answers = networks.answers(offers.network, examples.features)
    assert np.ptp(answers[:, NEVER_SHOWN]) < 1e-6
    assert answers[0, NEVER_SHOWN] == pytest.approx(examples.happened.mean(), abs=0.02)
    assert np.ptp(answers[:, 0]) > 0.3
    assert offers.offers[NEVER_SHOWN].shown == 0
    assert offers.as_json()["offers"][NEVER_SHOWN]["observed_share"] is None


def test_only_the_offer_shown_teaches() -> None:
    labels = networks.shown_offer_labels(np.array([1, 0]), np.array([True, False]), offers=3)
    loss = networks.shown_offer_loss(labels, np.array([[0.3, 0.8, 0.9], [0.25, 0.1, 0.6]], dtype=np.float32))
    np.testing.assert_allclose(loss, [-np.log(0.8), -np.log(0.75)], rtol=1e-5)


def test_offers_taken_alone_are_a_choice() -> None:
    examples = offer_examples()
    measured = evaluate(examples.where(examples.happened), ONE_SPLIT, SEED)
    assert measured.kind == "choice"
    assert set(measured.measured.mean) == {NETWORK, "logistic_regression", "lightgbm", "popularity"}
    assert measured.measured.mean[NETWORK]["accuracy"] > measured.measured.mean["popularity"]["accuracy"]
    assert measured.measured.mean[NETWORK]["log_loss"] < measured.measured.mean["popularity"]["log_loss"]
    assert measured.network.output_shape == (None, OFFERS)


def test_too_few_customers_are_refused_in_a_sentence() -> None:
    examples = churn_examples()
    with pytest.raises(Problem, match="same outcome"):
        evaluate(replace(examples, happened=np.ones(len(examples), dtype=bool)), ONE_SPLIT, SEED)
    with pytest.raises(Problem, match="no customers"):
        evaluate(examples.where(splits.held_out(examples.customer_ids, 0, ONE_SPLIT.held_out)), ONE_SPLIT, SEED)


@pytest.mark.parametrize("kind", ["churn", "conversion"])
def test_report_stands_alone_and_says_what_the_card_says(
    kind: str, churn: Evaluation, offers: Evaluation, tmp_path: Path
) -> None:
    evaluation, examples = (churn, churn_examples()) if kind == "churn" else (offers, offer_examples())
    path = tmp_path / "report.html"
    gates = [
        Gate("AUC", passed=True, sentence="0.80"),
        Gate("calibration", passed=False, sentence="0.09 where <0.08> is"),
    ]
    write_report(
        path,
        version="20261123T090000Z-0123abcd",
        created=datetime(2026, 11, 23, tzinfo=UTC),
        data="generated customers",
        examples=examples,
        sources={name: f"column {name}_of of <the view>" for name in examples.names},
        evaluation=evaluation,
        gates=gates,
        caveats=["Tenure is a calendar in disguise here."],
    )
    page = path.read_text()
    assert not re.search(r"https?://|<script|<link|<iframe|@import|url\((?!#)|\bsrc=", page)
    assert page.count("<svg") == page.count("</svg>") == 4
    for text in (
        "20261123T090000Z-0123abcd",
        "FAILED",
        "where &lt;0.08&gt; is",
        *(f"<td>{name}</td><td>column {name}_of of &lt;the view&gt;</td>" for name in examples.names),
        "Tenure is a calendar",
        *evaluation.notes,
    ):
        assert text in page
    measured = json.loads(json.dumps(evaluation.as_json(), allow_nan=False))
    for figures in measured["mean"].values():
        for figure in ("auc", "log_loss", "ece"):
            assert f"{figures[figure]:.3f}" in page
    for row in measured["lift"]:
        assert f"{row['mean_probability']:.3f}" in page
    if kind == "churn":
        assert "Left out: 4, no purchase before the moment." in page
    else:
        assert DEFAULT_OFFERS[NEVER_SHOWN].offer_name in page
        assert "never shown" in page


def test_a_churn_report_begins_with_what_a_marketer_reads(of_active: Evaluation, tmp_path: Path) -> None:
    examples, measured = lately(), of_active
    days = examples.features[:, 0]
    learnt = (days[measured.learnt], examples.happened[measured.learnt])
    worth = churn_quality(measured.outcomes, days[measured.outcomes.rows], learnt, Thresholds(), seed=SEED)
    write_report(
        tmp_path / "report.html",
        version="20261123T090000Z-0123abcd",
        created=datetime(2026, 11, 23, tzinfo=UTC),
        data="generated customers",
        examples=examples,
        sources=dict.fromkeys(examples.names, "made"),
        evaluation=measured,
        gates=[],
        churn_quality=worth,
    )
    page = html.unescape((tmp_path / "report.html").read_text())
    assert page.count("<svg") == page.count("</svg>") == 5
    places = [page.index(text) for text in (worth.lists[0].sentence[:-1], "What the risk bands mean", "<h2>Gates</h2>")]
    assert places == sorted(places)
    people = len(set(examples.customer_ids[measured.outcomes.rows][measured.outcomes.active]))
    told = f"They are {people:,} people: who was active at several moments counts once for each."
    assert (told in page) == (people < worth.customers)
    within = "" if examples.horizon_days is None else f" within {examples.horizon_days:g} days"
    assert f"active customers that were held out left{within}." in page
    for one in worth.lists:
        assert f"<td>{one.word}</td>" in page
    for band in worth.bands:
        assert f"of {band.customers:,}, {band.happened:,} left" in page
    lapsed = int((~measured.active).sum())
    assert f"Left out: {lapsed:,}, lapsed: learnt from the active only." in page
    for figures in (measured.measured.mean, measured.everyone.mean):
        assert f"{figures[NETWORK]['auc']:.3f}" in page
    drawn = measured.measured.sampled[NETWORK]["auc"]
    assert f"{drawn.low:.3f} \N{EN DASH} {drawn.high:.3f}" in page


def test_a_value_beyond_those_learnt_from_counts_as_the_nearest_of_them() -> None:
    sample = np.random.default_rng(4).lognormal(2, 1, (200, 3))
    networks.reproducible(SEED)
    network = networks.churn_network(sample, 0.3)
    highest, lowest = sample.max(axis=0, keepdims=True), sample.min(axis=0, keepdims=True)
    asked = np.vstack([highest, highest * 1000, lowest, -highest])
    at_highest, beyond, at_lowest, below = networks.answers(network, asked)
    assert np.allclose(at_highest, beyond, atol=1e-6)
    assert np.allclose(at_lowest, below, atol=1e-6)
    assert not np.allclose(at_highest, at_lowest, atol=1e-3)
