"""The measured comparison: the network that is to be published, and its baselines, on customers held out from all.

The published network is the first split's. It has learnt from the customers that this split does not hold out, at all
their moments, and is measured on those held out, at all theirs. The other splits train the same again on other
customers, which shows how much of a figure is luck. A further network, trained on what was over before the last
moment, is measured at that moment on customers that are held out as well: "out of time".
"""

import numpy as np
from numpy.typing import NDArray

from training.config import EvaluationOptions
from training.errors import Problem
from training.learning import contenders, metrics, splits
from training.learning.baselines import DidNotConverge
from training.learning.contenders import NETWORK, Answers, Fitted, Kind, Learning
from training.learning.figures import Contest, Evaluation, Figures, OfferShown, OutOfTime
from training.warehouse.examples import Examples

THRESHOLDS = tuple(round(step * 0.05, 2) for step in range(1, 20))

Event = tuple[NDArray[np.bool_], NDArray[np.floating]]


def evaluate(examples: Examples, options: EvaluationOptions, seed: int) -> Evaluation:
    """Trains and measures; prints a line for each fit.

    The same examples, options and seed give the same network to the bit. Takes some 3 seconds a split for 20,000 rows.
    Raises Problem where there are too few customers to learn from and be measured on.
    """
    kind, offers = contenders.kind_of(examples), len(examples.catalogue)
    stopping = splits.for_stopping(examples.customer_ids)
    contests, notes = [], list[str]()
    for split in range(options.splits):
        held_out = splits.held_out(examples.customer_ids, split, options.held_out)
        too_few = _too_few(kind, examples, ~held_out, held_out, stopping)
        if too_few:
            raise Problem(
                f"{too_few} (split {split + 1}): bring data of more customers, or of more moments with [windows] "
                "churn_snapshots, or change the share of [evaluation] held_out."
            )
        label = f"{kind}, split {split + 1} of {options.splits}"
        learning = Learning(kind, examples.where(~held_out), stopping[~held_out], offers, seed)
        contest, network, answers = _contest(label, learning, examples.where(held_out), notes)
        contests.append(contest)
        if split == 0:
            published, published_rows, published_answers = network, held_out, answers
    out_of_time = _out_of_time(kind, examples, published_rows, stopping, notes, offers=offers, seed=seed)
    measured = examples.where(published_rows)
    happened, probability = _event(kind, measured, published_answers)
    return Evaluation(
        kind=kind,
        network=published.network,
        held_out=published_rows,
        learnt=~published_rows,
        stopping=~published_rows & stopping,
        happened=happened,
        probability=probability,
        splits=tuple(contests),
        mean=_mean(contests),
        out_of_time=out_of_time,
        calibration=metrics.calibration_table(happened, probability),
        lift=metrics.lift_by_decile(happened, probability),
        thresholds=metrics.threshold_table(happened, probability, THRESHOLDS),
        offers=_offers_shown(kind, examples, published_rows, published_answers),
        feature_auc=_feature_auc(kind, measured),
        notes=tuple(dict.fromkeys(notes)),
    )


def _contest(label: str, learning: Learning, measured: Examples, notes: list[str]) -> tuple[Contest, Fitted, Answers]:
    """The contest, the network, and its answers about `measured`."""
    print(f"{label}: {len(learning.examples):,} examples to learn from, {len(measured):,} to measure on", flush=True)
    figures: dict[str, Figures] = {}
    fits: dict[str, tuple[Fitted, Answers]] = {}
    for fitted in contenders.fit_all(learning):
        if isinstance(fitted, DidNotConverge):
            notes.append(str(fitted))
            print(f"  {fitted}", flush=True)
            continue
        answers = fitted.answer(measured)
        figures[fitted.name] = _figures(learning.kind, measured, answers, learning.seed)
        fits[fitted.name] = fitted, answers
        print(f"  {_sentence(fitted, figures[fitted.name])}", flush=True)
    happened = measured.happened
    customers = len(set(measured.customer_ids))
    return Contest(len(measured), customers, float(happened.mean()), figures), *fits[NETWORK]


def _sentence(fitted: Fitted, figures: Figures) -> str:
    headline = "accuracy" if "accuracy" in figures else "auc"
    return (
        f"{contenders.LABELS[fitted.name]:<24}{headline} {figures[headline]:.3f}, log-loss {figures['log_loss']:.3f}, "
        f"calibration error {figures['ece']:.3f} ({fitted.effort})"
    )


