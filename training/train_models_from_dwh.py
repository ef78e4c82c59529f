"""python -m training.train_models_from_dwh: from the company's warehouse to a measured model set.

Churn and next best offer are trained, measured beside their baselines on customers that they have not seen, and held to
every gate; RFM cut points are those of the whole base. Only a set that passes is written, and with --publish goes live.
"""

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import boto3
import numpy as np
from numpy.typing import NDArray

from loyalty_ml import rfm
from loyalty_ml.features import model_matrix
from loyalty_ml.manifest import Card, RfmCutPoints, Training, new_version
from loyalty_ml.model_store import LoadedModel
from training import config, datasets, gates, model_set, registry, report
from training.active_models import active_in_bucket, active_in_folder
from training.baselines import check_lightgbm
from training.commands import Problem, run
from training.config import Config
from training.contenders import Kind
from training.cut_points import rfm_cut_points
from training.distribution import distribution
from training.evaluation import Evaluation, evaluate
from training.examples import Examples
from training.gates import Gate
from training.model_set import TrainedModel
from training.warehouse import DEMO_URL, URL_VARIABLE, Warehouse, connect

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
    """What there is to learn of one model, and what it is called."""

    name: str
    data: str
    examples: Examples


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


def main(arguments: list[str] | None = None) -> int:
    options = _arguments(arguments)
    return run(
        "train_models_from_dwh",
        lambda: _work(options),
        f"the models in {options.out} are as they were.",
        f"the bucket {options.bucket}" if options.bucket else "",
    )


def _work(options: argparse.Namespace) -> None:
    started = time.perf_counter()
    check_lightgbm()
    settings = config.load(options.config)
    s3 = boto3.client("s3") if options.bucket else None
    active = active_in_bucket(s3, options.bucket) if s3 else active_in_folder(options.out)
    model_set.check_writable(options.out, options.only or OUTPUTS)
    with connect(options.warehouse, settings) as warehouse:
        jobs = _read(warehouse, options.only)
        cut_points = _cut_points(warehouse)
    _check_data(jobs, settings)
    created = datetime.now(UTC).replace(microsecond=0)
    outcomes = [train(job, settings, active, created, options.force) for job in jobs]
    print()
    for outcome in outcomes:
        _say_gates(outcome)
    failed = [outcome for outcome in outcomes if outcome.failed and not outcome.model.card.forced]
    if failed:
        raise Problem(f"nothing was written: {_refusals(failed)}. Why is in {_write_refused(options.out, outcomes)}/.")
    for outcome in outcomes:
        _write_report(model_set.model_path(options.out, outcome.model.card).with_name("report.html"), outcome)
    model_set.write_model_set(options.out, [outcome.model for outcome in outcomes], created, cut_points)
    for outcome in outcomes:
        print(f"Written: {model_set.model_path(options.out, outcome.model.card).parent}/ (model, card, report.html)")
    print(f"Done in {time.perf_counter() - started:.0f} s.")
    if s3 and options.publish:
        print(registry.describe(registry.publish(s3, options.bucket, options.out), options.bucket))


def _refusals(failed: Sequence[Outcome]) -> str:
    return "; ".join(f"{one.job.name} failed {', '.join(gate.name for gate in one.failed)}" for one in failed)


def _write_refused(out: Path, outcomes: Sequence[Outcome]) -> Path:
    """The reports of a set that is not written: where to look for what is wrong with it."""
    folder = out / "refused"
    for outcome in outcomes:
        _write_report(folder / f"{outcome.job.name}-{outcome.model.card.version}.html", outcome)
    return folder


def _read(warehouse: Warehouse, only: Sequence[str] | None) -> list[Job]:
    tables = warehouse.config.tables
    where = f"of a {warehouse.backend.name} warehouse"
    jobs = []
    if not only or "churn" in only:
        print("Reading churn examples ...", flush=True)
        source = tables.churn or tables.transactions
        jobs.append(Job("churn", f"{source} {where}", datasets.churn_examples(warehouse)))
    if not only or "nbo" in only:
        print("Reading offer examples ...", flush=True)
        examples = datasets.offer_examples(warehouse)
        if examples is not None:
            jobs.append(Job("nbo", f"{tables.offers} {where}", examples))
        elif only:
            raise Problem("There is no offers table in the configuration: name it under [tables] to train nbo.")
        else:
            print("There is no offers table in the configuration: nbo is not trained.")
    for job in jobs:
        left_out = "".join(f"; left out, {reason}: {count:,}" for reason, count in job.examples.left_out.items())
        print(f"  {job.name}: {len(job.examples):,} examples, {job.examples.happened.mean():.1%} positive{left_out}")
    return jobs


