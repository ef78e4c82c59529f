"""From the company's warehouse to a measured model set.

Churn and next best offer are trained, measured beside their baselines on customers that they have not seen, and held to
every gate; RFM cut points are those of the whole base. Each model stands alone: one that passes is written, and
published, whatever becomes of the other.
"""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from loyalty_ml.customers.snapshot import SnapshotCard
from loyalty_ml.models.catalogue import listed
from loyalty_ml.models.document import Refused
from loyalty_ml.models.manifest import RfmCutPoints
from loyalty_ml.models.store import LoadedModel
from loyalty_ml.registry.bucket import ModelBucket
from training import registry
from training.config import Config, Reasons
from training.errors import Problem
from training.learning import report
from training.learning.baseline import median_customer
from training.learning.cut_points import rfm_cut_points
from training.learning.gates import Gate
from training.learning.recommendation import advice_of_data
from training.learning.trainer import OUTPUTS, Job, Outcome, of_data, train
from training.registry import model_set
from training.registry.active_models import active_in_bucket, active_in_folder
from training.registry.inputs import ModelInputs, check_snapshot, inputs_of_cut_points
from training.warehouse import lineage, queries
from training.warehouse.catalogue import never_shown
from training.warehouse.comparison import check_recomputed, compare
from training.warehouse.connection import Warehouse, connect
from training.warehouse.definitions import definitions_of
from training.warehouse.domains import inside_domains
from training.warehouse.examples import Examples, NothingToLearn


def train_from_warehouse(
    url: str,
    settings: Config,
    out: Path,
    *,
    only: Sequence[str] = (),
    force: str | None = None,
    bucket: ModelBucket | None = None,
    publish: bool = False,
    snapshot: SnapshotCard | None = None,
) -> None:
    """Trains what the warehouse has examples of, and writes into `out` the models that pass every gate.

    url:     the warehouse's, as warehouse.connect takes it.
    only:    the models to train; all if there are none. The others stay as they are.
    force:   why a model is written that is worse than the active one, or published although the snapshot lacks what
             it reads.
    bucket:  the new models are measured beside those that are active in it; without it, beside those in `out`.
    publish: whether what was written becomes active in `bucket`.
    snapshot: the current one, which must have what the models read before they are published.

    Raises Problem if a model failed a gate, also if another was written, Refused if the functions could not load a
    model, OSError, botocore's errors.
    """
    started = time.perf_counter()
    active = active_in_bucket(bucket) if bucket else active_in_folder(out)
    model_set.check_writable(out, only or OUTPUTS)
    with connect(url, settings, tell=_say_indented) as warehouse:
        jobs, refused = _read(warehouse, only)
        cut_points = _cut_points(warehouse)
    defined = definitions_of(settings, cut_points.features)
    domains = settings.domains_of(cut_points.features)
    cut_points = cut_points.model_copy(update={"feature_definitions": defined, "domains": domains})
    if publish and snapshot:  # now, not after the training
        check_snapshot(_inputs(jobs, cut_points, settings), snapshot, force)
    created = datetime.now(UTC).replace(microsecond=0)
    outcomes = _train_each(jobs, settings, active, created=created, force=force, refused=refused)
    print()
    for outcome in outcomes:
        _say_gates(outcome)
    refused |= {one.job.name: _why(one) for one in outcomes if not one.may_be_written}
    passed = [outcome for outcome in outcomes if outcome.may_be_written]
    folder = _write_refused(out, [one for one in outcomes if not one.may_be_written], settings)
    if not passed:
        raise Problem(f"nothing was written: {_refusals(refused)}. {_where(folder)}")
    for outcome in passed:
        _write_report(model_set.model_path(out, outcome.model.card).with_name("report.html"), outcome, settings)
    advice = _advice(jobs, outcomes, settings)
    model_set.write_model_set(out, [outcome.model for outcome in passed], created, cut_points, advice)
    for outcome in passed:
        print(f"Written: {model_set.model_path(out, outcome.model.card).parent}/ (model, card, report.html)")
    print(f"Done in {time.perf_counter() - started:.0f} s.")
    if bucket and publish:
        change = registry.publish(bucket.s3, bucket.name, out, snapshot=snapshot, force=force)
        print(registry.describe(change, bucket.name))
    if refused:
        done = "written and published" if bucket and publish else "written"
        names = " and ".join(outcome.job.name for outcome in passed)
        raise Problem(
            f"{names} and the RFM cut points were {done}, but not {' and '.join(refused)}, which stays as it was: "
            f"{_refusals(refused)}. {_where(folder)}"
        )


