"""What functions/predict is made of."""

import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from loyalty_ml.customers import online_store, snapshot
from loyalty_ml.customers.online_store import FeatureStore
from loyalty_ml.models.store import ModelStore
from loyalty_ml.scoring import predictions, side_by_side, what_if
from loyalty_ml.scoring.contracts import AllAnswer, AllBatchAnswer, BatchAnswer, SingleAnswer
from loyalty_ml.scoring.scorers import scorer_for
from loyalty_ml.vocabulary import PREDICTION_TYPES, AskedType, PredictionType
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

    def predict(
        self, prediction_type: PredictionType, customer_ids: Sequence[str], *, explain: bool = False
    ) -> predictions.Predictions:
        """Predictions with the models and customers of this deployment; see predictions.predict for what it raises."""
        return predictions.predict(
            prediction_type,
            customer_ids,
            self.models.current(),
            self.customers.read,
            self.settings.ml_mock_mode,
            explain=explain,
        )

    def predict_all(self, customer_ids: Sequence[str], *, explain: bool = False) -> side_by_side.ByType:
        """The same of every type."""
        return predictions.predict_all(
            customer_ids, self.models.current(), self.customers.read, self.settings.ml_mock_mode, explain=explain
        )

    def answer_one(
        self,
        asked: AskedType,
        customer_id: str,
        *,
        with_features: bool = False,
        explain: bool = False,
        overrides: Mapping[str, float] | None = None,
    ) -> SingleAnswer | AllAnswer:
        """One customer's answer, as if if there are overrides; see what_if.predict_as_if.

        Raises what `predict` raises, and that customer's failure.
        """
        if overrides:
            by_type = self._predict_as_if(asked, customer_id, overrides, explain=explain)
        elif asked == "all":
            by_type = self.predict_all([customer_id], explain=explain)
        else:
            by_type = {asked: self.predict(asked, [customer_id], explain=explain)}
        if asked == "all":
            return side_by_side.all_answer(customer_id, by_type, with_features=with_features)
        return predictions.single_answer(customer_id, by_type[asked], with_features=with_features)

    def _predict_as_if(
        self, asked: AskedType, customer_id: str, overrides: Mapping[str, float], *, explain: bool
    ) -> side_by_side.ByType:
        types = PREDICTION_TYPES if asked == "all" else (asked,)
        models, mock_mode = self.models.current(), self.settings.ml_mock_mode
        scorers = {name: scorer_for(name, models, mock_mode) for name in types}
        return what_if.predict_as_if(scorers, customer_id, overrides, self.customers.read, explain=explain)

    def answer_batch(
        self, asked: AskedType, customer_ids: Sequence[str], *, explain: bool = False
    ) -> BatchAnswer | AllBatchAnswer:
        """The answer for up to 100 customers; raises what `predict` raises."""
        if asked == "all":
            return side_by_side.all_batch_answer(customer_ids, self.predict_all(customer_ids, explain=explain))
        return predictions.batch_answer(customer_ids, self.predict(asked, customer_ids, explain=explain))

    def read_snapshot_card(self) -> snapshot.SnapshotCard | None:
        """The current feature snapshot's card; see snapshot.read_current for what it raises."""
        return snapshot.read_current(self.s3, self.settings.data_bucket)
