"""loyalty materialize: every customer's features from the warehouse into both stores."""

import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from datetime import datetime
from pathlib import Path

from training import defaults
from training.cli import options
from training.cli.command import Command


def _add_arguments(parser: ArgumentParser) -> None:
    options.add_warehouse(parser)
    parser.add_argument("--table", required=True, help="the customers table, CustomersTableName in the stack's outputs")
    parser.add_argument("--bucket", required=True, help="the data bucket, DataBucketName in the stack's outputs")
    parser.add_argument(
        "--model-bucket",
        help="the model bucket, ModelBucketName in the stack's outputs: the features must be what its active models "
        "read (default: that is not checked)",
    )
    parser.add_argument(
        "--force",
        metavar="REASON",
        help="write features that do not fit the active models; the snapshot's card keeps the reason",
    )
    parser.add_argument(
        "--as-of",
        type=_moment,
        metavar="RFC3339",
        help="compute the features from transactions as of this moment, such as 2018-01-02T00:00:00Z "
        "(default: as fresh as the warehouse has them)",
    )
    parser.add_argument(
        "--work",
        type=Path,
        default=defaults.WORK,
        metavar="DIR",
        help="where the parts are until they are uploaded, a run that was killed, and rejects.csv "
        "(default: %(default)s)",
    )


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ArgumentTypeError(f"{text!r} is not a moment with its time zone, such as 2018-01-02T00:00:00Z")
    return moment


def _mistake(chosen: Namespace) -> str:
    return options.mistake_in_force(chosen.force, "--model-bucket", chosen.model_bucket)


def _materialize(chosen: Namespace) -> None:
    import boto3

    from loyalty_ml.registry.bucket import ModelBucket
    from loyalty_ml.vocabulary import CUSTOMER_ID, rfc3339
    from training import config
    from training.aws import asking
    from training.registry.inputs import active_inputs
    from training.snapshot import customers_table
    from training.snapshot.materialize import materialize
    from training.warehouse.connection import connect
    from training.warehouse.definitions import definitions
    from training.warehouse.queries import current_features, features_left_out

    started = time.perf_counter()
    settings = config.load(chosen.config)
    s3 = boto3.client("s3")
    active = []
    if chosen.model_bucket:
        with asking(f"the bucket {chosen.model_bucket}"):
            active = active_inputs(ModelBucket(s3, chosen.model_bucket))
        if not active:
            print(f"No model is active in {chosen.model_bucket}, so the features are compared with none.")
    else:
        print("The features are not compared with the active models: name the model bucket with --model-bucket.")
    with connect(chosen.warehouse, settings, tell=print) as warehouse:
        current = current_features(warehouse, chosen.as_of)
        print(f"Features as of {rfc3339(current.as_of)}", flush=True)
        is_computed = settings.tables.features is None or chosen.as_of is not None
        rows = warehouse.left_out("features")
        if not is_computed and rows.first and rows.last:
            first, last = (rfc3339(settings.windows.instant(moment)) for moment in (rows.first, rows.last))
            print(f"  each customer's as of their row's updated_at: {first} to {last}", flush=True)
        if is_computed and (told := features_left_out(warehouse)):
            print(f"  {told}", flush=True)
        done = materialize(
            current.table,
            current.as_of,
            s3,
            customers_table.client(),
            bucket=chosen.bucket,
            table=chosen.table,
            work=chosen.work,
            max_rejected_share=settings.materialize.max_rejected_share,
            max_removed_share=settings.materialize.max_removed_share,
            min_answerable_share=settings.materialize.min_answerable_share,
            active=active,
            definitions=definitions(settings),
            domains=settings.domains_of([name for name in current.table.columns if name != CUSTOMER_ID]),
            force=chosen.force,
            warehouse=chosen.warehouse.rpartition("@")[2],  # without the password
        )
    print(f"{done.customers:,} customers in {chosen.table} and in {chosen.bucket}, as of {rfc3339(done.as_of)}")
    print(f"{done.written:,} written to {chosen.table}, {done.unchanged:,} there already with the same values")
    print(f"{done.removed:,} removed from {chosen.table} that are not in the warehouse")
    if done.erased:
        print(f"{done.erased:,} left out of both: they were erased ('loyalty erase')")
    if done.rejects:
        rejected = sum(done.reasons.values())
        main_reason = next(iter(done.reasons))
        print(f"{rejected:,} rejected, mostly because {main_reason}; all are in {done.rejects}")
    print(f"{len(done.parts)} part(s), {time.perf_counter() - started:.1f} s")


COMMAND = Command(
    name="materialize",
    summary="write customers' features into DynamoDB and the snapshot",
    description="Puts every customer's features from the warehouse into the customers table, of which only the items "
    "that differ are written, and into a new snapshot in the data bucket, which becomes the current one at the end; "
    "customers that left the warehouse leave both. With --model-bucket it is refused if the active models could not "
    "read the features. A run that was killed goes on where it was when the same command is given again.",
    example="--warehouse postgresql://reader@dwh/crm --table my-customers --bucket my-data --model-bucket my-models",
    add_arguments=_add_arguments,
    work=_materialize,
    when_stopped=lambda _: (
        "the published snapshot is as it was, but the table may have some of the new features already: give the same "
        "command again, with the same --as-of."
    ),
    mistake=_mistake,
    needs=("duckdb", "ibis", "pyarrow", "tqdm"),
)
