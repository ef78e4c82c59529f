"""What the functions have that work with jobs."""

from functools import cached_property
from typing import TYPE_CHECKING

from loyalty_ml.aws.events import Events
from loyalty_ml.jobs.ended import EndedJob
from loyalty_ml.jobs.presigned import Signer
from loyalty_ml.jobs.start import QueuedJobs
from loyalty_ml.jobs.store import JobStore
from loyalty_ml.wiring import clients
from loyalty_ml.wiring.predict import ModelParts
from loyalty_ml.wiring.settings import JobSettings, SegmentJobSettings, SigningSettings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

    from loyalty_ml.segments.lists import ListStore
    from loyalty_ml.segments.store import SegmentStore


class JobParts(ModelParts):
    settings: JobSettings

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        return clients.dynamodb()

    @cached_property
    def sqs(self) -> "SQSClient":
        return clients.sqs()

    @cached_property
    def jobs(self) -> JobStore:
        return JobStore(
            self.dynamodb,
            self.s3,
            table=self.settings.jobs_table,
            bucket=self.settings.data_bucket,
            on_end=self.tell_of_end,
        )

    @cached_property
    def events(self) -> Events:
        return Events(clients.eventbridge())

    def tell_of_end(self, ended: EndedJob) -> None:
        """Sends the event of a job's end; a dataset has one, and none for each of its files."""
        if ended.listed:
            detail = ended._asdict()
            del detail["listed"]
            self.events.send("loyalty.job", detail)


class SigningParts(ModelParts):
    settings: SigningSettings

    @cached_property
    def signer(self) -> Signer:
        return Signer(self.settings.data_bucket, lambda: clients.signing_session(self.settings.signing_role_arn))


class SegmentJobParts(JobParts):
    settings: SegmentJobSettings

    @cached_property
    def queued_jobs(self) -> QueuedJobs:
        return QueuedJobs(self.jobs, self.sqs, self.settings.segment_queue_url)

    @cached_property
    def segments(self) -> "SegmentStore":
        from loyalty_ml.segments.store import SegmentStore  # noqa: PLC0415  a batch of customers starts without it

        return SegmentStore(self.dynamodb, self.settings.segments_table, self.segment_lists)

    @cached_property
    def segment_lists(self) -> "ListStore":
        from loyalty_ml.segments.lists import ListStore  # noqa: PLC0415  as above

        return ListStore(clients.data_s3(1), self.settings.data_bucket)
