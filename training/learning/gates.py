"""What a trained model must pass before it is written: each gate says what it measured, what was asked, and whether.

The defaults of the bars are in config.Gates; what is too good is refused like what is too bad.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.models import catalogue
from loyalty_ml.models.card import Offer
from loyalty_ml.models.document import Refused
from training.config import Gates
from training.learning import metrics
from training.learning.contenders import LABELS, NETWORK, Kind, shown
from training.learning.figures import Evaluation
from training.warehouse.examples import Examples

BESIDE_ACTIVE = "not worse than the active version"
FEWEST_COMMON_OFFERS = 2
"""Of one offer there is no choice."""

_LEARN_MORE = "Give it features that say more under [features], or more customers,"
REMEDIES = {
    "enough customers": "Bring data of more customers, or lower [gates] minimum_customers.",
    "enough positives": "Bring data of a longer time or of more customers, or lower [gates] minimum_positives.",
    f"as good as {LABELS['logistic_regression']}": f"{_LEARN_MORE} or raise [gates] auc_below_baselines.",
    f"as good as {LABELS['lightgbm']}": f"{_LEARN_MORE} or raise [gates] auc_below_baselines.",
    "ranks better than BG/NBD": f"{_LEARN_MORE} or lower [gates] auc_over_bg_nbd.",
    "log-loss under BG/NBD's": f"{_LEARN_MORE} or lower [gates] log_loss_under_bg_nbd.",
    "ranks exposures": "Give it features that say who takes an offer under [features], bring more exposures in the "
    "table of [tables] offers, or lower [gates] offer_auc.",
    "knows more than the offers' base rates": "Give it features that say who takes an offer under [features], or "
    "bring more exposures in the table of [tables] offers.",
    "knows more than the offers' popularity": "Give it features that say who takes which offer under [features], or "
    "bring exposures that did not convert too in the table of [tables] offers.",
    "calibrated": "Bring data of more customers, or raise [gates] calibration_over_floor.",
    "calibrated out of time": "The world has changed within the data: leave older rows out of [tables], or raise "
    "[gates] calibration_out_of_time.",
    "not too good to be true": "Remove that feature from [features], or raise [gates] auc_ceiling if it is right.",
    "not one feature alone": "If it is right, raise [gates] suspicious_feature_auc.",
    BESIDE_ACTIVE: "Bring more data or better [features], or raise [gates] auc_below_active.",
}
"""What to do about a gate that failed, by its name: which key of which section, or which data, to change."""


class Gate(NamedTuple):
    name: str
    passed: bool
    sentence: str


def of_data(examples: Examples, gates: Gates) -> list[Gate]:
    """Whether there is enough to learn from: before the time is spent on learning it."""
    customers = len(set(examples.customer_ids))
    rarer = min(int(examples.happened.sum()), int((~examples.happened).sum()))
    if examples.offers is not None and examples.happened.all():
        rarer = len(examples)  # which offer was taken is asked, not whether
    return _with_remedies(
        [
            _at_least("enough customers", customers, gates.minimum_customers, "customers", "{:,.0f}"),
            _at_least("enough positives", rarer, gates.minimum_positives, "examples of the rarer outcome", "{:,.0f}"),
        ]
    )


def of_quality(evaluation: Evaluation, gates: Gates) -> list[Gate]:
    """Whether it is as good as the baselines, and not better than can be true; figures are the splits' means."""
    checks = {"churn": _churn, "conversion": _conversion, "choice": _choice}[evaluation.kind](evaluation, gates)
    if evaluation.kind != "choice":
        checks = [*checks, *_leakage(evaluation, gates)]
    return _with_remedies(checks)


def _with_remedies(checks: Iterable[Gate]) -> list[Gate]:
    """Those that failed end with what to do."""
    return [
        gate if gate.passed else gate._replace(sentence=f"{gate.sentence} {REMEDIES[gate.name]}") for gate in checks
    ]


def of_refusal(name: str, holds: str, check: Callable[[], None]) -> Gate:
    """A check that raises manifest.Refused, as a gate; `holds` is the sentence where it does not."""
    try:
        check()
    except Refused as error:
        return Gate(name, passed=False, sentence=str(error))
    return Gate(name, passed=True, sentence=holds)


def of_operations(op_versions: Mapping[str, int]) -> Gate:
    """Version 1 of an operation is what every TFLite runtime knows; a float32 graph needs no other."""
    newer = [f"{name} {version}" for name, version in op_versions.items() if version > 1]
    name = "operations"
    if newer:
        return Gate(
            name,
            passed=False,
            sentence=f"The graph needs {', '.join(newer)}, which older serving runtimes do not know.",
        )
    return Gate(name, passed=True, sentence=f"All {len(op_versions)} operations are of version 1, known everywhere.")


