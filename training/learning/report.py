"""A model's report for people: one HTML page that needs nothing else, with the figures that card.json has for programs.

matplotlib and Jinja are imported where they are used: together they take a second.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from loyalty_ml.models.quality import ChurnQuality
from training.learning import report_churn, report_offers
from training.learning.contenders import LABELS, NETWORK, Kind
from training.learning.figures import Evaluation
from training.learning.gates import Gate
from training.learning.measured import Contest, Measured
from training.learning.recommendation import Recommendation
from training.learning.report_offers import Worth
from training.warehouse.examples import Examples

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DrawnT = TypeVar("DrawnT")

OURS, OTHERS, INK, FAINT = "#1f6f8b", "#c9822b", "#24313a", "#d9dfe3"
STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
}


class Words(NamedTuple):
    """How a kind of question is spoken of."""

    title: str
    question: str
    rows: str
    event: str
    did_not: str
    each_is: str


WORDS: dict[Kind, Words] = {
    "churn": Words(
        "Churn",
        "How likely is it that this customer leaves?",
        "customers",
        "churned",
        "stayed",
        "an example is a customer as of one moment, and whether that customer churned after it",
    ),
    "conversion": Words(
        "Next best offer",
        "How likely is it that this customer converts, if shown this offer?",
        "exposures",
        "converted",
        "did not convert",
        "an example is an offer shown to a customer, and whether that customer converted; exposures that did not "
        "convert are learnt from as well (a masked loss over the offer shown), so the model learns what works and not "
        "what used to be shown",
    ),
    "choice": Words(
        "Next best offer",
        "Which of the offers will this customer take?",
        "offers taken",
        "took the offer recommended",
        "took another",
        "an example is an offer that a customer took; the warehouse has no exposures that did not convert, so the "
        "model (a softmax over the offers) knows what was taken where it used to be shown, and not what works",
    ),
}
COLUMNS = {
    "accuracy": ("Top-1 accuracy", "how often the offer recommended is the one taken; higher is better"),
    "auc": ("AUC", "how well it ranks: 0.5 is chance, 1 is never wrong; higher is better"),
    "pr_auc": ("PR-AUC", "average precision: to be read against the share of positives; higher is better"),
    "log_loss": ("Log-loss", "how surprised the probabilities are by what happened; lower is better"),
    "brier": ("Brier", "the mean squared error of the probabilities; lower is better"),
    "ece": ("ECE", "calibration error: how far probabilities are from shares, on average; lower is better"),
    "ece_floor": ("ECE by chance", "what a perfectly calibrated model would show on as many rows, on average"),
}


def write_report(
    path: Path,
    *,
    version: str,
    created: datetime,
    data: str,
    examples: Examples,
    sources: Mapping[str, str],
    evaluation: Evaluation,
    gates: Sequence[Gate],
    caveats: Sequence[str] = (),
    recommendation: Recommendation | None = None,
    churn_quality: ChurnQuality | None = None,
) -> None:
    """Writes the page. Raises OSError.

    data: where the examples are from, in words; examples: all that `evaluation` is of; sources: of each feature;
    gates: (name, passed, a sentence with the figure and its bar); caveats: sentences;
    recommendation: of an offer model; churn_quality: of a churn model.
    """
    import jinja2  # noqa: PLC0415

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["figure"] = _figure
    worth = report_offers.worth(recommendation, examples.catalogue)
    page = environment.get_template("report.html.jinja").render(
        version=version,
        created=created,
        data=data,
        learning=_learning(examples, evaluation),
        evaluation=evaluation,
        words=WORDS[evaluation.kind],
        summary=_summary(evaluation),
        columns=_columns(evaluation.measured.folds[0]),
        labels=LABELS,
        network=NETWORK,
        ranges=_ranges(evaluation.measured),
        ranges_of_all=_ranges(evaluation.everyone),
        ranges_later=_ranges(evaluation.out_of_time.measured) if evaluation.out_of_time else {},
        finds=report_churn.sentences(churn_quality, evaluation.measured.customers, examples.horizon_days)
        if churn_quality
        else ([worth.sentence] if worth else []),
        churn=churn_quality,
        bands=report_churn.bands(churn_quality) if churn_quality else [],
        gates=gates,
        caveats=[*caveats, *evaluation.notes],
        offer_names={offer.offer_code: offer.offer_name for offer in examples.catalogue},
        sources=sources,
        feature_auc=evaluation.feature_auc,
        worth=worth,
        plots={
            **{name: _svg(name, draw, evaluation) for name, draw in _PLOTS.items()},
            **({"tenths": _svg("tenths", _tenths, churn_quality)} if churn_quality else {}),
            **({"worth": _svg("worth", _worth, worth, height=0.7 + 0.3 * len(worth.rows))} if worth else {}),
        },
    )
    path.write_text(page, encoding="utf-8")


def _summary(evaluation: Evaluation) -> list[str]:
    """What the figures say, in sentences."""
    words, mean = WORDS[evaluation.kind], evaluation.measured.mean[NETWORK]
    sentences = []
    if evaluation.kind == "choice":
        sentences.append(f"The offer it puts first is the one taken in {mean['accuracy']:.0%} of cases.")
    else:
        among = "active " if evaluation.kind == "churn" else ""
        sentences.append(
            f"Of one who {words.event} and one who {words.did_not}, it gives the first the higher probability in "
            f"{100 * mean['auc']:.0f} of 100 cases."
        )
        top = evaluation.lift[0]
        sentences.append(
            f"Among the tenth of {among}{words.rows} with the highest probabilities, {top.share:.0%} {words.event}: "
            f"{top.lift:.1f} times as many as among all."
        )
    sentences.append(
        f"Its probabilities are {100 * mean['ece']:.1f} points from the shares that occurred, on average; on samples "
        f"of this size chance alone makes {100 * mean['ece_floor']:.1f}."
    )
    return sentences


def _learning(examples: Examples, evaluation: Evaluation) -> dict[str, Any]:
    moments, lapsed = np.unique(examples.moments), int((~evaluation.active).sum())
    left_out = {**examples.left_out, "lapsed: learnt from the active only": lapsed}
    return {
        "examples": len(examples),
        "customers": len(set(examples.customer_ids)),
        "positive_share": float(examples.happened.mean()),
        "learnt": int((evaluation.learnt & ~evaluation.stopping).sum()),
        "stopping": int(evaluation.stopping.sum()),
        "held_out": int(evaluation.held_out.sum()),
        "first": _day(moments[0]),
        "last": _day(moments[-1]),
        "moments": len(moments),
        "horizon_days": examples.horizon_days,
        "left_out": {reason: rows for reason, rows in left_out.items() if rows},
    }


def _columns(contest: Contest) -> dict[str, tuple[str, str]]:
    return {name: titles for name, titles in COLUMNS.items() if name in contest.figures[NETWORK]}


def _ranges(measured: Measured) -> dict[str, dict[str, str]]:
    """The 95 % interval of each contender's AUC and log-loss."""
    return {
        name: {
            figure: f"{one.low:.3f} \N{EN DASH} {one.high:.3f}" for figure, one in own.items() if np.isfinite(one.low)
        }
        for name, own in measured.sampled.items()
    }