def _out_of_time(
    kind: Kind,
    examples: Examples,
    held_out: NDArray[np.bool_],
    stopping: NDArray[np.bool_],
    notes: list[str],
    *,
    offers: int,
    seed: int,
) -> OutOfTime | None:
    """The same contest with what was over before the later part; None, and a note, where there is no such time."""
    split = splits.in_time(examples)
    if split is None:
        notes.append("There is no measurement out of time: no example was over before the last moment.")
        return None
    learnt, later = split.earlier & ~held_out, split.later & held_out
    too_few = _too_few(kind, examples, learnt, later, stopping)
    if too_few:
        notes.append(f"There is no measurement out of time: {too_few[0].lower()}{too_few[1:]}.")
        return None
    if examples.horizon_days is None:
        notes.append(
            "How far labels look ahead is not known, so out of time the last of those learnt from may look into the "
            "time that is measured."
        )
    learning = Learning(kind, examples.where(learnt), stopping[learnt], offers, seed)
    contest, _, _ = _contest(f"{kind}, out of time", learning, examples.where(later), notes)
    return OutOfTime(
        learnt_until=_rfc3339(np.max(examples.moments[learnt])),
        measured_from=_rfc3339(np.min(examples.moments[later])),
        measured_until=_rfc3339(np.max(examples.moments[later])),
        learnt_rows=int(learnt.sum()),
        contest=contest,
    )


def _too_few(
    kind: Kind,
    examples: Examples,
    learnt: NDArray[np.bool_],
    measured: NDArray[np.bool_],
    stopping: NDArray[np.bool_],
) -> str:
    """Why these rows cannot be learnt from and measured on; empty where they can."""
    parts = {"learn from": learnt & ~stopping, "stop by": learnt & stopping, "measure on": measured}
    for purpose, rows in parts.items():
        if not rows.any():
            return f"There are no customers to {purpose}"
        outcome = contenders.shown(examples) if kind == "choice" else examples.happened
        if len(np.unique(outcome[rows])) < 2:
            return f"The examples to {purpose} all had the same outcome"
    return ""


def _event(kind: Kind, measured: Examples, answers: Answers) -> Event:
    """What happened and its probability, (n,) each: churn, the conversion of what was shown, a right recommendation."""
    if kind == "choice":
        return answers.argmax(axis=1) == contenders.shown(measured), answers.max(axis=1)
    return measured.happened, answers


def _figures(kind: Kind, measured: Examples, answers: Answers, seed: int) -> Figures:
    happened, probability = _event(kind, measured, answers)
    floor = metrics.ece_floor(probability, seed)
    figures = {
        "auc": metrics.auc(happened, probability),
        "pr_auc": metrics.pr_auc(happened, probability),
        "log_loss": metrics.binary_log_loss(happened, probability),
        "brier": metrics.brier(happened, probability),
        "ece": metrics.ece(happened, probability),
        "ece_floor": floor.mean,
        "ece_floor_95": floor.percentile_95,
    }
    if kind == "choice":
        taken = contenders.shown(measured)
        figures |= {"accuracy": float(happened.mean()), "log_loss": metrics.log_loss(taken, answers)}
    return figures


def _mean(contests: list[Contest]) -> dict[str, Figures]:
    """Over the splits, of the contenders that could be fitted in every one."""
    everywhere = [name for name in contests[0].figures if all(name in contest.figures for contest in contests)]
    return {
        name: {
            figure: float(np.mean([contest.figures[name][figure] for contest in contests]))
            for figure in contests[0].figures[name]
        }
        for name in everywhere
    }


def _feature_auc(kind: Kind, measured: Examples) -> dict[str, float]:
    if kind == "choice":
        return {}
    alone = {name: metrics.auc(measured.happened, measured.features[:, i]) for i, name in enumerate(measured.names)}
    return {name: max(value, 1 - value) for name, value in alone.items()}


def _offers_shown(
    kind: Kind, examples: Examples, held_out: NDArray[np.bool_], answers: Answers
) -> tuple[OfferShown, ...]:
    if kind == "churn":
        return ()
    offer_ids, measured = contenders.shown(examples), contenders.shown(examples)[held_out]
    rows = []
    for offer in examples.catalogue:
        offer_id = offer.offer_id
        everywhere, here = offer_ids == offer_id, measured == offer_id
        if kind == "choice":
            probability, happened = answers[:, offer_id], here
        else:
            probability, happened = answers[here], examples.happened[held_out][here]
        rows.append(
            OfferShown(
                offer_id=offer_id,
                offer_code=offer.offer_code,
                shown=int(everywhere.sum()),
                converted=int(examples.happened[everywhere].sum()),
                held_out=int(here.sum()),
                mean_probability=float(probability.mean()) if len(probability) else float("nan"),
                observed_share=float(happened.mean()) if len(happened) else float("nan"),
            )
        )
    return tuple(rows)


def _rfc3339(moment: np.datetime64) -> str:
    return f"{np.datetime_as_string(moment, unit='s')}Z"
