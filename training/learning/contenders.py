"""The network and its baselines, each fitted on the same customers and asked about the same others.

A question is of one kind, which its examples decide:

    churn       will this customer churn?
    conversion  will this customer convert, shown this offer? Where exposures that did not convert are known too
    choice      which offer will this customer take? Where only those taken are known
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.learning import baselines, conversion
from training.learning.baselines import DidNotConverge
from training.learning.held_out import said
from training.learning.progress import FitProgress
from training.warehouse.examples import Examples

Kind = Literal["churn", "conversion", "choice"]
Answers = NDArray[np.floating]

NETWORK = "network"
LABELS = {
    NETWORK: "This model",
    "logistic_regression": "Logistic regression",
    "lightgbm": "LightGBM",
    "bg_nbd": "BG/NBD",
    "base_rate": "The share of all",
    "offer_base_rate": "The offer's base rate",
    "popularity": "The offers' popularity",
}


@dataclass(frozen=True, slots=True)
class Learning:
    """What every contender fits to: examples, of which `stopping`, bool (n,), decide when to stop; of `offers` offers.

    Those that need no stopping learn from all of them.
    lapsed: examples of customers who have lapsed, from which only BG/NBD learns: it is a model of whole cohorts, and
            to know the active alone would mislead it.
    """

    kind: Kind
    examples: Examples
    stopping: NDArray[np.bool_]
    offers: int
    seed: int
    lapsed: Examples | None = None


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted contender.

    answer:  from examples to probabilities: of churn (n,), of converting the shown offer (n,), of each offer (n, k).
    network: the Keras network, where it is one.
    effort:  what fitting took, for people.
    form:    of the network, what its graph is, for people.
    """

    name: str
    answer: Callable[[Examples], Answers]
    effort: str
    network: Any = None
    form: str = ""


class NotFitted(NamedTuple):
    """A contender that could not be fitted, and why, a sentence."""

    name: str
    reason: str


def kind_of(examples: Examples) -> Kind:
    if examples.offers is None:
        return "churn"
    return "choice" if examples.happened.all() else "conversion"


def shown(examples: Examples) -> NDArray[np.int64]:
    """int64 (n,): the offers of examples of offers."""
    if examples.offers is None:
        raise ValueError("examples of churn have no offers")
    return examples.offers


def fit_all(learning: Learning) -> Iterator[Fitted | NotFitted]:
    """The network first, then each baseline that this kind of question has; or why one of them could not be fitted."""
    for name, fit in {NETWORK: fit_network, **_BASELINES[learning.kind]}.items():
        started = time.perf_counter()
        try:
            fitted = fit(learning)
        except DidNotConverge as problem:
            yield NotFitted(name, str(problem))
            continue
        seconds = f"{time.perf_counter() - started:.1f} s"
        yield replace(fitted, effort=", ".join(filter(None, (fitted.effort, seconds))))


def every_offer(fitted: Fitted, asked: Examples, offers: int) -> Answers:
    """float (n, offers): what a contender of conversion says of each offer, whichever was shown."""
    return np.column_stack(
        [fitted.answer(replace(asked, offers=np.full(len(asked), offer, np.int64))) for offer in range(offers)]
    )


def fit_network(learning: Learning) -> Fitted:
    """The network that is published. The same learning gives the same network, whatever was fitted before.

    Of churn, the graph without hidden layers unless these surely help on the stopping rows: on small sets hidden units
    learn luck, and then the line is the better model. Of conversion, see `conversion`.
    """
    from training.learning import networks  # noqa: PLC0415  TensorFlow takes seconds, which --help need not wait for

    networks.reproducible(learning.seed)
    examples, sample = learning.examples, learning.examples.features[~learning.stopping]
    happened = examples.happened
    labels: NDArray[Any]
    loss: Any
    if learning.kind == "churn":
        network = networks.churn_network(sample, float(happened.mean()))
        labels, loss = happened.astype(np.float32), "binary_crossentropy"
    elif learning.kind == "conversion":
        network = networks.conversion_network(
            sample, baselines.offer_base_rate(shown(examples), happened, learning.offers)
        )
        labels = networks.shown_offer_labels(shown(examples), happened, learning.offers)
        loss = networks.shown_offer_loss
    else:
        network = networks.offer_network(
            sample, learning.offers, baselines.offer_popularity(shown(examples), learning.offers)
        )
        labels, loss = shown(examples), "sparse_categorical_crossentropy"
    with FitProgress(f"Fitting {learning.kind}, {len(examples):,} examples", networks.LONGEST) as progress:
        epochs = networks.train_until_best(
            network, examples.features, labels, learning.stopping, loss, on_epoch=progress.epoch
        )

    form, effort = networks.HIDDEN_FORM, f"epoch {epochs} the best"
    if learning.kind == "conversion":
        chosen = conversion.choose(network, examples, learning.stopping, learning.offers)
        network, form, effort = chosen.network, chosen.form, chosen.effort or effort
    if learning.kind == "churn" and _line_is_better(learning, network):
        network = networks.linear_churn_network(examples.features, happened)
        form, effort = networks.LINEAR_FORM, "without hidden layers"

    def answer(asked: Examples) -> Answers:
        probabilities = networks.answers(network, asked.features)
        if learning.kind == "choice":
            return probabilities
        of_interest = 0 if learning.kind == "churn" else shown(asked)
        answers: Answers = probabilities[np.arange(len(asked)), of_interest]
        return answers

    return Fitted(NETWORK, answer, effort, network, form)


