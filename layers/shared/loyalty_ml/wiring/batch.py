"""What functions/batch is made of: predictions, and jobs, which no single prediction waits for."""

from functools import cached_property
from typing import TYPE_CHECKING

from loyalty_ml.aws.queue import Queue
from loyalty_ml.jobs.idempotency import IdempotencyKeys
from loyalty_ml.wiring import clients
from loyalty_ml.wiring.jobs import SegmentJobParts, SigningParts
from loyalty_ml.wiring.predict import PredictParts
from loyalty_ml.wiring.settings import BatchSettings

if TYPE_CHECKING:
    from loyalty_ml.datasets.start import DatasetJobs
    from loyalty_ml.files.job_store import FileJobStore


class BatchParts(PredictParts, SegmentJobParts, SigningParts):
    settings: BatchSettings

    def __init__(self, settings: BatchSettings) -> None:
        super().__init__(settings)

    @cached_property
    def file_jobs(self) -> "FileJobStore":
        from loyalty_ml.files.job_store import FileJobStore  # noqa: PLC0415  a batch of customers starts without it

        return FileJobStore(self.dynamodb, self.settings.jobs_table, on_end=self.tell_of_end)

    @cached_property
    def segment_queue(self) -> Queue:
        return Queue(self.sqs, self.settings.segment_queue_url)

    @cached_property
    def idempotency_keys(self) -> IdempotencyKeys:
        return IdempotencyKeys(self.dynamodb, self.settings.jobs_table)

    @cached_property
    def datasets(self) -> "DatasetJobs":
        from loyalty_ml.datasets.start import DatasetJobs  # noqa: PLC0415  as above

        return DatasetJobs(
            self.jobs,
            self.s3,
            clients.stepfunctions(),
            bucket=self.settings.data_bucket,
            state_machine_arn=self.settings.dataset_state_machine_arn,
        )
