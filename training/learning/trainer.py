"""One model: trained, measured, held to every gate, and described by its card."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.customers.table import model_matrix
from loyalty_ml.models.card import ActiveRule, Card, Thresholds, Training, new_version
from loyalty_ml.models.interpreter import Network
from loyalty_ml.models.quality import ChurnQuality
from loyalty_ml.models.store import LoadedModel
from training.config import Config
from training.learning import bands, beside_active, gates, recommendation
from training.learning.baseline import median_customer
from training.learning.contenders import Kind
from training.learning.distribution import of_base
from training.learning.evaluation import active_rows, evaluate
from training.learning.figures import Evaluation
from training.learning.gates import Gate
from training.learning.quality import churn_quality
from training.learning.recommendation import Recommendation
from training.registry import model_set
from training.registry.model_set import TrainedModel
from training.warehouse.definitions import definitions_of
from training.warehouse.examples import Base, Examples
from training.warehouse.features import DAYS_SINCE_LAST
from training.warehouse.lineage import Origin

OBJECTIVES: dict[Kind, str] = {
    "churn": "the probability of churn, over active customers",
    "conversion": "the conversion probability of each offer, over all exposures, converted or not",
    "choice": "which offer is taken (softmax), over converted exposures",
}
OUTPUTS: dict[str, Literal["churn_probability", "offer_probabilities"]] = {
    "churn": "churn_probability",
    "nbo": "offer_probabilities",
}


@dataclass(frozen=True, slots=True)
class Job:
    """What there is to learn of one model, and what it is called.

    base:    everyone as they are now, with the model's features: those it will be asked about.
    origins: where each feature comes from.
    """

    name: str
    data: str
    examples: Examples
    base: Base
    origins: Mapping[str, Origin]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A trained model with all that is known of it; `written` if no gate is against it, or it was forced.

    recommendation: of an offer model.
    """

    job: Job
    model: TrainedModel
    evaluation: Evaluation
    gates: Sequence[Gate]
    recommendation: Recommendation | None = None

    @property
    def advice(self) -> str | None:
        """What to do in place of the model that is not written, a sentence; None if there is nothing to advise."""
        return None if self.may_be_written or self.recommendation is None else self.recommendation.advice

    @property
    def worth(self) -> list[str]:
        """What a marketer reads first, in sentences; nothing where that was not measured."""
        churn, offers = self.model.card.churn_quality, self.model.card.offer_quality
        return [*(one.sentence for one in churn.lists)] if churn else [offers.sentence] if offers else []

    @property
    def failed(self) -> list[Gate]:
        return [gate for gate in self.gates if not gate.passed]

    @property
    def may_be_written(self) -> bool:
        return not self.failed or self.model.card.forced is not None