def _cut_points(warehouse: Warehouse) -> RfmCutPoints:
    """Over the whole customer base as it is now, less those without one of the three values."""
    current = datasets.current_features(warehouse)
    missing = set(rfm.FEATURES) - set(current.names)
    if missing:
        raise Problem(f"RFM needs {', '.join(sorted(missing))}: map them under [features].")
    values = datasets.matrix(warehouse, current.table, rfm.FEATURES)
    known = values[np.isfinite(values).all(axis=1)]
    if not len(known):
        raise Problem("No customer has all that RFM needs: " + ", ".join(rfm.FEATURES) + ".")
    print(f"  RFM cut points of {len(known):,} customers as of {current.as_of:%Y-%m-%d}")
    return rfm_cut_points(known, f"{current.as_of:%Y%m%dT%H%M%SZ}-{len(known)}")


def _check_data(jobs: Sequence[Job], settings: Config) -> None:
    for job in jobs:
        failed = [gate.sentence for gate in gates.of_data(job.examples, settings.gates) if not gate.passed]
        if failed:
            raise Problem(
                f"{job.name} cannot be trained: {' '.join(failed)} Lower the bars under [gates], or get more."
            )


def train(
    job: Job, settings: Config, active: Mapping[str, LoadedModel], created: datetime, force: str | None
) -> Outcome:
    """Trains and measures one model and holds it to every gate.

    Raises Problem where it cannot be measured, manifest.Refused where the functions could not load it.
    """
    from training import networks  # noqa: PLC0415  TensorFlow takes seconds, which --help need not wait for

    examples, name = job.examples, job.name
    evaluation = evaluate(examples, settings.evaluation, settings.seed, len(settings.offers))
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
        output=OUTPUTS[name],
        thresholds=settings.thresholds,
        offers=settings.offers if name == "nbo" else (),
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
    name = "not worse than the active version"
    current = active.get(job.name)
    if current is None or current.card.placeholder:
        return None
    unseen = job.examples.where(evaluation.held_out)
    unknown = set(current.card.features) - set(unseen.names)
    if unknown:
        return Gate(
            name,
            passed=False,
            sentence=f"The active {current.card.version} wants {', '.join(sorted(unknown))}, which these examples "
            "lack: the two cannot be compared.",
        )
    columns = [unseen.names.index(feature) for feature in current.card.features]
    theirs = current.network(model_matrix(unseen.features[:, columns]))
    return gates.against_active(
        current.card.version, evaluation.kind, unseen, ours=served, theirs=theirs, gates=settings.gates
    )


def _say_gates(outcome: Outcome) -> None:
    print(f"{outcome.job.name} {outcome.model.card.version}:")
    for gate in outcome.gates:
        print(f"  {'passed' if gate.passed else 'FAILED'}  {gate.name}: {gate.sentence}")
    if outcome.model.card.forced:
        print(f"  Forced all the same: {outcome.model.card.forced}")


def _write_report(path: Path, outcome: Outcome) -> None:
    card = outcome.model.card
    path.parent.mkdir(parents=True, exist_ok=True)
    report.write_report(
        path,
        version=card.version,
        created=card.created,
        data=outcome.job.data,
        examples=outcome.job.examples,
        evaluation=outcome.evaluation,
        gates=outcome.gates,
        caveats=[f"Written although it failed a gate: {card.forced}"] if card.forced else [],
        offers=card.offers,
    )


def _utc(moment: np.datetime64) -> datetime:
    found: datetime = moment.astype("datetime64[us]").item()
    return found.replace(tzinfo=UTC)


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m training.train_models_from_dwh",
        description="Trains churn and next best offer on the warehouse, measures them beside honest baselines on "
        "customers that they have not seen, and writes them with cards, reports and RFM cut points if they pass every "
        "gate. The configuration says where the warehouse keeps what, and sets the gates' bars.",
        epilog="Example: python -m training.train_models_from_dwh --warehouse postgresql://reader@dwh/crm "
        "--config our-warehouse.toml --publish --bucket our-models",
    )
    parser.add_argument(
        "--warehouse",
        default=os.environ.get(URL_VARIABLE, DEMO_URL),
        metavar="URL",
        help=f"duckdb://FILE, postgresql://..., any that Ibis speaks (default: {URL_VARIABLE}, else {DEMO_URL})",
    )
    parser.add_argument(
        "--config", type=Path, default=config.DEFAULT_CONFIG, metavar="FILE", help="default: training/warehouse.toml"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("models"), metavar="DIR", help="where the model set goes (default: models)"
    )
    parser.add_argument("--only", nargs="+", choices=sorted(OUTPUTS), help="train these; the others stay as they are")
    parser.add_argument(
        "--force", metavar="REASON", help="write a model that is worse than the active one; its card keeps the reason"
    )
    parser.add_argument("--publish", action="store_true", help="make the set the active one in --bucket")
    parser.add_argument("--bucket", help="the model bucket: to publish to, and to compare with what is active there")
    options = parser.parse_args(arguments)
    if options.publish and not options.bucket:
        parser.error("--publish needs --bucket, the model bucket")
    if options.force is not None and not options.force.strip():
        parser.error("--force needs a reason")
    return options


if __name__ == "__main__":
    sys.exit(main())
