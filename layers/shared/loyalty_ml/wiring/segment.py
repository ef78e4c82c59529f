"""What functions/segment is made of."""

from functools import cached_property
from typing import TYPE_CHECKING

from loyalty_ml.customers.snapshot_download import THREADS
from loyalty_ml.customers.snapshot_store import SnapshotStore
from loyalty_ml.jobs.start import QueuedJobs
from loyalty_ml.jobs.store import JobStore
from loyalty_ml.segments.service import SegmentService
from loyalty_ml.segments.statistics_store import StatisticsStore
from loyalty_ml.segments.store import SegmentStore
from loyalty_ml.wiring import clients
from loyalty_ml.wiring.predict import ModelParts
from loyalty_ml.wiring.settings import SegmentSettings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient


class SegmentParts(ModelParts):
    settings: SegmentSettings

    def __init__(self, settings: SegmentSettings) -> None:
        super().__init__(settings)

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        return clients.dynamodb()

    @cached_property
    def sqs(self) -> "SQSClient":
        return clients.sqs()

    @cached_property
    def segments(self) -> SegmentStore:
        return SegmentStore(self.dynamodb, self.settings.segments_table)

    @cached_property
    def statistics(self) -> StatisticsStore:
        return StatisticsStore(self.dynamodb, self.settings.segment_statistics_table)

    @cached_property
    def snapshots(self) -> SnapshotStore:
        return SnapshotStore(clients.snapshot_s3(THREADS), self.settings.data_bucket, self.settings.snapshot_cache)

    @cached_property
    def service(self) -> SegmentService:
        return SegmentService(self.segments, self.snapshots, self.statistics, self.models, self.settings.ml_mock_mode)

    @cached_property
    def jobs(self) -> JobStore:
        return JobStore(self.dynamodb, self.s3, table=self.settings.jobs_table, bucket=self.settings.data_bucket)

    @cached_property
    def queued_jobs(self) -> QueuedJobs:
        return QueuedJobs(self.jobs, self.sqs, self.settings.segment_queue_url)
