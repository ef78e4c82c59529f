"""What an evaluation measured, as the card, the gates and the report read it."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.learning.contenders import NETWORK, Kind
from training.learning.held_out import HeldOut, Said
from training.learning.measured import Measured
from training.learning.metrics import CalibrationBin, LiftDecile, ThresholdRow

HEADLINES = ("auc", "pr_auc", "accuracy", "log_loss", "brier", "ece", "ece_floor")


@dataclass(frozen=True, slots=True)
class OutOfTime:
    """Days in RFC 3339: the last moment learnt from, and the first and last measured at."""

    learnt_until: str
    measured_from: str
    measured_until: str
    learnt_rows: int
    measured: Measured


@dataclass(frozen=True, slots=True)
class OfferShown:
    """How often an offer was shown and taken, in all examples, and on held-out ones what the network says of it."""

    offer_id: int
    offer_code: str
    shown: int
    converted: int
    held_out: int
    mean_probability: float
    observed_share: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was measured, and the network to publish.

    network, form: Keras, the first split's, and what its graph is, for people.
    active:        bool (n,), of all examples: those that a model learns from and that gates go by. The others are of
                   customers who had lapsed. All True of offers.
    held_out:      bool (n,), the rows that the published network is measured on, the lapsed too.
    learnt:        bool (n,), the active of the others, of which `stopping` decided when to stop.
    outcomes:      what every contender said of all rows that a split held out, active or not.
    measured, everyone: the figures on the active of these, and on all.
    out_of_time:   the same of active customers at a later time.
    feature_auc:   what each feature reaches alone on the active held-out rows, in its better direction; none for
                   choice.
    notes:         sentences on what could not be measured.
    """

    kind: Kind
    network: Any
    form: str
    active: NDArray[np.bool_]
    held_out: NDArray[np.bool_]
    learnt: NDArray[np.bool_]
    stopping: NDArray[np.bool_]
    outcomes: HeldOut
    measured: Measured
    everyone: Measured
    out_of_time: OutOfTime | None
    calibration: tuple[CalibrationBin, ...]
    lift: tuple[LiftDecile, ...]
    thresholds: tuple[ThresholdRow, ...]
    offers: tuple[OfferShown, ...]
    feature_auc: dict[str, float]
    notes: tuple[str, ...]

    @property
    def ours(self) -> Said:
        """What the network said of the active held-out rows, and what happened: what the tables describe."""
        return self.outcomes.where(self.outcomes.active).answers[NETWORK]

    def summary(self) -> dict[str, float]:
        """The network's headline figures, for the card's `metrics`: means of the splits, on active customers.

        Of churn, those that end in _all are of the lapsed too.
        """
        headline = {name: value for name, value in self.measured.mean[NETWORK].items() if name in HEADLINES}
        headline["positive_share"] = self.measured.positive_share
        if self.kind == "churn":
            headline |= {f"{name}_all": self.everyone.mean[NETWORK][name] for name in ("auc", "log_loss", "ece")}
        if self.out_of_time is not None:
            later = self.out_of_time.measured.mean[NETWORK]
            headline |= {f"{name}_out_of_time": later[name] for name in ("auc", "log_loss", "ece")}
        return {name: value for name, value in headline.items() if math.isfinite(value)}

    def as_json(self) -> dict[str, Any]:
        """All that was measured, as dicts, lists and finite numbers; None for what is not defined, such as 0 of 0.

        `mean` and `ranges` are of active customers, those in `everyone` of all.
        """
        later = self.out_of_time
        measured = {
            "kind": self.kind,
            "form": self.form,
            **self.measured.as_json(),
            "splits": [asdict(contest) for contest in self.measured.folds],
            "everyone": self.everyone.as_json(),
            "out_of_time": None
            if later is None
            else {
                "learnt_until": later.learnt_until,
                "measured_from": later.measured_from,
                "measured_until": later.measured_until,
                "learnt_rows": later.learnt_rows,
                **later.measured.as_json(),
            },
            "calibration": [asdict(row) for row in self.calibration],
            "lift": [asdict(row) for row in self.lift],
            "thresholds": [asdict(row) for row in self.thresholds],
            "offers": [asdict(row) for row in self.offers],
            "feature_auc": self.feature_auc,
            "notes": list(self.notes),
        }
        finite: dict[str, Any] = _finite(measured)
        return finite


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
