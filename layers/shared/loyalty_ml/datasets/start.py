"""Dataset jobs: every file below a prefix scored by AWS Step Functions.

An execution of the state machine is named after its job, so that however often one is started, there is one.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import orjson

from loyalty_ml.aws.errors import asking
from loyalty_ml.errors import InvalidRequest
from loyalty_ml.files.source import options_of
from loyalty_ml.jobs.contracts import MAX_PREFIX, prefix_problem
from loyalty_ml.jobs.record import Job
from loyalty_ml.jobs.store import JobStore
from loyalty_ml.vocabulary import FileType

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient

SEGMENT_COPIES = "members/"
"""Where members of segments are in the data bucket: outside of what anyone can ask to be scored by a prefix."""


class DatasetJobs:
    """The dataset jobs of one deployment. Every method raises StoreUnavailable where AWS does not do its part.

    The clients' own retries must be on: none are made here.
    """

    def __init__(
        self,
        jobs: JobStore,
        s3: "S3Client",
        stepfunctions: "SFNClient",
        *,
        bucket: str,
        state_machine_arn: str,
    ) -> None:
        self._jobs = jobs
        self._s3 = s3
        self._stepfunctions = stepfunctions
        self._bucket = bucket
        self._state_machine_arn = state_machine_arn

    def start(
        self,
        prediction_type: FileType,
        prefix: str,
        keep: Sequence[str] = (),
        job_id: str | None = None,
        *,
        explain: bool = False,
    ) -> Job:
        """Records a job for the files of the data bucket whose keys begin with the prefix, and has it run.

        keep, explain: what the predictions have beside the answer, as of FileJobRequest.
        job_id: of a job that may have been started already: then it is not started again.
        Raises InvalidRequest for a prefix that has no files or is none of datasets.
        """
        self._check(prefix)
        request = {"type": prediction_type, "prefix": prefix, **options_of(keep, explain=explain)}
        job = self._jobs.record("dataset", request, job_id)
        if job.status != "queued":
            return job
        with self._jobs.failing(job.job_id):
            self.execute(job.job_id, prediction_type, prefix, keep, explain=explain)
        return job

    def execute(
        self, job_id: str, prediction_type: FileType, prefix: str, keep: Sequence[str] = (), *, explain: bool = False
    ) -> None:
        """Starts the execution of a recorded job, unless it was started before."""
        self._jobs.running(job_id)  # before it may be done
        arguments = {"job_id": job_id, "type": prediction_type, "prefix": prefix, **options_of(keep, explain=explain)}
        already_started = self._stepfunctions.exceptions.ExecutionAlreadyExists
        with asking("state_machine", "The dataset's state machine cannot be started"), suppress(already_started):
            self._stepfunctions.start_execution(
                stateMachineArn=self._state_machine_arn, name=job_id, input=orjson.dumps(arguments).decode()
            )

    def is_started(self, job_id: str) -> bool:
        with asking("state_machine", "The dataset's state machine cannot be asked"):
            try:
                self._stepfunctions.describe_execution(executionArn=self.execution_arn(job_id))
            except self._stepfunctions.exceptions.ExecutionDoesNotExist:
                return False
        return True

    def stop(self, job_id: str) -> None:
        """Stops the execution of a job, if there is one."""
        missing = self._stepfunctions.exceptions.ExecutionDoesNotExist
        with asking("state_machine", "The dataset's state machine cannot be stopped"), suppress(missing):
            self._stepfunctions.stop_execution(executionArn=self.execution_arn(job_id), error="JOB_DELETED")

    def execution_arn(self, job_id: str) -> str:
        return f"{self._state_machine_arn.replace(':stateMachine:', ':execution:')}:{job_id}"

    def _check(self, prefix: str) -> None:
        problem = prefix_problem(prefix)
        if len(prefix) > MAX_PREFIX:
            problem = f"must have at most {MAX_PREFIX} characters"
        if problem is None:
            with asking("results", "The data bucket cannot be listed"):
                found = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=prefix, MaxKeys=1)
            if not found.get("KeyCount"):
                problem = "no key of the data bucket begins with this: upload the files first"
        if problem:
            raise InvalidRequest.of("prefix", problem)
