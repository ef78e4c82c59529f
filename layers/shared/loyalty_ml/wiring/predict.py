"""What functions/predict is made of."""

import time
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from loyalty_ml.customers import online_store, snapshot
from loyalty_ml.customers.online_store import FeatureStore
from loyalty_ml.models.store import ModelStore
from loyalty_ml.scoring import predictions, side_by_side
from loyalty_ml.scoring.contracts import AllAnswer, AllBatchAnswer, BatchAnswer, SingleAnswer
from loyalty_ml.vocabulary import AskedType, PredictionType
from loyalty_ml.wiring import clients
from loyalty_ml.wiring.settings import PredictSettings, Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class ModelParts:
    """What every function has. Each part is made when it is first used, and then kept."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def s3(self) -> "S3Client":
        return clients.manifest_s3()

    @cached_property
    def models(self) -> ModelStore:
        return ModelStore(
            self.s3, self.settings.model_bucket, self.settings.model_cache, has_measured=self._has_measured
        )

    def _has_measured(self) -> bool:
        # Asked only while there is no manifest: elsewhere nobody waits for these imports.
        from loyalty_ml.segments.statistics_store import StatisticsStore  # noqa: PLC0415

        table = self.settings.segment_statistics_table
        return StatisticsStore(clients.dynamodb(), table, sleep=time.sleep).has_models()


class PredictParts(ModelParts):
    settings: PredictSettings

    def __init__(self, settings: PredictSettings) -> None:
        super().__init__(settings)

    @cached_property
    def customers(self) -> FeatureStore:
        return FeatureStore(online_store.client(), self.settings.customers_table)

    def predict(self, prediction_type: PredictionType, customer_ids: Sequence[str]) -> predictions.Predictions:
        """Predictions with the models and customers of this deployment; see predictions.predict for what it raises."""
        return predictions.predict(
            prediction_type, customer_ids, self.models.current(), self.customers.read, self.settings.ml_mock_mode
        )

    def predict_all(self, customer_ids: Sequence[str]) -> side_by_side.ByType:
        """The same of every type."""
        return predictions.predict_all(
            customer_ids, self.models.current(), self.customers.read, self.settings.ml_mock_mode
        )

    def answer_one(
        self, asked: AskedType, customer_id: str, *, with_features: bool = False
    ) -> SingleAnswer | AllAnswer:
        """One customer's answer; raises what `predict` raises, and that customer's failure."""
        if asked == "all":
            return side_by_side.all_answer(customer_id, self.predict_all([customer_id]), with_features=with_features)
        return predictions.single_answer(customer_id, self.predict(asked, [customer_id]), with_features=with_features)

    def answer_batch(self, asked: AskedType, customer_ids: Sequence[str]) -> BatchAnswer | AllBatchAnswer:
        """The answer for up to 100 customers; raises what `predict` raises."""
        if asked == "all":
            return side_by_side.all_batch_answer(customer_ids, self.predict_all(customer_ids))
        return predictions.batch_answer(customer_ids, self.predict(asked, customer_ids))

    def read_snapshot_card(self) -> snapshot.SnapshotCard | None:
        """The current feature snapshot's card; see snapshot.read_current for what it raises."""
        return snapshot.read_current(self.s3, self.settings.data_bucket)
