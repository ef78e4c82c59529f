"""What functions/files is made of."""

from functools import cached_property
from typing import TYPE_CHECKING

from loyalty_ml.aws.queue import Queue
from loyalty_ml.customers.snapshot_download import THREADS
from loyalty_ml.customers.snapshot_store import SnapshotStore
from loyalty_ml.datasets.tasks import DatasetTasks
from loyalty_ml.files.job_store import FileJobStore
from loyalty_ml.files.service import FileService
from loyalty_ml.wiring import clients
from loyalty_ml.wiring.jobs import JobParts
from loyalty_ml.wiring.settings import FilesSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class FilesParts(JobParts):
    settings: FilesSettings

    def __init__(self, settings: FilesSettings) -> None:
        super().__init__(settings)

    @cached_property
    def data_s3(self) -> "S3Client":
        return clients.file_s3(2 * THREADS)

    @cached_property
    def queue(self) -> Queue:
        return Queue(self.sqs, self.settings.file_queue_url)

    @cached_property
    def file_jobs(self) -> FileJobStore:
        return FileJobStore(self.dynamodb, self.settings.jobs_table, on_end=self.tell_of_end)

    @cached_property
    def files(self) -> FileService:
        return FileService(
            self.data_s3,
            self.file_jobs,
            self.models,
            SnapshotStore(self.data_s3, self.settings.data_bucket, self.settings.snapshot_cache),
            bucket=self.settings.data_bucket,
            mock_mode=self.settings.ml_mock_mode,
            work=self.settings.file_work,
        )

    @cached_property
    def dataset_tasks(self) -> DatasetTasks:
        return DatasetTasks(
            self.files, self.jobs, self.data_s3, clients.stepfunctions(), bucket=self.settings.data_bucket
        )