def _figure(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "\N{EN DASH}"


def _day(moment: np.datetime64) -> str:
    return str(np.datetime_as_string(moment, unit="D"))


def _calibration(axes: "Axes", evaluation: Evaluation) -> None:
    bins = evaluation.calibration
    predicted = np.array([row.mean_probability for row in bins])
    observed = np.array([row.observed_share for row in bins])
    # Were a bin's mean probability true, its share would fall in here 19 times of 20.
    noise = 1.96 * np.sqrt(predicted * (1 - predicted) / np.array([row.rows for row in bins]))
    lower, upper = np.clip(predicted - noise, 0, 1), np.clip(predicted + noise, 0, 1)
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=(0, (4, 3)), label="perfect")
    axes.fill_between(predicted, lower, upper, color=OURS, alpha=0.15, linewidth=0, label="chance (95%)")
    axes.plot(predicted, observed, color=OURS, marker="o", markersize=4, linewidth=1.4, label="this model")
    largest = min(1.0, 1.1 * float(max(upper.max(), observed.max())))
    axes.set(xlim=(0, largest), ylim=(0, largest), xlabel="probability", ylabel="share that occurred")
    axes.legend(loc="upper left")


def _lift(axes: "Axes", evaluation: Evaluation) -> None:
    deciles = evaluation.lift
    axes.bar([row.decile for row in deciles], [row.lift for row in deciles], color=OURS, width=0.72)
    axes.axhline(1, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.set(xlabel="tenth, 1 = highest probabilities", ylabel="times the average share")
    axes.set_xticks([row.decile for row in deciles])
    axes.grid(visible=False, axis="x")


def _thresholds(axes: "Axes", evaluation: Evaluation) -> None:
    rows = evaluation.thresholds
    at = [row.threshold for row in rows]
    axes.plot(at, [row.true_positives for row in rows], color=OURS, linewidth=1.6, label="right, observed")
    axes.plot(at, [row.expected_true_positives for row in rows], color=OURS, linewidth=1, linestyle=(0, (2, 2)))
    axes.plot(at, [row.false_positives for row in rows], color=OTHERS, linewidth=1.6, label="wrong, observed")
    axes.plot(at, [row.expected_false_positives for row in rows], color=OTHERS, linewidth=1, linestyle=(0, (2, 2)))
    axes.plot([], [], color=INK, linewidth=1, linestyle=(0, (2, 2)), label="expected")
    axes.set(xlim=(0, _highest(evaluation)), ylim=(0, None), xlabel="threshold", ylabel=WORDS[evaluation.kind].rows)
    axes.legend(loc="upper right")


def _distribution(axes: "Axes", evaluation: Evaluation) -> None:
    words, edges = WORDS[evaluation.kind], np.linspace(0, _highest(evaluation), 41).tolist()
    for happened, colour, label in ((True, OURS, words.event), (False, OTHERS, words.did_not)):
        scores = evaluation.ours.probability[evaluation.ours.happened == happened]
        axes.hist(scores, edges, color=colour, alpha=0.35, linewidth=0)
        axes.hist(scores, edges, color=colour, histtype="step", linewidth=1.4, label=label)
    axes.set(xlim=(0, _highest(evaluation)), xlabel="probability", ylabel=words.rows)
    axes.legend(loc="upper center")


def _tenths(axes: "Axes", worth: ChurnQuality) -> None:
    report_churn.draw_tenths(axes, worth, OURS, OTHERS)


def _worth(axes: "Axes", worth: Worth) -> None:
    report_offers.draw(axes, worth, OURS, OTHERS)


def _highest(evaluation: Evaluation) -> float:
    return min(1.0, 1.02 * float(np.max(evaluation.ours.probability)))


_PLOTS: dict[str, Callable[["Axes", Evaluation], None]] = {
    "calibration": _calibration,
    "lift": _lift,
    "thresholds": _thresholds,
    "distribution": _distribution,
}


def _svg(name: str, draw: Callable[["Axes", DrawnT], None], drawn: DrawnT, *, height: float = 3.4) -> Any:
    """The drawing as an <svg> element to stand in a page: no XML header, no metadata, no name of any other place."""
    import matplotlib as mpl  # noqa: PLC0415
    from markupsafe import Markup  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    text = StringIO()
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(5.2, height), layout="constrained")
        draw(figure.add_subplot(), drawn)
        figure.savefig(text, format="svg", transparent=True)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg).replace("xlink:href", "href")
    # Names of groups, which nothing refers to and which each drawing has anew.
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    return Markup(svg.replace("<svg", f'<svg role="img" aria-label="{name}"', 1))
