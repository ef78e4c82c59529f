"""The measured comparison: the network that is to be published, and its baselines, on customers held out from all.

Splits are disjoint folds of customers. A model learns from the active customers that its split does not hold out, at
all their moments, and is measured on those held out, at all theirs, active or not. The published network is the first
split's. The others train the same again on other customers: figures are the mean of the splits, and their intervals
are over all customers that any of them held out. A further network, trained on what was over before the last moment, is
measured at that moment on customers that are held out as well: "out of time".
"""

import numpy as np
from numpy.typing import NDArray

from training.config import EvaluationOptions
from training.errors import Problem
from training.learning import contenders, held_out, metrics, splits
from training.learning.contenders import NETWORK, Fitted, Kind, Learning, NotFitted
from training.learning.figures import Evaluation, OfferShown, OutOfTime
from training.learning.held_out import HeldOut, Said
from training.learning.measured import measure
from training.warehouse.examples import Examples

THRESHOLDS = tuple(round(step * 0.05, 2) for step in range(1, 20))


def active_rows(examples: Examples, active_days: float | None) -> NDArray[np.bool_]:
    """bool (n,): whose customer had bought within `active_days` of the moment. All, if None, or of offers.

    Raises ValueError for examples of churn that do not say when the customer last bought.
    """
    if active_days is None or examples.offers is not None:
        return np.ones(len(examples), np.bool_)
    if examples.days_since_last is None:
        raise ValueError("these examples do not say how many days ago each customer last bought")
    active: NDArray[np.bool_] = examples.days_since_last <= active_days
    return active


def evaluate(
    examples: Examples, options: EvaluationOptions, seed: int, *, active_days: float | None = None
) -> Evaluation:
    """Trains and measures; prints a line for each fit.

    active_days: of churn, a customer who bought longer ago has lapsed, and is not learnt from; None: nobody has.
    The same examples, options and seed give the same network to the bit. Takes some 3 seconds a split for 20,000 rows.
    Raises Problem where there are too few customers to learn from and be measured on.
    """
    kind = contenders.kind_of(examples)
    active, stopping = active_rows(examples, active_days), splits.for_stopping(examples.customer_ids)
    parts, notes, networks = [], list[str](), list[Fitted]()
    for split in range(options.splits):
        rows = splits.held_out(examples.customer_ids, split, options.held_out)
        learnt = active & ~rows
        too_few = _too_few(kind, examples, learnt, rows & active, stopping)
        if too_few:
            among = "" if active.all() else f" among active customers, who bought within {active_days:g} days"
            lower = "" if active.all() else ", or raise [windows] active_days"
            moments = ", or of more moments with [windows] churn_snapshots" if kind == "churn" else ""
            raise Problem(
                f"{too_few}{among} (split {split + 1}): bring data of more customers{moments}, or change the share of "
                f"[evaluation] held_out{lower}."
            )
        label = f"{kind}, split {split + 1} of {options.splits}"
        learning = _learning(kind, examples, learnt, ~active & ~rows, stopping, seed=seed)
        part, network = _contest(label, learning, examples, rows, active, fold=split)
        parts.append(part)
        networks.append(network)
    pooled = held_out.together(parts)
    published = splits.held_out(examples.customer_ids, 0, options.held_out)
    out_of_time = _out_of_time(kind, examples, published, active, stopping, notes=notes, seed=seed)
    notes += pooled.not_fitted.values()
    of_active = pooled.where(pooled.active)
    ours = of_active.answers[NETWORK]
    measured_rows = np.zeros(len(examples), np.bool_)
    measured_rows[of_active.rows] = True
    return Evaluation(
        kind=kind,
        network=networks[0].network,
        form=networks[0].form,
        active=active,
        held_out=published,
        learnt=active & ~published,
        stopping=active & ~published & stopping,
        outcomes=pooled,
        measured=measure(of_active, seed, choice=kind == "choice"),
        everyone=measure(pooled, seed, choice=kind == "choice"),
        out_of_time=out_of_time,
        calibration=metrics.calibration_table(ours.happened, ours.probability),
        lift=metrics.lift_by_decile(ours.happened, ours.probability),
        thresholds=metrics.threshold_table(ours.happened, ours.probability, THRESHOLDS),
        offers=_offers_shown(kind, examples, of_active),
        feature_auc=_feature_auc(kind, examples.where(measured_rows)),
        notes=tuple(dict.fromkeys(notes)),
    )


def _learning(
    kind: Kind,
    examples: Examples,
    learnt: NDArray[np.bool_],
    lapsed: NDArray[np.bool_],
    stopping: NDArray[np.bool_],
    *,
    seed: int,
) -> Learning:
    offers = len(examples.catalogue)
    return Learning(kind, examples.where(learnt), stopping[learnt], offers, seed, examples.where(lapsed))