def against_active(
    version: str,
    kind: Kind,
    unseen: Examples,
    *,
    ours: NDArray[np.floating],
    theirs: NDArray[np.floating],
    gates: Gates,
) -> Gate:
    """Both models' outputs (n, k) for the same n held-out examples, from which neither has learnt."""
    figure = "share of right recommendations" if kind == "choice" else "AUC"
    new, active = (_figure(kind, unseen, outputs) for outputs in (ours, theirs))
    beside = Gate(
        BESIDE_ACTIVE,
        passed=new >= active - gates.auc_below_active,
        sentence=f"Its {figure} is {new:.3f} on the held-out examples, where the active {version} has {active:.3f} "
        f"(at most {gates.auc_below_active:g} below; --force REASON overrules this).",
    )
    return _with_remedies([beside])[0]


def against_active_on_common_offers(
    version: str,
    kind: Kind,
    unseen: Examples,
    active_offers: Sequence[Offer],
    *,
    ours: NDArray[np.floating],
    theirs: NDArray[np.floating],
    gates: Gates,
) -> Gate:
    """The same of offers that both models know by their codes, and of examples of these; the sentence says which.

    ours is (n, k) of the k offers of unseen.catalogue, theirs (n, m) of the m active_offers. Models that have fewer
    than two offers in common, or only examples of one outcome, are not compared, which is no fault of the new one.
    """
    places = {offer.offer_code: offer.offer_id for offer in active_offers}
    common = [offer for offer in unseen.catalogue if offer.offer_code in places]
    which = _which_offers(unseen.catalogue, active_offers, version)
    if len(common) < FEWEST_COMMON_OFFERS:
        return Gate(BESIDE_ACTIVE, passed=True, sentence=f"Not compared with the active {version}. {which}")
    mine = [offer.offer_id for offer in common]
    rows = np.isin(shown(unseen), mine)
    place_in_common = np.zeros(len(unseen.catalogue), np.int64)
    place_in_common[mine] = np.arange(len(mine))
    of_common = unseen.where(rows)
    of_common = replace(of_common, offers=place_in_common[shown(of_common)], catalogue=tuple(common))
    if not len(of_common) or (kind == "conversion" and len(np.unique(of_common.happened)) < 2):
        return Gate(
            BESIDE_ACTIVE,
            passed=True,
            sentence=f"Not compared with the active {version}: the held-out examples have one outcome. {which}",
        )
    gate = against_active(
        version,
        kind,
        of_common,
        ours=ours[rows][:, mine],
        theirs=theirs[rows][:, [places[offer.offer_code] for offer in common]],
        gates=gates,
    )
    return gate._replace(sentence=f"{gate.sentence} {which}")


def _which_offers(ours: Sequence[Offer], theirs: Sequence[Offer], version: str) -> str:
    """What the comparison is of, in a sentence or two."""
    new, active = ({offer.offer_code for offer in offers} for offers in (ours, theirs))
    common = [offer for offer in ours if offer.offer_code in active]
    parts = [
        f"Both know the offers {catalogue.listed(common)}." if common else "No offer is known to both.",
        *_only("Only this one knows {}.", [offer for offer in ours if offer.offer_code not in active]),
        *_only(f"Only {version} knows {{}}.", [offer for offer in theirs if offer.offer_code not in new]),
    ]
    return " ".join(parts)


def _only(sentence: str, offers: Sequence[Offer]) -> list[str]:
    return [sentence.format(catalogue.listed(offers))] if offers else []


def _figure(kind: Kind, unseen: Examples, outputs: NDArray[np.floating]) -> float:
    if kind == "choice":
        return float((outputs.argmax(axis=1) == shown(unseen)).mean())
    of_interest = 0 if kind == "churn" else shown(unseen)
    return metrics.auc(unseen.happened, outputs[np.arange(len(unseen)), of_interest])


def _churn(evaluation: Evaluation, gates: Gates) -> list[Gate]:
    ours = evaluation.mean[NETWORK]
    checks = _beside_baselines(evaluation, gates)
    if "bg_nbd" in evaluation.mean:
        theirs = evaluation.mean["bg_nbd"]
        checks += [
            _at_least("ranks better than BG/NBD", ours["auc"] - theirs["auc"], gates.auc_over_bg_nbd, "of AUC over it"),
            _at_least(
                "log-loss under BG/NBD's",
                theirs["log_loss"] - ours["log_loss"],
                gates.log_loss_under_bg_nbd,
                "of log-loss under it",
            ),
        ]
    return [*checks, *_calibrated(evaluation, gates)]


