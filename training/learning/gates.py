"""What a trained model must pass before it is written: each gate says what it measured, what was asked, and whether.

Pure functions of figures, which are pure functions of predictions, labels, customers and folds. Figures are judged by
their 95 % intervals: a floor must be below the whole interval, and a comparison fails only if the whole interval is on
the wrong side of what is allowed. Where it is on both sides, the data is too small to tell, and the gate says so.
The defaults of the bars are in config.Gates; what is too good is refused like what is too bad.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.models.document import Refused
from training.config import Gates
from training.learning.bootstrap import Sampled
from training.learning.contenders import LABELS, NETWORK, Kind
from training.learning.measured import Measured
from training.warehouse.examples import Examples

BESIDE_ACTIVE = "not worse than the active version"
CANNOT_TELL = "Cannot tell at this size whether it is worse than allowed."

_LEARN_MORE = "Give it features that say more under [features], or more customers,"
_MORE = {
    "bg_nbd": "BG/NBD knows how often, how lately and since when a customer buys: put lifetime_transaction_count, "
    "days_since_last and customer_age_days under [features] if they are not, bring more customers,",
}
_WHO_TAKES = (
    "Give it features that say who takes an offer under [features], or bring more exposures in the table of [tables] "
    "offers."
)
_BASELINES: dict[Kind, tuple[str, ...]] = {
    "churn": ("logistic_regression", "lightgbm", "bg_nbd"),
    "conversion": ("logistic_regression", "lightgbm"),
    "choice": ("logistic_regression", "lightgbm"),
}
REMEDIES = {
    "enough customers": "Bring data of more customers, or lower [gates] minimum_customers.",
    "enough positives": "Bring data of a longer time or of more customers, raise [windows] active_days so that more of "
    "them count, or lower [gates] minimum_positives.",
    "ranks better than chance": f"{_LEARN_MORE} check the labels, or lower [gates] auc_floor.",
    "knows more than the share of all": "Give it features that say who leaves under [features], bring more customers, "
    "and check the labels of [tables] churn.",
    "knows more than the offers' base rates": _WHO_TAKES,
    "knows more than the offers' popularity": "Give it features that say who takes which offer under [features], or "
    "bring exposures that did not convert too in the table of [tables] offers.",
    **{
        f"AUC beside {LABELS[name]}": f"{_MORE.get(name, _LEARN_MORE)} or raise [gates] auc_below_baselines."
        for name in _BASELINES["churn"]
    },
    **{
        f"log-loss beside {LABELS[name]}": f"{_MORE.get(name, _LEARN_MORE)} or raise [gates] log_loss_over_baselines."
        for name in _BASELINES["churn"]
    },
    "calibrated": "Bring data of more customers, or raise [gates] calibration_over_floor.",
    "calibrated out of time": "The world has changed within the data: leave older rows out of [tables], or raise "
    "[gates] calibration_out_of_time.",
    "not too good to be true": "Remove that feature from [features], or raise [gates] auc_ceiling if it is right.",
    "not one feature alone": "If it is right, raise [gates] suspicious_feature_auc.",
    BESIDE_ACTIVE: "Bring more data or better [features], raise [gates] auc_below_active, or give --force a reason.",
    "served as trained": "Try another seed, or look whether the features of [features] differ from one customer to the "
    "next.",
    "operations": "Train with the TensorFlow of requirements/test.txt: run 'make install'.",
}
"""What to do about a gate that failed, by its name: which key of which section, or which data, to change."""


class Gate(NamedTuple):
    """forceable: `--force REASON` may overrule it: another model is better, which does not say that this one is bad."""

    name: str
    passed: bool
    sentence: str
    forceable: bool = False


def of_data(examples: Examples, active: NDArray[np.bool_], gates: Gates) -> list[Gate]:
    """Whether there is enough to learn from: before the time is spent on learning it.

    active: bool (n,), the examples that are learnt from. Customers are counted among all, outcomes among these.
    """
    customers, happened = len(set(examples.customer_ids)), examples.happened[active]
    rarer = min(int(happened.sum()), int((~happened).sum()))
    if examples.offers is not None and happened.all():
        rarer = len(happened)  # which offer was taken is asked, not whether
    among = "examples of the rarer outcome" if active.all() else "examples of the rarer outcome among active customers"
    return with_remedies(
        [
            _enough("enough customers", customers, gates.minimum_customers, "customers"),
            _enough("enough positives", rarer, gates.minimum_positives, among),
        ]
    )


def of_quality(
    kind: Kind,
    measured: Measured,
    gates: Gates,
    *,
    later: Measured | None = None,
    feature_auc: Mapping[str, float] | None = None,
) -> list[Gate]:
    """Whether it knows more than nothing, is as good as the baselines, and not better than can be true.

    measured: on the rows that gates go by; later: out of time; feature_auc: of each feature alone.
    """
    if kind == "choice":
        checks = [
            _below("knows more than the offers' popularity", measured, "popularity"),
            *_beside(kind, measured, gates),
        ]
    else:
        base_rate = {
            "churn": ("knows more than the share of all", "base_rate"),
            "conversion": ("knows more than the offers' base rates", "offer_base_rate"),
        }
        checks = [
            _over_chance(measured, gates),
            _below(base_rate[kind][0], measured, base_rate[kind][1]),
            *_beside(kind, measured, gates),
            *_calibrated(measured, later, gates),
            *_leakage(measured, feature_auc or {}, gates),
        ]
    return with_remedies(checks)


def with_remedies(checks: Iterable[Gate]) -> list[Gate]:
    """Those that failed end with what to do."""
    return [
        gate if gate.passed else gate._replace(sentence=f"{gate.sentence} {REMEDIES[gate.name]}") for gate in checks
    ]


def not_worse(difference: Sampled, allowed: float) -> tuple[bool, str]:
    """Whether a difference, which is better the higher, may be at least -allowed; and a clause for people."""
    passed = not difference.high < -allowed
    told = f"{_compared(difference)}, where up to {allowed:g} worse is allowed"
    unsure = passed and not difference.low >= -allowed
    return passed, f"{told}. {CANNOT_TELL}" if unsure else f"{told}."


def ranged(one: Sampled, form: str = "z.3f") -> str:
    """The figure and its interval, for people; z, so that what rounds to 0 has no minus sign."""
    return f"{one.value:{form}} ({one.low:{form}} to {one.high:{form}})"


def _compared(difference: Sampled) -> str:
    """Says worse where it is, so that only a range on both sides has a sign."""
    rounded = round(difference.value, 3)
    if not rounded:
        return f"a difference of {ranged(difference)}"
    worse = rounded < 0
    turned = Sampled(-difference.value, -difference.draws) if worse else difference
    return f"{'worse' if worse else 'better'} by {ranged(turned)}"


def of_refusal(name: str, holds: str, check: Callable[[], None]) -> Gate:
    """A check that raises manifest.Refused, as a gate; `holds` is the sentence where it does not."""
    try:
        check()
    except Refused as error:
        return with_remedies([Gate(name, passed=False, sentence=str(error))])[0]
    return Gate(name, passed=True, sentence=holds)


def of_operations(op_versions: Mapping[str, int]) -> Gate:
    """Version 1 of an operation is what every TFLite runtime knows; a float32 graph needs no other."""
    newer = [f"{name} {version}" for name, version in op_versions.items() if version > 1]
    name = "operations"
    if newer:
        told = f"The graph needs {', '.join(newer)}, which older serving runtimes do not know."
        return with_remedies([Gate(name, passed=False, sentence=told)])[0]
    return Gate(name, passed=True, sentence=f"All {len(op_versions)} operations are of version 1, known everywhere.")


def _over_chance(measured: Measured, gates: Gates) -> Gate:
    ours = measured.sampled[NETWORK]["auc"]
    return Gate(
        "ranks better than chance",
        passed=ours.low > gates.auc_floor,
        sentence=f"AUC {ranged(ours)}, where the lower bound must be over {gates.auc_floor:g}.",
    )


def _below(name: str, measured: Measured, baseline: str) -> Gate:
    """Of what knows nothing of the customer, the log-loss must be over ours, beyond the interval."""
    ours, theirs = measured.sampled[NETWORK]["log_loss"], measured.sampled[baseline]["log_loss"]
    difference = ours - theirs
    return Gate(
        name,
        passed=difference.high < 0,
        sentence=f"Log-loss {ours.value:.4f}, where {LABELS[baseline][0].lower()}{LABELS[baseline][1:]} has "
        f"{theirs.value:.4f}: a difference of {ranged(difference, '+z.4f')}, whose upper bound must be below 0.",
    )


def _beside(kind: Kind, measured: Measured, gates: Gates) -> list[Gate]:
    """AUC and log-loss beside each baseline. Of choice the log-loss alone: each AUC is of an event of its own."""
    checks = []
    for baseline in _BASELINES[kind]:
        label = LABELS[baseline]
        if baseline not in measured.sampled:
            why = measured.not_fitted.get(baseline, f"{label} was not fitted.")
            checks.append(Gate(f"AUC beside {label}", passed=True, sentence=f"Not compared. {why}"))
            continue
        ours, theirs = measured.sampled[NETWORK], measured.sampled[baseline]
        if kind != "choice":
            passed, told = not_worse(ours["auc"] - theirs["auc"], gates.auc_below_baselines)
            sentence = f"AUC {ours['auc'].value:.3f}, where {label} has {theirs['auc'].value:.3f}: {told}"
            checks.append(Gate(f"AUC beside {label}", passed, sentence))
        passed, told = not_worse(theirs["log_loss"] - ours["log_loss"], gates.log_loss_over_baselines)
        sentence = f"Log-loss {ours['log_loss'].value:.3f}, where {label} has {theirs['log_loss'].value:.3f}: {told}"
        checks.append(Gate(f"log-loss beside {label}", passed, sentence))
    return checks


def _calibrated(measured: Measured, later: Measured | None, gates: Gates) -> list[Gate]:
    checks = [_within("calibrated", measured, gates.calibration_over_floor, "")]
    if later is not None:
        told = " at a later time than was learnt from"
        checks.append(_within("calibrated out of time", later, gates.calibration_out_of_time, told))
    return checks


def _within(name: str, measured: Measured, allowed: float, where: str) -> Gate:
    error = measured.mean[NETWORK]["ece"]
    return Gate(
        name,
        passed=error <= measured.chance_975 + allowed,
        sentence=f"Calibration error {error:.3f}{where}, where chance alone makes up to {measured.chance_975:.3f} "
        f"(at most {allowed:g} over).",
    )


def _leakage(measured: Measured, feature_auc: Mapping[str, float], gates: Gates) -> list[Gate]:
    """A model that is nearly never wrong, or no better than one feature of its ten, has likely seen the answer."""
    ours = measured.mean[NETWORK]["auc"]
    checks = [
        Gate(
            "not too good to be true",
            passed=not ours > gates.auc_ceiling,
            sentence=f"AUC {ours:.3f}, under the ceiling of {gates.auc_ceiling:g}."
            if ours <= gates.auc_ceiling
            else f"AUC {ours:.3f} is over the ceiling of {gates.auc_ceiling:g}: a feature likely knows the answer; "
            "compute features from what was known before the moment.",
        )
    ]
    if feature_auc:
        feature, alone = max(feature_auc.items(), key=lambda item: item[1])
        suspect = alone >= gates.suspicious_feature_auc and alone >= ours - gates.single_feature_margin
        told = ": it likely knows the answer; leave it out, or compute it from before the moment." if suspect else "."
        sentence = f"{feature} alone reaches AUC {alone:.3f}, the model {ours:.3f}{told}"
        checks.append(Gate("not one feature alone", passed=not suspect, sentence=sentence))
    return checks


def _enough(name: str, figure: int, bar: int, unit: str) -> Gate:
    short = "" if figure >= bar else ": too few"
    return Gate(name, figure >= bar, f"{figure:,} {unit}, where {bar:,} are asked for{short}.")
