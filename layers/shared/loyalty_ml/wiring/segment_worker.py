"""What functions/segment_worker is made of."""

from functools import cached_property

from loyalty_ml.aws.queue import Queue
from loyalty_ml.customers import online_store
from loyalty_ml.customers.online_store import FeatureStore
from loyalty_ml.datasets.members import SegmentDatasets
from loyalty_ml.datasets.removal import Removal
from loyalty_ml.datasets.start import DatasetJobs
from loyalty_ml.jobs.lease import Leases
from loyalty_ml.wiring import clients
from loyalty_ml.wiring.segment import SegmentServiceParts
from loyalty_ml.wiring.settings import SegmentWorkerSettings


class SegmentWorkerParts(SegmentServiceParts):
    settings: SegmentWorkerSettings

    def __init__(self, settings: SegmentWorkerSettings) -> None:
        super().__init__(settings)

    @cached_property
    def queue(self) -> Queue:
        return Queue(self.sqs, self.settings.segment_queue_url)

    @cached_property
    def statistics_queue(self) -> Queue:
        return Queue(self.sqs, self.settings.statistics_queue_url)

    @cached_property
    def customers(self) -> FeatureStore:
        return FeatureStore(online_store.client(), self.settings.customers_table)

    @cached_property
    def leases(self) -> Leases:
        return Leases(self.dynamodb, self.settings.jobs_table, on_end=self.tell_of_end)

    @cached_property
    def removal(self) -> Removal:
        return Removal(self.jobs, self.s3, bucket=self.settings.data_bucket)

    @cached_property
    def datasets(self) -> DatasetJobs:
        return DatasetJobs(
            self.jobs,
            self.s3,
            clients.stepfunctions(),
            bucket=self.settings.data_bucket,
            state_machine_arn=self.settings.dataset_state_machine_arn,
        )

    @cached_property
    def segment_datasets(self) -> SegmentDatasets:
        return SegmentDatasets(self.service, self.datasets, self.s3, bucket=self.settings.data_bucket)