def _conversion(evaluation: Evaluation, gates: Gates) -> list[Gate]:
    ours, base = evaluation.mean[NETWORK], evaluation.mean["offer_base_rate"]
    return [
        _at_least("ranks exposures", ours["auc"], gates.offer_auc, "of AUC"),
        Gate(
            "knows more than the offers' base rates",
            passed=ours["log_loss"] < base["log_loss"],
            sentence=f"Log-loss {ours['log_loss']:.4f}, where the base rate of each offer has {base['log_loss']:.4f}.",
        ),
        *_calibrated(evaluation, gates),
    ]


def _choice(evaluation: Evaluation, _: Gates) -> list[Gate]:
    ours, popular = evaluation.mean[NETWORK], evaluation.mean["popularity"]
    return [
        Gate(
            "knows more than the offers' popularity",
            passed=ours["log_loss"] < popular["log_loss"],
            sentence=f"Log-loss {ours['log_loss']:.4f}, where the offers' popularity has {popular['log_loss']:.4f}.",
        )
    ]


def _beside_baselines(evaluation: Evaluation, gates: Gates) -> list[Gate]:
    ours = evaluation.mean[NETWORK]["auc"]
    checks = []
    for baseline in ("logistic_regression", "lightgbm"):
        theirs = evaluation.mean[baseline]["auc"]
        checks.append(
            Gate(
                f"as good as {LABELS[baseline]}",
                passed=ours >= theirs - gates.auc_below_baselines,
                sentence=f"AUC {ours:.3f}, where {LABELS[baseline]} has {theirs:.3f} "
                f"(at most {gates.auc_below_baselines:g} below).",
            )
        )
    return checks


def _calibrated(evaluation: Evaluation, gates: Gates) -> list[Gate]:
    ours = evaluation.mean[NETWORK]
    over = ours["ece"] - ours["ece_floor"]
    checks = [
        Gate(
            "calibrated",
            passed=over <= gates.calibration_over_floor,
            sentence=f"Calibration error {ours['ece']:.3f}, where chance alone makes {ours['ece_floor']:.3f} "
            f"(at most {gates.calibration_over_floor:g} over).",
        )
    ]
    if evaluation.out_of_time is not None:
        later = evaluation.out_of_time.contest.figures[NETWORK]["ece"]
        checks.append(
            Gate(
                "calibrated out of time",
                passed=later <= gates.calibration_out_of_time,
                sentence=f"Calibration error {later:.3f} at a later time than was learnt from "
                f"(at most {gates.calibration_out_of_time:g}).",
            )
        )
    return checks


def _leakage(evaluation: Evaluation, gates: Gates) -> list[Gate]:
    """A model that is nearly never wrong, or no better than one feature of its ten, has likely seen the answer."""
    ours = evaluation.mean[NETWORK]["auc"]
    checks = [
        Gate(
            "not too good to be true",
            passed=ours <= gates.auc_ceiling,
            sentence=f"AUC {ours:.3f}, under the ceiling of {gates.auc_ceiling:g}."
            if ours <= gates.auc_ceiling
            else f"AUC {ours:.3f} is over the ceiling of {gates.auc_ceiling:g}: a feature likely knows the answer; "
            "compute features from what was known before the moment.",
        )
    ]
    if evaluation.feature_auc:
        measured = evaluation.splits[0].figures[NETWORK]["auc"]
        feature, alone = max(evaluation.feature_auc.items(), key=lambda item: item[1])
        suspect = alone >= gates.suspicious_feature_auc and alone >= measured - gates.single_feature_margin
        checks.append(
            Gate(
                "not one feature alone",
                passed=not suspect,
                sentence=f"{feature} alone reaches AUC {alone:.3f}, the model {measured:.3f}"
                + (
                    ": it likely knows the answer; leave it out, or compute it from before the moment."
                    if suspect
                    else "."
                ),
            )
        )
    return checks


def _at_least(name: str, figure: float, bar: float, unit: str, form: str = "{:.3f}") -> Gate:
    passed = figure >= bar
    short = "" if passed else ": too few" if form == "{:,.0f}" else ": too little"
    return Gate(name, passed, f"{form.format(figure)} {unit}, where {form.format(bar)} are asked for{short}.")
