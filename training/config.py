"""The training configuration: one TOML file that says where a warehouse keeps what, and how models are made of it."""

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from loyalty_ml.customers.table import DEFAULT_FEATURES
from loyalty_ml.models.card import DEFAULT_OFFERS, Offer, Thresholds
from training import defaults
from training.errors import Problem

Column = Annotated[str, Field(min_length=1)]
Share = Annotated[float, Field(gt=0, lt=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Tables(_Section):
    """Names of tables or views, with their schema where it is not the default one: "dwh.customer_features_view"."""

    features: Column | None = None
    transactions: Column | None = None
    offers: Column | None = None
    churn: Column | None = None


class FeatureColumns(_Section):
    customer_id: Column = "customer_id"
    updated_at: Column = "updated_at"


class TransactionColumns(_Section):
    customer_id: Column = "customer_id"
    date: Column = "transaction_date"
    amount: Column = "transaction_amount"
    transaction: Column | None = None
    """What the lines of one purchase share; without it each row is a purchase."""
    product: Column | None = None
    service: Column | None = None


class OfferColumns(_Section):
    customer_id: Column = "customer_id"
    offer_id: Column = "offer_id"
    converted: Column = "converted"
    created_at: Column = "created_at"


class ChurnColumns(_Section):
    customer_id: Column = "customer_id"
    churned: Column = "churned"
    snapshot_date: Column = "snapshot_date"


class Columns(_Section):
    features: FeatureColumns = FeatureColumns()
    transactions: TransactionColumns = TransactionColumns()
    offers: OfferColumns = OfferColumns()
    churn: ChurnColumns = ChurnColumns()


class Windows(_Section):
    """What the features count back over, and how far ahead churn looks where labels are made from transactions."""

    year_days: int = Field(365, gt=0)
    month_days: int = Field(30, gt=0)
    engagement_weeks: int = Field(12, gt=0)
    churn_days: int = Field(90, gt=0)
    churn_snapshots: int = Field(2, ge=1, le=100)
    """At how many moments, churn_days apart, labels are made from transactions; from two on, also out of time."""


class EvaluationOptions(_Section):
    splits: int = Field(3, ge=1, le=20)
    held_out: Share = 0.2


class Gates(_Section):
    """What a model must reach to be written; DATA.md's margins are the defaults."""

    minimum_customers: int = Field(1000, ge=10)
    minimum_positives: int = Field(100, ge=1)
    auc_ceiling: float = Field(0.95, gt=0.5, le=1)
    suspicious_feature_auc: float = Field(0.9, gt=0.5, le=1)
    single_feature_margin: float = Field(0.005, ge=0)
    """Leakage is suspected where one feature alone reaches the former, and comes this near the model's AUC."""
    auc_below_baselines: float = Field(0.005, ge=0)
    auc_over_bg_nbd: float = 0.01
    log_loss_under_bg_nbd: float = 0.01
    calibration_over_floor: float = Field(0.01, gt=0)
    calibration_out_of_time: float = Field(0.08, gt=0)
    offer_auc: float = Field(0.62, ge=0.5, le=1)
    auc_below_active: float = Field(0.005, ge=0)


class Materialize(_Section):
    """How much may be wrong with the customers before nothing is changed: shares of what is read, and published now."""

    max_rejected_share: float = Field(0.1, ge=0, le=1)
    max_removed_share: float = Field(0.5, ge=0, le=1)


class Config(_Section):
    """The whole file. `features` maps each model feature, in the models' order, to its column in the warehouse."""

    seed: int = Field(7, ge=0, lt=2**32)
    tables: Tables = Tables()
    columns: Columns = Columns()
    features: dict[str, Column] = Field({name: name for name in DEFAULT_FEATURES}, min_length=1)
    windows: Windows = Windows()
    evaluation: EvaluationOptions = EvaluationOptions()
    gates: Gates = Gates()
    thresholds: Thresholds = Thresholds()
    offers: tuple[Offer, ...] = DEFAULT_OFFERS
    materialize: Materialize = Materialize()

    @model_validator(mode="after")
    def _has_data(self) -> "Config":
        if not (self.tables.features or self.tables.transactions):
            raise ValueError("tables: neither features nor transactions is named, so there are no features")
        return self


def load(path: Path = defaults.CONFIG) -> Config:
    """Raises Problem with the field in question."""
    try:
        fields = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(f"The configuration {path} cannot be read ({error}): name a TOML file with --config.") from error
    except tomllib.TOMLDecodeError as error:
        raise Problem(f"The configuration {path} is not TOML ({error}).") from error
    try:
        return Config.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise Problem(f"The configuration {path} is not valid: {where}: {first['msg']}.") from error
