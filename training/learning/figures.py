"""What an evaluation measured, as the card, the gates and the report read it."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.learning.contenders import NETWORK, Kind
from training.learning.metrics import CalibrationBin, LiftDecile, ThresholdRow

HEADLINES = ("auc", "pr_auc", "accuracy", "log_loss", "brier", "ece", "ece_floor")

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Contest:
    """The figures of each contender, by its name, on `rows` rows of `customers` customers that none has learnt from.

    Of churn and conversion: auc, pr_auc, log_loss, brier, ece, ece_floor, ece_floor_95. Of choice: accuracy and
    log_loss over the offers, and the rest for the event that the offer recommended is the one taken.
    """

    rows: int
    customers: int
    positive_share: float
    figures: dict[str, Figures]


@dataclass(frozen=True, slots=True)
class OutOfTime:
    """Days in RFC 3339: the last moment learnt from, and the first and last measured at."""

    learnt_until: str
    measured_from: str
    measured_until: str
    learnt_rows: int
    contest: Contest


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

    network:       Keras, the first split's.
    held_out:      bool (n,), the rows that it was measured on; `learnt` are the others, of which `stopping` decided
                   when to stop.
    happened, probability: (held_out.sum(),), the event and the network's probability of it, which the tables describe.
                   For choice the event is that the offer recommended is the one taken.
    splits, mean:  each split's contest, and each contender's figures as their mean.
    feature_auc:   what each feature reaches alone on the held-out rows, in its better direction; none for choice.
    notes:         sentences on what could not be measured.
    """

    kind: Kind
    network: Any
    held_out: NDArray[np.bool_]
    learnt: NDArray[np.bool_]
    stopping: NDArray[np.bool_]
    happened: NDArray[np.bool_]
    probability: NDArray[np.floating]
    splits: tuple[Contest, ...]
    mean: dict[str, Figures]
    out_of_time: OutOfTime | None
    calibration: tuple[CalibrationBin, ...]
    lift: tuple[LiftDecile, ...]
    thresholds: tuple[ThresholdRow, ...]
    offers: tuple[OfferShown, ...]
    feature_auc: dict[str, float]
    notes: tuple[str, ...]

    def summary(self) -> dict[str, float]:
        """The published network's headline figures on its held-out customers, for the card's `metrics`."""
        measured = self.splits[0]
        headline = {name: measured.figures[NETWORK][name] for name in HEADLINES if name in measured.figures[NETWORK]}
        headline["positive_share"] = measured.positive_share
        if self.out_of_time is not None:
            later = self.out_of_time.contest.figures[NETWORK]
            headline |= {f"{name}_out_of_time": later[name] for name in ("auc", "log_loss", "ece")}
        return {name: value for name, value in headline.items() if math.isfinite(value)}

    def as_json(self) -> dict[str, Any]:
        """All that was measured, as dicts, lists and finite numbers; None for what is not defined, such as 0 of 0."""
        measured = {
            "kind": self.kind,
            "splits": [asdict(contest) for contest in self.splits],
            "mean": self.mean,
            "out_of_time": None if self.out_of_time is None else asdict(self.out_of_time),
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
