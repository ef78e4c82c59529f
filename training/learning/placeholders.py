"""The placeholder models, so that the service answers before any real training.

NBO is 10 -> 32 -> 16 -> 8 softmax, churn 10 -> 32 -> 16 -> 1 sigmoid. Both are real networks in the real format; only
their customers are generated.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.customers.table import DEFAULT_FEATURES, model_matrix
from loyalty_ml.models.card import DEFAULT_OFFERS, ActiveRule, Card, Offer, Training, new_version
from loyalty_ml.models.domain import DEFAULT_DOMAINS
from training.errors import Problem
from training.learning.baseline import median_customer
from training.learning.distribution import distribution
from training.learning.metrics import auc, log_loss
from training.learning.placeholder_data import generate_customers
from training.registry import model_set
from training.registry.model_set import TrainedModel

if TYPE_CHECKING:
    import keras

LEARNT, HELD_OUT = 4000, 1000
EPOCHS = 20

ACTIVE = ActiveRule(feature="days_since_last", days=90)
OFFERS = tuple(offer.model_copy(update={"evidence": "learnt"}) for offer in DEFAULT_OFFERS)
"""All of them were learnt, from generated customers: `placeholder` is the warning."""

Answers = NDArray[np.float32]
Labels = NDArray[Any]


def write_placeholders(directory: Path, seed: int) -> None:
    """Trains both models into the folder and makes them the active ones there. Raises Problem, and as create_models."""
    try:
        model_set.check_writable(directory, ("churn", "nbo"))
    except OSError as error:
        raise Problem(
            f"cannot write to {error.filename or directory} ({error.strerror}): choose another directory with --out."
        ) from error
    created = datetime.now(UTC).replace(microsecond=0)
    models = create_models(seed, created)
    model_set.write_model_set(directory, models, created)
    _report(directory, models)


def create_models(seed: int, created: datetime) -> list[TrainedModel]:
    """Trains both models and checks them as they will be served.

    Raises Refused for a model that must not be served, ImportError where there is no TensorFlow.
    """
    print("Loading TensorFlow ...", flush=True)
    from training.learning import networks  # noqa: PLC0415  it takes seconds, which --help and a mistyped --out need not wait for

    networks.reproducible(seed)
    customers = generate_customers(LEARNT + HELD_OUT, seed)
    features = customers.features

    def trained(
        name: str,
        network: "keras.Model",
        labels: Labels,
        *,
        output: Literal["churn_probability", "offer_probabilities"],
        offers: tuple[Offer, ...] = (),
        active: ActiveRule | None = None,
        measure: Callable[[Answers, Labels], dict[str, float]],
    ) -> TrainedModel:
        print(f"Training {name} on {LEARNT:,} generated customers ...", flush=True)
        networks.train(network, features[:LEARNT], labels[:LEARNT], EPOCHS)
        model = networks.to_tflite(network)
        serving = model_set.serving_network(name, model, features.shape[1], network.output_shape[-1])
        unseen = model_matrix(features[LEARNT:])
        answers = serving(unseen)
        model_set.check_answers(name, answers, network.predict_on_batch(unseen))
        card = Card(
            name=name,
            version=new_version(created, model),
            created=created,
            placeholder=True,
            features=DEFAULT_FEATURES,
            domains={feature: DEFAULT_DOMAINS[feature] for feature in DEFAULT_FEATURES},
            output=output,
            offers=offers,
            training=Training(data=f"generated customers, not real ones (seed {seed})", rows=LEARNT),
            metrics=measure(answers, labels[LEARNT:]),
            active=active,
            distribution=distribution(name, serving, DEFAULT_FEATURES, features[:LEARNT], seed=seed),
            baseline=median_customer(
                DEFAULT_FEATURES,
                features[:LEARNT],
                features[:LEARNT, DEFAULT_FEATURES.index(ACTIVE.feature)],
                ACTIVE.days,
            ),
            golden=model_set.golden(name, serving, features[LEARNT:]),
            file=model_set.model_file(model),
            op_versions=networks.op_versions(model),
        )
        return TrainedModel(card, model)

    churn = networks.churn_network(features[:LEARNT])
    nbo = networks.offer_network(features[:LEARNT], len(DEFAULT_OFFERS))
    return [
        trained("churn", churn, customers.churned, output="churn_probability", active=ACTIVE, measure=_churn_metrics),
        trained(
            "nbo",
            nbo,
            customers.accepted,
            output="offer_probabilities",
            offers=OFFERS,
            measure=_offer_metrics,
        ),
    ]


def _churn_metrics(probability: Answers, churned: NDArray[np.bool_]) -> dict[str, float]:
    return {
        "auc": auc(churned, probability[:, 0]),
        "log_loss": log_loss(churned.astype(np.int64), np.hstack([1 - probability, probability])),
        "churned_share": float(churned.mean()),
    }


def _offer_metrics(probabilities: Answers, accepted: NDArray[np.int64]) -> dict[str, float]:
    recommended = probabilities.argmax(axis=1)
    return {
        "accuracy": float((recommended == accepted).mean()),
        "log_loss": log_loss(accepted, probabilities),
        "most_accepted_offer_share": float(np.max(np.bincount(accepted)) / len(accepted)),
        "most_recommended_offer_share": float(np.max(np.bincount(recommended)) / len(recommended)),
    }


def _report(directory: Path, models: list[TrainedModel]) -> None:
    for card, model in models:
        metric, value = next(iter(card.metrics.items()))
        path = model_set.model_path(directory, card)
        print(f"{path}  {len(model) / 1000:.1f} kB  {metric} {value:.3f} on held-out generated customers")
    print(
        "These are PLACEHOLDERS, trained on generated data: they show the service at work and say nothing about your\n"
        "customers. Train on your own before you act on an answer."
    )
