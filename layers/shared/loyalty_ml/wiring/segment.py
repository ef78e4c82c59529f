"""What functions/segment is made of."""

import time
from functools import cached_property

from loyalty_ml.customers.snapshot_download import THREADS
from loyalty_ml.customers.snapshot_store import SnapshotStore
from loyalty_ml.segments.service import SegmentService
from loyalty_ml.segments.statistics_store import StatisticsStore
from loyalty_ml.wiring import clients
from loyalty_ml.wiring.jobs import SegmentJobParts, SigningParts
from loyalty_ml.wiring.settings import SegmentServiceSettings, SegmentSettings


class SegmentServiceParts(SegmentJobParts):
    """What the functions have that answer about segments, at once or as a job."""

    settings: SegmentServiceSettings

    @cached_property
    def statistics(self) -> StatisticsStore:
        return StatisticsStore(self.dynamodb, self.settings.segment_statistics_table, sleep=time.sleep)

    @cached_property
    def snapshots(self) -> SnapshotStore:
        return SnapshotStore(clients.data_s3(THREADS), self.settings.data_bucket, self.settings.snapshot_cache)

    @cached_property
    def service(self) -> SegmentService:
        return SegmentService(
            self.segments,
            self.snapshots,
            self.statistics,
            self.models,
            self.settings.ml_mock_mode,
        )


class SegmentParts(SegmentServiceParts, SigningParts):
    settings: SegmentSettings

    def __init__(self, settings: SegmentSettings) -> None:
        super().__init__(settings)
