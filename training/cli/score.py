"""loyalty score: every file below a prefix of the data bucket."""

from argparse import ArgumentParser, Namespace

from training.cli.command import Command

TYPES = ("churn", "nbo", "rfm", "all")


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--bucket", required=True, help="the data bucket, DataBucketName among the stack's outputs")
    parser.add_argument("--jobs-table", required=True, help="JobsTableName among the stack's outputs")
    parser.add_argument("--state-machine", required=True, help="DatasetStateMachineArn among the stack's outputs")
    parser.add_argument("--prefix", required=True, help="what the files' keys begin with, datasets/ and more")
    parser.add_argument("--type", choices=TYPES, default="churn", help="default: %(default)s")
    parser.add_argument(
        "--keep", nargs="+", default=(), metavar="COLUMN", help="columns of the files to keep in the results; * for all"
    )
    parser.add_argument("--explain", action="store_true", help="write the three largest reasons beside each answer")


def _score(chosen: Namespace) -> None:
    from training.scoring import Deployment, score_dataset

    deployment = Deployment(chosen.bucket, chosen.jobs_table, chosen.state_machine)
    score_dataset(deployment, chosen.prefix, chosen.type, tuple(chosen.keep), explain=chosen.explain)


COMMAND = Command(
    name="score",
    summary="score every file below a prefix of the data bucket",
    description="Scores every file below a prefix of the data bucket, many at a time, follows it to its end and says "
    "where the results are. Ctrl-C ends the following, not the scoring.",
    example="--bucket my-data --jobs-table my-jobs --state-machine "
    "arn:aws:states:eu-west-1:123456789012:stateMachine:loyalty-ml-score-dataset --prefix datasets/2026-11/",
    add_arguments=_add_arguments,
    work=_score,
    when_stopped=lambda _: (
        "what has been started goes on: GET /ml/jobs shows it, and 'aws stepfunctions stop-execution' ends it."
    ),
    place=lambda chosen: f"{chosen.bucket}, {chosen.jobs_table} or the state machine",
    needs=("tqdm",),
)
