"""The training configuration: one TOML file that says where a warehouse keeps what, and how models are made of it."""

import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from loyalty_ml.customers.table import DEFAULT_FEATURES
from loyalty_ml.models.card import MAX_CODE_CHARACTERS, MAX_OFFERS, Offer, Thresholds
from loyalty_ml.vocabulary import problem_in
from training import defaults
from training.errors import Problem

Column = Annotated[str, Field(min_length=1)]
Share = Annotated[float, Field(gt=0, lt=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class Tables(_Section):
    """Names of tables or views, with their schema where it is not the default one: "dwh.customer_features_view"."""

    features: Column | None = None
    """A row is a customer today. Without it features are computed from transactions."""
    transactions: Column | None = None
    """A row is a line of a purchase. Without it features must be in the other tables."""
    offers: Column | None = None
    """A row is an offer that was shown, with features as of then. Without it nbo is not trained."""
    churn: Column | None = None
    """A row is a customer at a moment, with features as of it.

    Without it a customer who buys nothing for `windows.churn_days` has churned.
    """


class FeatureColumns(_Section):
    customer_id: Column = "customer_id"
    """The customer's id."""
    updated_at: Column = "updated_at"
    """When the row was computed."""


class TransactionColumns(_Section):
    customer_id: Column = "customer_id"
    """The customer's id."""
    date: Column = "transaction_date"
    """When the purchase was."""
    amount: Column = "transaction_amount"
    """What the line cost."""
    transaction: Column | None = None
    """What the lines of one purchase share; without it each row is a purchase."""
    product: Column | None = None
    """The product of the line. Without it there is no `product_count`."""
    service: Column | None = None
    """The service of the line, NULL if it is none. Without it there is no `service_count`."""


class OfferColumns(_Section):
    customer_id: Column = "customer_id"
    """The customer's id."""
    offer_id: Column = "offer_id"
    """The code of the offer that was shown, as in `offers`: a text, a whole number or a UUID."""
    converted: Column = "converted"
    """Whether the customer took it."""
    created_at: Column = "created_at"
    """When it was shown."""


class ChurnColumns(_Section):
    customer_id: Column = "customer_id"
    """The customer's id."""
    churned: Column = "churned"
    """Whether the customer left after it."""
    snapshot_date: Column = "snapshot_date"
    """The moment that the row is about."""


class Columns(_Section):
    features: FeatureColumns = FeatureColumns()
    """Columns of the features table beside the features."""
    transactions: TransactionColumns = TransactionColumns()
    """Columns of the transactions table."""
    offers: OfferColumns = OfferColumns()
    """Columns of the offers table beside the features."""
    churn: ChurnColumns = ChurnColumns()
    """Columns of the churn table beside the features."""


class Windows(_Section):
    """What the features count back over, and how far ahead churn looks where labels are made from transactions."""

    year_days: int = Field(365, gt=0)
    """How many days `revenue` and `transaction_count` look back."""
    month_days: int = Field(30, gt=0)
    """How many days `monthly_revenue` looks back."""
    engagement_weeks: int = Field(12, gt=0)
    """How many weeks `engagement_score` looks back."""
    churn_days: int = Field(90, gt=0)
    """How many days without a purchase are churn, if transactions make the labels."""
    churn_snapshots: int = Field(2, ge=1, le=100)
    """At how many moments, churn_days apart, labels are made from transactions; from two on, also out of time."""


class EvaluationOptions(_Section):
    splits: int = Field(3, ge=1, le=20)
    """How often customers are split into those to learn from and those to measure on."""
    held_out: Share = 0.2
    """The share of customers to measure on."""


class Gates(_Section):
    """What a model must reach to be written."""

    minimum_customers: int = Field(1000, ge=10)
    """The fewest customers to train on."""
    minimum_positives: int = Field(100, ge=1)
    """The fewest customers with the outcome."""
    auc_ceiling: float = Field(0.95, gt=0.5, le=1)
    """An AUC over this is too good to be true: leakage is suspected."""
    suspicious_feature_auc: float = Field(0.9, gt=0.5, le=1)
    """A single feature with this AUC is suspected of leakage."""
    single_feature_margin: float = Field(0.005, ge=0)
    """Leakage is suspected where one feature alone reaches the former, and comes this near the model's AUC."""
    auc_below_baselines: float = Field(0.005, ge=0)
    """How far the AUC may be below the best baseline."""
    auc_over_bg_nbd: float = 0.01
    """How far the AUC must be over BG/NBD, if there are transactions."""
    log_loss_under_bg_nbd: float = 0.01
    """How far the log-loss must be under BG/NBD, if there are transactions."""
    calibration_over_floor: float = Field(0.01, gt=0)
    """How far the calibration error may be over what chance alone gives."""
    calibration_out_of_time: float = Field(0.08, gt=0)
    """The most calibration error on a later moment."""
    offer_auc: float = Field(0.62, ge=0.5, le=1)
    """The least AUC of the offer model."""
    auc_below_active: float = Field(0.005, ge=0)
    """How far the AUC may be below the active model on the same customers."""


class Materialize(_Section):
    """How much may be wrong with the customers before nothing is changed: shares of what is read, and published now."""

    max_rejected_share: float = Field(0.1, ge=0, le=1)
    """The share of rows that may be rejected before the run is refused."""
    max_removed_share: float = Field(0.5, ge=0, le=1)
    """The share of customers that may be removed before the run is refused."""


MIN_OFFERS = 2


def _code(given: Any) -> Any:
    """A code as the warehouse's rows have it: a number as its text, without the blanks that fixed-width columns add."""
    if isinstance(given, str) or (isinstance(given, int) and not isinstance(given, bool)):
        return str(given).rstrip()
    raise ValueError("must be text or a whole number")


class CatalogueOffer(_Section):
    """One offer, in any order: which place it has in a model's output is the model's business."""

    offer_id: Annotated[str, Field(min_length=1, max_length=MAX_CODE_CHARACTERS), BeforeValidator(_code)]
    """Your own code of the offer, as the offers table has it: text or a whole number. Answers call it `offer_code`."""
    offer_name: Column | None = None
    """For people. Without it, the code."""
    category: Column = "offer"
    """The kind of offer."""


class Config(_Section):
    """The whole file. `features` maps each model feature, in the models' order, to its column in the warehouse."""

    seed: int = Field(7, ge=0, lt=2**32)
    """Fixes every random choice: the same data and seed give the same model to the bit."""
    tables: Tables = Tables()
    """Names of tables."""
    columns: Columns = Columns()
    """Names of columns."""
    features: dict[str, Column] = Field({name: name for name in DEFAULT_FEATURES}, min_length=1)
    """Each model feature, in the models' order, and its column in the features, offers and churn tables."""
    windows: Windows = Windows()
    """Windows of time."""
    evaluation: EvaluationOptions = EvaluationOptions()
    """How models are measured."""
    gates: Gates = Gates()
    """What a model must reach."""
    thresholds: Thresholds = Thresholds()
    """The churn model's risk bands."""
    offers: tuple[CatalogueOffer, ...] = ()
    """The catalogue, 2 to 200 offers. Without it, the codes in the offers table are the catalogue and the names."""
    materialize: Materialize = Materialize()
    """Limits of a materialize run."""

    @model_validator(mode="after")
    def _has_data(self) -> "Config":
        if not (self.tables.features or self.tables.transactions):
            raise ValueError("tables: neither features nor transactions is named, so there are no features")
        return self

    @model_validator(mode="after")
    def _has_a_catalogue(self) -> "Config":
        codes = [offer.offer_id for offer in self.offers]
        if codes and not MIN_OFFERS <= len(codes) <= MAX_OFFERS:
            raise ValueError(
                f"offers: there must be {MIN_OFFERS} to {MAX_OFFERS} offers, but there are {len(codes)}: change the "
                "[[offers]], or leave them all out"
            )
        repeated = next((code for code in codes if codes.count(code) > 1), None)
        if repeated is not None:
            raise ValueError(f"offers: two offers have the offer_id {repeated}: remove one of the [[offers]]")
        return self

    @property
    def catalogue(self) -> tuple[Offer, ...]:
        """The offers as a card has them, in the order of the file; empty if the file has none."""
        return tuple(
            Offer(
                offer_id=place,
                offer_code=offer.offer_id,
                offer_name=offer.offer_name or offer.offer_id,
                category=offer.category,
            )
            for place, offer in enumerate(self.offers)
        )


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
        raise Problem(f"The configuration {path} is not valid: {where}: {problem_in(first)}.") from error