def _train_each(
    jobs: Sequence[Job],
    settings: Config,
    active: Mapping[str, LoadedModel],
    *,
    created: datetime,
    force: str | None,
    refused: dict[str, str],
) -> list[Outcome]:
    """Each model alone: those that were trained. Why another could not be goes into `refused`, a clause by its name."""
    outcomes = []
    for job in jobs:
        failed = [gate.sentence for gate in of_data(job, settings) if not gate.passed]
        if failed:
            refused[job.name] = f"cannot be trained: {' '.join(failed).removesuffix('.')}"
            continue
        try:
            outcomes.append(train(job, settings, active, created, force))
        except (Problem, Refused) as problem:
            refused[job.name] = f"cannot be trained: {str(problem).removesuffix('.')}"
    return outcomes


def _advice(jobs: Sequence[Job], outcomes: Sequence[Outcome], settings: Config) -> dict[str, str]:
    """By model that is not written, what to do in its place, where that is known."""
    trained = {one.job.name: one.advice for one in outcomes}
    advice = {job.name: trained.get(job.name, advice_of_data(job.examples, settings)) for job in jobs}
    return {name: text for name, text in advice.items() if text}


def _inputs(jobs: Sequence[Job], cut_points: RfmCutPoints, settings: Config) -> list[ModelInputs]:
    names = {f"the new {job.name}": job.examples.names for job in jobs}
    models = [
        ModelInputs(name, features, definitions_of(settings, features), settings.domains_of(features))
        for name, features in names.items()
    ]
    return [*models, inputs_of_cut_points(cut_points)]


def _refusals(refused: Mapping[str, str]) -> str:
    return "; ".join(f"{name} {why}" for name, why in refused.items())


def _why(outcome: Outcome) -> str:
    """Why it is not written, and what to do in its place, a clause."""
    instead = f". {outcome.advice.removesuffix('.')}" if outcome.advice else ""
    return f"failed {_names(outcome.failed)}{instead}"


def _names(failed: Sequence[Gate]) -> str:
    return ", ".join(gate.name for gate in failed)


def _where(folder: Path | None) -> str:
    return (
        f"What was measured and what to do is above, and in {folder}/." if folder else "Correct that, and train again."
    )


def _write_refused(out: Path, refused: Sequence[Outcome], settings: Config) -> Path | None:
    """The reports of models that are not written: where to look for what is wrong with them. None if there are none."""
    folder = out / "refused"
    for outcome in refused:
        _write_report(folder / f"{outcome.job.name}-{outcome.model.card.version}.html", outcome, settings)
    return folder if refused else None


def _read(warehouse: Warehouse, only: Sequence[str]) -> tuple[list[Job], dict[str, str]]:
    """What there is to learn of each model, and of which there is nothing to learn, why, a clause by its name.

    Raises Problem if there is nothing to learn at all, or the configuration or the data is to be corrected first.
    """
    if told := queries.features_left_out(warehouse):
        print(f"  {told}")
    jobs, refused = [], dict[str, str]()
    for name, read in {"churn": _churn, "nbo": _offers}.items():
        if only and name not in only:
            continue
        try:
            job = read(warehouse)
        except NothingToLearn as problem:
            refused[name] = f"cannot be trained: {str(problem).removesuffix('.')}"
            print(f"  {name} {refused[name]}.")
            continue
        if job is not None:
            jobs.append(job)
        elif only:
            raise Problem("There is no offers table in the configuration: name it as [tables] offers to train nbo.")
        else:
            print("There is no offers table ([tables] offers): nbo is not trained.")
    if not jobs:
        raise Problem(f"nothing was written: {_refusals(refused)}.")
    for job in jobs:
        left_out = "".join(f"; left out, {reason}: {count:,}" for reason, count in job.examples.left_out.items())
        print(f"  {job.name}: {len(job.examples):,} examples, {job.examples.happened.mean():.1%} positive{left_out}")
        for line in lineage.lines(job.origins):
            print(f"    features are {line}")
        for sentence in _about_offers(warehouse.config, job.examples):
            print(f"  {sentence}")
    _say_view(warehouse)
    return jobs, refused