def _contest(
    label: str,
    learning: Learning,
    examples: Examples,
    rows: NDArray[np.bool_],
    active: NDArray[np.bool_],
    *,
    fold: int,
) -> tuple[HeldOut, Fitted]:
    """What each contender says of `rows` of the examples, bool (n,), and the network."""
    measured = examples.where(rows)
    print(f"{label}: {len(learning.examples):,} examples to learn from, {len(measured):,} to measure on", flush=True)
    answers, not_fitted, fits = dict[str, Said](), dict[str, str](), dict[str, Fitted]()
    for fitted in contenders.fit_all(learning):
        if isinstance(fitted, NotFitted):
            not_fitted[fitted.name] = fitted.reason
            print(f"  {fitted.reason}", flush=True)
            continue
        answers[fitted.name] = _said(learning, fitted, measured)
        fits[fitted.name] = fitted
        print(f"  {_sentence(learning.kind, fitted, answers[fitted.name], active[rows])}", flush=True)
    places = np.flatnonzero(rows)
    customers = np.unique(examples.customer_ids.astype(str), return_inverse=True)[1]
    folds = np.full(len(places), fold)
    return HeldOut(places, customers[places], folds, active[places], answers, not_fitted), fits[NETWORK]


def _said(learning: Learning, fitted: Fitted, measured: Examples) -> Said:
    answers = fitted.answer(measured)
    if learning.kind == "choice":
        return held_out.said_of_choice(contenders.shown(measured), answers)
    by_offer = contenders.every_offer(fitted, measured, learning.offers) if learning.kind == "conversion" else None
    return held_out.said(measured.happened, answers, by_offer)


def _sentence(kind: Kind, fitted: Fitted, answers: Said, active: NDArray[np.bool_]) -> str:
    happened, probability = answers.happened[active], answers.probability[active]
    name, value = ("accuracy", happened.mean()) if kind == "choice" else ("AUC", metrics.auc(happened, probability))
    return (
        f"{contenders.LABELS[fitted.name]:<24}{name} {value:.3f}, log-loss {answers.surprise[active].mean():.3f}, "
        f"calibration error {metrics.ece(happened, probability):.3f} ({fitted.effort})"
    )


def _out_of_time(
    kind: Kind,
    examples: Examples,
    published: NDArray[np.bool_],
    active: NDArray[np.bool_],
    stopping: NDArray[np.bool_],
    *,
    notes: list[str],
    seed: int,
) -> OutOfTime | None:
    """The same contest with what was over before the later part; None, and a note, where there is no such time.

    published: bool (n,), the rows that the published network has not learnt from.
    """
    split = splits.in_time(examples)
    if split is None:
        notes.append("There is no measurement out of time: no example was over before the last moment.")
        return None
    learnt, later = split.earlier & ~published & active, split.later & published & active
    too_few = _too_few(kind, examples, learnt, later, stopping)
    if too_few:
        notes.append(f"There is no measurement out of time: {too_few[0].lower()}{too_few[1:]}.")
        return None
    if examples.horizon_days is None:
        notes.append(
            "How far labels look ahead is not known, so out of time the last of those learnt from may look into the "
            "time that is measured."
        )
    learning = _learning(kind, examples, learnt, split.earlier & ~published & ~active, stopping, seed=seed)
    part, _ = _contest(f"{kind}, out of time", learning, examples, later, active, fold=0)
    return OutOfTime(
        learnt_until=_rfc3339(np.max(examples.moments[learnt])),
        measured_from=_rfc3339(np.min(examples.moments[later])),
        measured_until=_rfc3339(np.max(examples.moments[later])),
        learnt_rows=int(learnt.sum()),
        measured=measure(part, seed, choice=kind == "choice"),
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


def _feature_auc(kind: Kind, measured: Examples) -> dict[str, float]:
    if kind == "choice":
        return {}
    alone = {name: metrics.auc(measured.happened, measured.features[:, i]) for i, name in enumerate(measured.names)}
    return {name: max(value, 1 - value) for name, value in alone.items()}


def _offers_shown(kind: Kind, examples: Examples, outcomes: HeldOut) -> tuple[OfferShown, ...]:
    if kind == "churn":
        return ()
    offer_ids, measured = contenders.shown(examples), contenders.shown(examples)[outcomes.rows]
    ours = outcomes.answers[NETWORK]
    rows = []
    for offer in examples.catalogue:
        offer_id = offer.offer_id
        everywhere, here = offer_ids == offer_id, measured == offer_id
        if kind == "choice" and ours.by_offer is not None:
            probability, happened = ours.by_offer[:, offer_id], here
        else:
            probability, happened = ours.probability[here], ours.happened[here]
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