def _line_is_better(learning: Learning, network: Any) -> bool:
    """Whether logistic regression on the network's own inputs is as good on the stopping rows, as far as can be told.

    That is unless the network's log-loss is lower by the whole 95 % interval of the difference. It was stopped where it
    is best on these very rows, so where the two are even the line is the better one on others: of 1,500 customers of
    Ta Feng the network was worse than logistic regression, and refused, in 2 of 5 draws if the lower figure decided.
    """
    from training.learning import networks  # noqa: PLC0415

    features, happened, stopping = learning.examples.features, learning.examples.happened, learning.stopping
    line = networks.fit_linear(features[~stopping], happened[~stopping])
    of_line = line.predict_proba(networks.scaled_by(features[~stopping], features[stopping]))[:, 1]
    of_network = networks.answers(network, features[stopping])[:, 0]
    theirs, ours = (said(happened[stopping], probability).surprise for probability in (of_line, of_network))
    better = theirs - ours
    return bool(better.mean() <= 1.96 * better.std() / np.sqrt(len(better)))


def _logistic_regression(learning: Learning) -> Fitted:
    predict = baselines.fit_logistic_regression(_inputs(learning, learning.examples), _outcome(learning))
    if learning.kind != "choice":
        return Fitted("logistic_regression", lambda asked: predict(_inputs(learning, asked))[:, 1], "")
    taken = np.unique(shown(learning.examples))

    def answer(asked: Examples) -> Answers:
        # It knows nothing of an offer that nobody took.
        probabilities = np.zeros((len(asked), learning.offers))
        probabilities[:, taken] = predict(asked.features)
        return probabilities

    return Fitted("logistic_regression", answer, "")


def _lightgbm(learning: Learning) -> Fitted:
    classes = learning.offers if learning.kind == "choice" else 2
    predict = baselines.fit_lightgbm(
        _inputs(learning, learning.examples), _outcome(learning), learning.stopping, learning.seed, classes
    )
    if learning.kind == "choice":
        return Fitted("lightgbm", lambda asked: predict(asked.features), "")
    return Fitted("lightgbm", lambda asked: predict(_inputs(learning, asked))[:, 1], "")


def _bg_nbd(learning: Learning) -> Fitted:
    purchases, horizon = learning.examples.purchases, learning.examples.horizon_days
    if purchases is None or horizon is None:
        raise DidNotConverge("BG/NBD cannot be fitted: it needs transactions.")
    if learning.lapsed is not None and learning.lapsed.purchases is not None:
        purchases = np.concatenate([purchases, learning.lapsed.purchases])
    model = baselines.fit_bg_nbd(purchases)

    def answer(asked: Examples) -> Answers:
        if asked.purchases is None:
            raise ValueError("BG/NBD was fitted to purchases and is asked without")
        return model.no_purchase(asked.purchases, horizon)

    return Fitted("bg_nbd", answer, "")


def _base_rate(learning: Learning) -> Fitted:
    rate = float(learning.examples.happened.mean())
    return Fitted("base_rate", lambda asked: np.full(len(asked), rate), "")


def _offer_base_rate(learning: Learning) -> Fitted:
    rate = baselines.offer_base_rate(shown(learning.examples), learning.examples.happened, learning.offers)
    return Fitted("offer_base_rate", lambda asked: rate[shown(asked)], "")


def _popularity(learning: Learning) -> Fitted:
    popularity = baselines.offer_popularity(shown(learning.examples), learning.offers)
    return Fitted("popularity", lambda asked: np.tile(popularity, (len(asked), 1)), "")


def _inputs(learning: Learning, examples: Examples) -> NDArray[np.float64]:
    if learning.kind != "conversion":
        return examples.features
    return baselines.with_offer(examples.features, shown(examples), learning.offers)


def _outcome(learning: Learning) -> NDArray[Any]:
    return shown(learning.examples) if learning.kind == "choice" else learning.examples.happened


_BASELINES: dict[Kind, dict[str, Callable[[Learning], Fitted]]] = {
    "churn": {
        "logistic_regression": _logistic_regression,
        "lightgbm": _lightgbm,
        "bg_nbd": _bg_nbd,
        "base_rate": _base_rate,
    },
    "conversion": {
        "logistic_regression": _logistic_regression,
        "lightgbm": _lightgbm,
        "offer_base_rate": _offer_base_rate,
    },
    "choice": {"logistic_regression": _logistic_regression, "lightgbm": _lightgbm, "popularity": _popularity},
}
