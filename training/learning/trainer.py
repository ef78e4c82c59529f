"""One model: trained, measured, held to every gate, and described by its card."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.customers.table import model_matrix
from loyalty_ml.models.card import Card, Training, new_version
from loyalty_ml.models.store import LoadedModel
from training.config import Config
from training.learning import gates
from training.learning.contenders import Kind
from training.learning.distribution import distribution
from training.learning.evaluation import evaluate
from training.learning.figures import Evaluation
from training.learning.gates import Gate
from training.registry import model_set
from training.registry.model_set import TrainedModel
from training.warehouse.definitions import definitions_of
from training.warehouse.examples import Examples
from training.warehouse.lineage import Origin

OBJECTIVES: dict[Kind, str] = {
    "churn": "the probability of churn, over all customers",
    "conversion": "the conversion probability of each offer, over all exposures, converted or not",
    "choice": "which offer is taken (softmax), over converted exposures",
}
OUTPUTS: dict[str, Literal["churn_probability", "offer_probabilities"]] = {
    "churn": "churn_probability",
    "nbo": "offer_probabilities",
}


@dataclass(frozen=True, slots=True)
class Job:
    """What there is to learn of one model, and what it is called; `origins` says where each feature comes from."""

    name: str
    data: str
    examples: Examples
    origins: Mapping[str, Origin]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A trained model with all that is known of it; `passed` where no gate is against it, or it was forced."""

    job: Job
    model: TrainedModel
    evaluation: Evaluation
    gates: Sequence[Gate]

    @property
    def failed(self) -> list[Gate]:
        return [gate for gate in self.gates if not gate.passed]


def train(
    job: Job, settings: Config, active: Mapping[str, LoadedModel], created: datetime, force: str | None
) -> Outcome:
    """Trains and measures one model and holds it to every gate.

    Raises Problem where it cannot be measured, manifest.Refused where the functions could not load it.
    """
    from training.learning import networks  # noqa: PLC0415  TensorFlow takes seconds, which --help need not wait for

    examples, name = job.examples, job.name
    evaluation = evaluate(examples, settings.evaluation, settings.seed)
    model = networks.to_tflite(evaluation.network)
    outputs = evaluation.network.output_shape[-1]
    serving = model_set.serving_network(name, model, examples.features.shape[1], outputs)
    unseen = examples.where(evaluation.held_out)
    served = serving(model_matrix(unseen.features))
    op_versions = networks.op_versions(model)
    golden = model_set.golden(name, serving, unseen.features)
    learnt_from = distribution(name, serving, examples.names, examples.features[evaluation.learnt])
    checks = [
        *gates.of_data(examples, settings.gates),
        *gates.of_quality(evaluation, settings.gates),
        gates.of_refusal(
            "served as trained",
            f"TFLite and Keras agree within {model_set.SAME_ANSWER:g} on {len(unseen):,} held-out examples, and the "
            "answers differ from one customer to the next.",
            lambda: model_set.check_answers(name, served, networks.answers(evaluation.network, unseen.features)),
        ),
        gates.of_operations(op_versions),
    ]
    beside = _beside_active(job, active, evaluation, served, settings)
    if beside is not None:
        checks.append(beside)
    # Only that it is worse than today's can be overruled: the other gates say that it is no good at all.
    overruled = force if [gate for gate in checks if not gate.passed] == [beside] else None
    card = Card(
        name=name,
        version=new_version(created, model),
        created=created,
        placeholder=False,
        features=examples.names,
        feature_definitions=definitions_of(settings, examples.names),
        output=OUTPUTS[name],
        thresholds=settings.thresholds,
        offers=examples.catalogue,
        training=_learnt_from(job, evaluation),
        metrics=evaluation.summary(),
        evaluation={**evaluation.as_json(), "gates": [gate._asdict() for gate in checks]},
        forced=overruled,
        distribution=learnt_from,
        golden=golden,
        file=model_set.model_file(model),
        op_versions=op_versions,
    )
    return Outcome(job, TrainedModel(card, model), evaluation, checks)


def _learnt_from(job: Job, evaluation: Evaluation) -> Training:
    moments = job.examples.moments
    return Training(
        data=job.data,
        rows=int(evaluation.learnt.sum()),
        start=_utc(np.min(moments)),
        end=_utc(np.max(moments)) + timedelta(days=job.examples.horizon_days or 0),
        objective=OBJECTIVES[evaluation.kind],
    )


def _beside_active(
    job: Job, active: Mapping[str, LoadedModel], evaluation: Evaluation, served: NDArray[np.float32], settings: Config
) -> Gate | None:
    """None where there is no active model, or none that was trained: a placeholder is nobody's measure."""
    current = active.get(job.name)
    if current is None or current.card.placeholder:
        return None
    unseen = job.examples.where(evaluation.held_out)
    unknown = set(current.card.features) - set(unseen.names)
    if unknown:
        return Gate(
            gates.BESIDE_ACTIVE,
            passed=False,
            sentence=f"The active {current.card.version} wants {', '.join(sorted(unknown))}, which these examples "
            "lack: the two cannot be compared.",
        )
    columns = [unseen.names.index(feature) for feature in current.card.features]
    theirs = current.network(model_matrix(unseen.features[:, columns]))
    if evaluation.kind == "churn":
        return gates.against_active(
            current.card.version, evaluation.kind, unseen, ours=served, theirs=theirs, gates=settings.gates
        )
    return gates.against_active_on_common_offers(
        current.card.version,
        evaluation.kind,
        unseen,
        current.card.offers,
        ours=served,
        theirs=theirs,
        gates=settings.gates,
    )


def _utc(moment: np.datetime64) -> datetime:
    found: datetime = moment.astype("datetime64[us]").item()
    return found.replace(tzinfo=UTC)