def train(
    job: Job, settings: Config, active: Mapping[str, LoadedModel], created: datetime, force: str | None
) -> Outcome:
    """Trains and measures one model and holds it to every gate.

    Raises Problem where it cannot be measured, manifest.Refused where the functions could not load it.
    """
    from training.learning import networks  # noqa: PLC0415  TensorFlow takes seconds, which --help need not wait for

    examples, name, rule = job.examples, job.name, _rule(job, settings)
    days = rule.days if rule else None
    reads = tuple(dict.fromkeys((*examples.names, *([rule.feature] if rule else []))))
    evaluation = evaluate(examples, settings.evaluation, settings.seed, active_days=days)
    model = networks.to_tflite(evaluation.network)
    outputs = evaluation.network.output_shape[-1]
    serving = model_set.serving_network(name, model, examples.features.shape[1], outputs)
    unseen = examples.where(evaluation.held_out)
    served = serving(model_matrix(unseen.features))
    op_versions = networks.op_versions(model)
    golden = model_set.golden(name, serving, unseen.features)
    of_churn = _of_churn(job, evaluation, serving, rule, settings) if rule else _OfChurn()
    of_offers = recommendation.recommendation(examples, evaluation.outcomes, settings) if not rule else None
    offers = of_offers.catalogue(settings.offers) if of_offers else ()
    checks = [
        *gates.of_data(examples, evaluation.active, settings.gates),
        *gates.of_quality(
            evaluation.kind,
            evaluation.measured,
            settings.gates,
            later=evaluation.out_of_time.measured if evaluation.out_of_time else None,
            feature_auc=evaluation.feature_auc,
        ),
        *(of_offers.gates if of_offers else ()),
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
    # Only some can be overruled, such as that it is worse than today's: the others say that it is no good at all.
    failed = [gate for gate in checks if not gate.passed]
    overruled = force if failed and all(gate.forceable for gate in failed) else None
    card = Card(
        name=name,
        version=new_version(created, model),
        created=created,
        placeholder=False,
        features=examples.names,
        feature_definitions=definitions_of(settings, reads),
        domains=settings.domains_of(reads),
        output=OUTPUTS[name],
        thresholds=of_churn.thresholds,
        offers=offers,
        training=_learnt_from(job, evaluation),
        metrics=evaluation.summary(),
        evaluation={
            **evaluation.as_json(),
            **({"recommendation": of_offers.measured.as_json()} if of_offers and of_offers.measured else {}),
            "gates": [gate._asdict() for gate in checks],
        },
        forced=overruled,
        distribution=of_base(name, serving, job.base, settings.seed, offers),
        baseline=median_customer(
            job.base.names,
            job.base.features,
            job.base.days_since_last,
            settings.windows.days_of_the_active,
            reasons=settings.reasons,
            categories=settings.categories,
        ),
        active=rule,
        churn_quality=of_churn.quality,
        offer_quality=of_offers.quality if of_offers else None,
        golden=golden,
        file=model_set.model_file(model),
        op_versions=op_versions,
    )
    return Outcome(job, TrainedModel(card, model), evaluation, checks, of_offers)


def of_data(job: Job, settings: Config) -> list[Gate]:
    """The gates that need no training."""
    rule = _rule(job, settings)
    active = active_rows(job.examples, rule.days if rule else None)
    return [*gates.of_data(job.examples, active, settings.gates), *recommendation.of_data(job.examples, settings)]


class _OfChurn(NamedTuple):
    """What only a churn model has; a card has thresholds whatever it is of."""

    thresholds: Thresholds = Thresholds()
    quality: ChurnQuality | None = None


def _rule(job: Job, settings: Config) -> ActiveRule | None:
    """Who is a customer to lose; None of offers, which anyone may be sent."""
    if job.examples.offers is not None:
        return None
    return ActiveRule(feature=DAYS_SINCE_LAST, days=settings.windows.days_of_the_active)


def _of_churn(job: Job, evaluation: Evaluation, serving: Network, rule: ActiveRule, settings: Config) -> _OfChurn:
    examples, base = job.examples, job.base
    if examples.days_since_last is None:
        raise ValueError("examples of churn say how many days ago each customer last bought")
    thresholds = bands.thresholds(settings.thresholds, _scores_of_active(base, serving, rule))
    learnt = evaluation.learnt
    quality = churn_quality(
        evaluation.outcomes,
        examples.days_since_last[evaluation.outcomes.rows],
        (examples.days_since_last[learnt], examples.happened[learnt]),
        thresholds,
        seed=settings.seed,
    )
    return _OfChurn(thresholds, quality)


def _scores_of_active(base: Base, serving: Network, rule: ActiveRule) -> NDArray[np.float32]:
    """What the served model says of the active customers of now who have all features."""
    if base.days_since_last is None:
        return np.empty(0, np.float32)
    rows = (base.days_since_last <= rule.days) & np.isfinite(base.features).all(axis=1)
    return serving(model_matrix(base.features[rows]))[:, 0]


def _learnt_from(job: Job, evaluation: Evaluation) -> Training:
    moments = job.examples.moments
    return Training(
        data=job.data,
        rows=int(evaluation.learnt.sum()),
        start=_utc(np.min(moments)),
        end=_utc(np.max(moments)) + timedelta(days=job.examples.horizon_days or 0),
        objective=f"{OBJECTIVES[evaluation.kind]}; {evaluation.form}",
    )


def _beside_active(
    job: Job, active: Mapping[str, LoadedModel], evaluation: Evaluation, served: NDArray[np.float32], settings: Config
) -> Gate | None:
    """None where there is no active model, or none that was trained: a placeholder is nobody's measure."""
    current = active.get(job.name)
    if current is None or current.card.placeholder:
        return None
    rows = evaluation.held_out & evaluation.active
    unseen, ours = job.examples.where(rows), served[evaluation.active[evaluation.held_out]]
    unknown = set(current.card.features) - set(unseen.names)
    if unknown:
        return Gate(
            gates.BESIDE_ACTIVE,
            passed=False,
            sentence=f"The active {current.card.version} wants {', '.join(sorted(unknown))}, which these examples "
            f"lack: the two cannot be compared. {gates.REMEDIES[gates.BESIDE_ACTIVE]}",
            forceable=True,
        )
    columns = [unseen.names.index(feature) for feature in current.card.features]
    theirs = current.network(model_matrix(unseen.features[:, columns]))
    if evaluation.kind == "churn":
        return beside_active.against_active(
            current.card.version, evaluation.kind, unseen, ours=ours, theirs=theirs, gates=settings.gates
        )
    return beside_active.against_active_on_common_offers(
        current.card.version,
        evaluation.kind,
        unseen,
        current.card.offers,
        ours=ours,
        theirs=theirs,
        gates=settings.gates,
    )


def _utc(moment: np.datetime64) -> datetime:
    found: datetime = moment.astype("datetime64[us]").item()
    return found.replace(tzinfo=UTC)