def _churn(warehouse: Warehouse) -> Job:
    print("Reading churn examples ...", flush=True)
    check_recomputed(warehouse, "churn", _say_indented)
    tables, examples = warehouse.config.tables, queries.churn_examples(warehouse)
    data = f"{tables.churn or tables.transactions} of a {warehouse.backend.name} warehouse"
    origins = lineage.lineage(warehouse, "churn", examples.names)
    return Job("churn", data, examples, queries.base(warehouse, examples.names), origins)


def _offers(warehouse: Warehouse) -> Job | None:
    """None where the configuration names no such table."""
    print("Reading offer examples ...", flush=True)
    check_recomputed(warehouse, "offers", _say_indented)
    examples = queries.offer_examples(warehouse)
    if examples is None:
        return None
    data = f"{warehouse.config.tables.offers} of a {warehouse.backend.name} warehouse"
    origins = lineage.lineage(warehouse, "offers", examples.names)
    return Job("nbo", data, examples, queries.base(warehouse, examples.names), origins)


def _say_view(warehouse: Warehouse) -> None:
    """Where the features view and what transactions give disagree, for a sample; nothing if there are not both."""
    compared = compare(warehouse, "features")
    for line in compared.lines() if compared else []:
        _say_indented(line)


def _say_indented(line: str) -> None:
    print(f"  {line}", flush=True)


def _about_offers(settings: Config, examples: Examples) -> list[str]:
    """Which offers these are, and of which nothing can be learnt; nothing for examples of churn."""
    if examples.offers is None:
        return []
    sentences = [f"{len(examples.catalogue)} offers: {listed(examples.catalogue)}."]
    if not settings.offers:
        sentences.append("There are no [[offers]] in the configuration: the codes in the table are the offers' names.")
    missing = never_shown(examples.offers, examples.catalogue)
    return [*sentences, *([missing] if missing else [])]


def _cut_points(warehouse: Warehouse) -> RfmCutPoints:
    """Over the whole customer base as it is now, less those without one of the three values, or outside its domain."""
    current = queries.current_features(warehouse)
    names = queries.rfm_features(warehouse.config, current.names)
    values = queries.matrix(warehouse, current.table, names)
    known = values[np.isfinite(values).all(axis=1)]
    inside = inside_domains(names, known, warehouse.config.domains_of(names))
    for reason, count in inside.left_out.items():
        print(f"  {count:,} customers are left out of the RFM cut points: {reason}", flush=True)
    known = known[inside.rows]
    if not len(known):
        source = warehouse.config.tables.features or warehouse.config.tables.transactions
        raise Problem(
            f"No customer has all that RFM needs, {', '.join(names)}: complete the data of {source}, or map other "
            "columns under [features]."
        )
    print(f"  RFM cut points of {len(known):,} customers as of {current.newest:%Y-%m-%d}, over {', '.join(names)}")
    if names == queries.YEAR_RFM_FEATURES:
        print(
            "  RFM is over a year: the features table has no lifetime_transaction_count and lifetime_value. Add them, "
            "or name the transactions under [tables]."
        )
    # Recency is the first of the three, in days since the last purchase.
    active_days = warehouse.config.windows.days_of_the_active
    reasons = Reasons(words=warehouse.config.reasons.words)
    baseline = median_customer(names, known, known[:, 0], active_days, reasons=reasons)
    return rfm_cut_points(known, names, f"{current.newest:%Y%m%dT%H%M%SZ}-{len(known)}", baseline)


def _say_gates(outcome: Outcome) -> None:
    print(f"{outcome.job.name} {outcome.model.card.version}:")
    for gate in outcome.gates:
        print(f"  {'passed' if gate.passed else 'FAILED'}  {gate.name}: {gate.sentence}")
    if outcome.model.card.forced:
        print(f"  Forced all the same: {outcome.model.card.forced}")
    for sentence in outcome.worth:
        print(f"  {sentence}")


def _write_report(path: Path, outcome: Outcome, settings: Config) -> None:
    card = outcome.model.card
    path.parent.mkdir(parents=True, exist_ok=True)
    report.write_report(
        path,
        version=card.version,
        created=card.created,
        data=outcome.job.data,
        examples=outcome.job.examples,
        sources={name: str(origin) for name, origin in outcome.job.origins.items()},
        evaluation=outcome.evaluation,
        gates=outcome.gates,
        recommendation=outcome.recommendation,
        churn_quality=card.churn_quality,
        caveats=[
            *([f"Written although it failed a gate: {card.forced}"] if card.forced else []),
            *_about_offers(settings, outcome.job.examples)[1:],
            *(outcome.recommendation.evidence.sentences() if outcome.recommendation else []),
        ],
    )
