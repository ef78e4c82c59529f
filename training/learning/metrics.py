"""How good probabilities are on customers that the model has not seen.

AUC, average precision, log-loss and Brier score are scikit-learn's, with an answer for what these leave undefined; what
it does not have is here: the calibration error and what it is by chance, lift by decile, thresholds with what is
expected of them.

`happened` is always bool (n,) and `probability` float (n,), in 0..1. Where a tie must be ordered, as between customers
of one probability, those tied share out evenly what there is to share, so that the order of the rows decides nothing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from sklearn.metrics import log_loss as sklearn_log_loss

CALIBRATION_BINS = 15
FLOOR_DRAWS = 200
SMALLEST = 1e-7
"""A probability counts as at least this: of what was called impossible and happened, the logarithm is infinite."""

NORMAL_95 = 1.959964
"""Of a normal distribution, 95 % lies within so many standard deviations of the mean."""

Happened = NDArray[np.bool_]
Probability = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """The customers with a probability in [lower, upper), the last bin's upper bound included."""

    lower: float
    upper: float
    rows: int
    mean_probability: float
    observed_share: float


@dataclass(frozen=True, slots=True)
class LiftDecile:
    """A tenth of the customers, 1 being the tenth with the highest probabilities.

    share:            of this tenth, to whom it happened.
    lift:             that share by the share among all.
    captured_so_far:  of all it happened to, the share who are in this tenth or a higher one.
    """

    decile: int
    rows: int
    lowest_probability: float
    mean_probability: float
    share: float
    lift: float
    captured_so_far: float


@dataclass(frozen=True, slots=True)
class ThresholdRow:
    """Those with a probability >= threshold: how many there are, and how many of them are right and wrong.

    Expected: by the probabilities alone, as where nothing is known yet of what will happen. Precision is NaN where
    nobody is selected.
    """

    threshold: float
    selected: int
    expected_true_positives: float
    expected_false_positives: float
    true_positives: int
    false_positives: int
    precision: float
    recall: float


@dataclass(frozen=True, slots=True)
class Floor:
    """What a calibration error is by chance alone, over simulated outcomes: the mean and the 95th percentile."""

    mean: float
    percentile_95: float


def auc(happened: Happened, probability: Probability) -> float:
    """scikit-learn's roc_auc_score: the chance that someone it happened to is ranked above someone it did not.

    Ties count half; NaN if it happened to all, or to nobody.
    """
    if happened.all() or not happened.any():
        return float("nan")
    return float(roc_auc_score(happened, probability))


def pr_auc(happened: Happened, probability: Probability) -> float:
    """scikit-learn's average_precision_score: the sum over thresholds of precision times the recall gained there.

    Without interpolation between thresholds, which would flatter (Davis & Goadrich 2006). NaN if it happened to nobody.
    """
    return float(average_precision_score(happened, probability)) if happened.any() else float("nan")


def log_loss(outcome: NDArray[np.integer], probabilities: Probability) -> float:
    """scikit-learn's log_loss: the mean of -ln(probability given to what happened).

    outcome: (n,), 0..k-1; probabilities: (n, k). A network's float32 rows sum to 1 within 1e-7, and scikit-learn warns
    beyond 1.5e-8 of a float64: so the rows are scaled to a sum of 1.
    """
    bounded = np.maximum(probabilities.astype(np.float64), SMALLEST)
    bounded /= bounded.sum(axis=1, keepdims=True)
    return float(sklearn_log_loss(outcome, bounded, labels=np.arange(probabilities.shape[1])))


def binary_log_loss(happened: Happened, probability: Probability) -> float:
    """`log_loss` of two outcomes, if `probability` is that of the one that happened or not."""
    bounded = np.clip(probability.astype(np.float64), SMALLEST, 1 - SMALLEST)
    return float(sklearn_log_loss(happened, bounded, labels=[False, True]))


def brier(happened: Happened, probability: Probability) -> float:
    """scikit-learn's brier_score_loss: the mean squared difference of probability and outcome, 0..1 (Brier 1950)."""
    return float(brier_score_loss(happened, probability.astype(np.float64), labels=[False, True]))


def ece(happened: Happened, probability: Probability) -> float:
    """The expected calibration error, over 15 bins of equal width.

    The mean, weighted by the bins' customers, of |mean probability - observed share| (Naeini, Cooper & Hauskrecht
    2015; Guo et al. 2017, equation 3, with the probability of the one outcome in place of the confidence).
    """
    return float(_calibration_error(_bin_of(probability), probability, happened))


def ece_floor(probability: Probability, seed: int) -> Floor:
    """The calibration error that these very probabilities would show were they all true.

    A finite sample is never right on the point, so the measure is not 0 for a perfect model. Outcomes are drawn from
    the probabilities 200 times, as by `errors_by_chance`; the same seed draws the same.
    """
    drawn = errors_by_chance(probability, seed)
    return Floor(mean=float(np.mean(drawn)), percentile_95=float(np.percentile(drawn, 95)))


def errors_by_chance(probability: Probability, seed: int) -> NDArray[np.float64]:
    """float64 (200,): the calibration error of outcomes that are drawn from these very probabilities, 200 times."""
    random = np.random.default_rng(seed)
    bins = _bin_of(probability)
    return np.array(
        [
            _calibration_error(bins, probability, random.random(len(probability)) < probability)
            for _ in range(FLOOR_DRAWS)
        ]
    )


def calibration_table(happened: Happened, probability: Probability) -> tuple[CalibrationBin, ...]:
    """The bins of `ece` that have customers, from the lowest probability up."""
    bins = _bin_of(probability)
    return tuple(
        CalibrationBin(
            lower=number / CALIBRATION_BINS,
            upper=(number + 1) / CALIBRATION_BINS,
            rows=int(inside.sum()),
            mean_probability=float(probability[inside].mean(dtype=np.float64)),
            observed_share=float(happened[inside].mean()),
        )
        for number in np.unique(bins).tolist()
        for inside in [bins == number]
    )


def lift_by_decile(happened: Happened, probability: Probability) -> tuple[LiftDecile, ...]:
    """Ten tenths of the customers (as equal as n allows), highest probabilities first; fewer where n < 10."""
    values, rank, ties = np.unique(-probability, return_inverse=True, return_counts=True)
    order = np.argsort(rank, kind="stable")
    # What happened, as the average over the orders that customers of one probability could stand in.
    shared = (np.bincount(rank, happened, len(values)) / ties)[rank][order]
    sorted_probability = probability[order].astype(np.float64)
    total = float(happened.sum())
    tenths = [rows for rows in np.array_split(np.arange(len(order)), 10) if len(rows)]
    return tuple(
        LiftDecile(
            decile=number,
            rows=len(rows),
            lowest_probability=float(sorted_probability[rows[-1]]),
            mean_probability=float(sorted_probability[rows].mean()),
            share=float(shared[rows].mean()),
            lift=float(shared[rows].mean() / happened.mean()) if total else float("nan"),
            captured_so_far=float(shared[: rows[-1] + 1].sum() / total) if total else float("nan"),
        )
        for number, rows in enumerate(tenths, start=1)
    )


def threshold_table(
    happened: Happened, probability: Probability, thresholds: tuple[float, ...]
) -> tuple[ThresholdRow, ...]:
    """A row for each threshold, in the order given."""
    return tuple(_threshold_row(happened, probability.astype(np.float64), threshold) for threshold in thresholds)


def _threshold_row(happened: Happened, probability: Probability, threshold: float) -> ThresholdRow:
    chosen = probability >= threshold
    selected, right = int(chosen.sum()), int((chosen & happened).sum())
    expected = float(probability[chosen].sum())
    return ThresholdRow(
        threshold=threshold,
        selected=selected,
        expected_true_positives=expected,
        expected_false_positives=selected - expected,
        true_positives=right,
        false_positives=selected - right,
        precision=right / selected if selected else float("nan"),
        recall=right / int(happened.sum()) if happened.any() else float("nan"),
    )


def _bin_of(probability: Probability) -> NDArray[np.int64]:
    # A probability of 1 belongs to the last bin.
    return np.minimum((probability.astype(np.float64) * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)


def _calibration_error(bins: NDArray[np.int64], probability: Probability, happened: Happened) -> float:
    # In each bin: rows * |mean probability - observed share| = |sum of probability - outcome|.
    return float(np.abs(np.bincount(bins, probability.astype(np.float64) - happened)).sum() / len(bins))


def wilson(share: float, rows: float) -> tuple[float, float]:
    """The ends of the 95 % score interval of a share of so many rows, more than 0 (Wilson 1927)."""
    squared = NORMAL_95**2 / rows
    centre = (share + squared / 2) / (1 + squared)
    half = float(np.sqrt(squared * (share * (1 - share) + squared / 4))) / (1 + squared)
    # Of 0 and 1 a bound is the share itself, which rounding would put beside it.
    return (0.0 if share == 0 else centre - half), (1.0 if share == 1 else centre + half)
