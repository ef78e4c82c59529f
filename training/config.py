"""The training configuration: one TOML file that says where a warehouse keeps what, and how models are made of it."""

import tomllib
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args, get_origin
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PrivateAttr,
    Tag,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from loyalty_ml.customers.table import AS_OF, DEFAULT_FEATURES, LIFETIME_TRANSACTION_COUNT
from loyalty_ml.models.baseline import GroupName, Words, problem_of_categories, problem_of_groups, problem_of_words
from loyalty_ml.models.card import MAX_CODE_CHARACTERS, MAX_OFFERS, Offer, Thresholds
from loyalty_ml.models.domain import DEFAULT_DOMAINS, Domain
from loyalty_ml.vocabulary import CUSTOMER_ID, problem_in
from training import defaults
from training.errors import Problem, did_you_mean, nearest

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Column = Annotated[str, Field(min_length=1)]
Share = Annotated[float, Field(gt=0, lt=1)]
Days = Annotated[int, Field(gt=0, le=36_525)]
"""At most a hundred years, which every warehouse and Python can count back."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class Query(_Section):
    """`{ query = "SELECT ..." }` or `{ query_file = "receipts.sql" }`: a SELECT in the warehouse's own SQL.

    It is run as it is written, as a part of a longer statement. [How to use one](../training.md#a-query-for-a-table).
    """

    query: Column
    """The SELECT, unless `query_file` has it. It may have comments, and a semicolon at its end."""
    query_file: Column | None = None
    """A file with the SELECT, in place of `query`. A relative path starts at the configuration file's folder."""
    _table: str = PrivateAttr("")

    @model_validator(mode="before")
    @classmethod
    def _read(cls, fields: Any, info: ValidationInfo) -> Any:
        if not isinstance(fields, dict) or not isinstance(name := fields.get("query_file"), str):
            return fields
        if "query" in fields:
            raise ValueError("has both query and query_file: remove one")
        path = Path((info.context or {}).get("folder", "."), name)
        try:
            return {**fields, "query": path.read_text(encoding="utf-8-sig")}
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"the file {path} cannot be read ({error}): correct query_file") from error

    @field_validator("query")
    @classmethod
    def _is_not_blank(cls, query: str) -> str:
        if not query.strip():
            raise ValueError("must not be empty")
        return query

    def __str__(self) -> str:
        return f"the query of [tables] {self._table}"


_NAME, _QUERY = "a table's name", "a query"
Source = Annotated[
    Annotated[Column, Tag(_NAME)] | Annotated[Query, Tag(_QUERY)],
    Discriminator(lambda value: _QUERY if isinstance(value, dict | Query) else _NAME),
]
"""Where rows come from. str() of either is what messages call it."""


class Tables(_Section):
    """Names of tables or views, with their schema if it is not the default one: "dwh.customer_features_view".

    A [query](#a-query-in-place-of-a-table) may take the place of each name.
    """

    features: Source | None = None
    """A row is a customer today. Without it features are computed from transactions."""
    transactions: Source | None = None
    """A row is a line of a purchase. Without it features must be in the other tables."""
    offers: Source | None = None
    """A row is an offer that was shown, with features as of then. Without it nbo is not trained."""
    churn: Source | None = None
    """A row is a customer at a moment, with features as of it.

    Without it a customer who buys nothing for `windows.churn_days` has churned.
    """
    customers: Source | None = None
    """A row is a registered customer, also one who has never bought. Without it only buyers are known."""

    def source(self, name: str) -> Source:
        """What messages call by this name: a query of this section, or the table itself."""
        queries = (source for _, source in self if isinstance(source, Query))
        return next((query for query in queries if str(query) == name), name)

    @field_validator("*")
    @classmethod
    def _knows_its_key(cls, source: Source | None, info: ValidationInfo) -> Source | None:
        if isinstance(source, Query):
            source._table = info.field_name or ""
        return source


class FeatureColumns(_Section):
    customer_id: Column = "customer_id"
    """The customer's id."""
    updated_at: Column = "updated_at"
    """When the row was computed, which is the moment of its features."""


class TransactionColumns(_Section):
    customer_id: Column = "customer_id"
    """The customer's id."""
    date: Column = "transaction_date"
    """When the purchase was."""
    amount: Column = "transaction_amount"
    """What the line cost."""
    transaction: Column | None = None
    """What the lines of one purchase share, on a day of a customer; without it a customer's day is one purchase."""
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


class CustomerColumns(_Section):
    customer_id: Column = "customer_id"
    """The customer's id."""
    registered_at: Column | None = None
    """When the customer registered. A snapshot leaves out who registered after its moment and has not bought."""


class Columns(_Section):
    features: FeatureColumns = FeatureColumns()
    """Columns of the features table beside the features."""
    transactions: TransactionColumns = TransactionColumns()
    """Columns of the transactions table."""
    offers: OfferColumns = OfferColumns()
    """Columns of the offers table beside the features."""
    churn: ChurnColumns = ChurnColumns()
    """Columns of the churn table beside the features."""
    customers: CustomerColumns = CustomerColumns()
    """Columns of the customers table beside the features."""


class Attribute(_Section):
    """In place of a column's name: `tier = { column = "tier", categories = ["gold", "silver", "bronze"] }`."""

    column: Column
    """The column: numbers, true and false (1 and 0), or with `categories` texts."""
    table: Literal["customers"] | None = None
    """`"customers"` if the column is in the customers table and not in the features, offers and churn tables."""
    categories: tuple[Column, ...] | None = Field(None, min_length=1)
    """The texts. Each becomes a feature, such as `tier_gold`: 1 for customers who have the text, 0 for the others."""

    @field_validator("categories")
    @classmethod
    def _are_different(cls, categories: tuple[str, ...] | None) -> tuple[str, ...] | None:
        known = categories or ()
        blank = [category for category in known if category != category.rstrip()]
        if len(set(known)) < len(known):
            raise ValueError("a category comes twice: remove one")
        if blank:
            raise ValueError(f"{blank[0]!r} ends with a blank, which is not read: remove it")
        return categories


_COLUMN, _ATTRIBUTE = "a column's name", "an attribute"
FeatureSource = Annotated[
    Annotated[Column, Tag(_COLUMN)] | Annotated[Attribute, Tag(_ATTRIBUTE)],
    Discriminator(lambda value: _ATTRIBUTE if isinstance(value, dict | Attribute) else _COLUMN),
]
"""Where a feature comes from."""


def column_of(source: FeatureSource) -> str:
    return source.column if isinstance(source, Attribute) else source


def names_of(name: str, source: FeatureSource) -> tuple[str, ...]:
    """The features that an entry of [features] makes: one for each of its categories, or the one of its name."""
    if isinstance(source, Attribute) and source.categories is not None:
        return tuple(f"{name}_{category}" for category in source.categories)
    return (name,)


class Windows(_Section):
    """What the features count back over, and how far ahead churn looks where labels are made from transactions."""

    year_days: Days = 365
    """How many days `revenue` and `transaction_count` look back, and the most that `days_since_offer` says."""
    month_days: Days = 30
    """How many days `monthly_revenue` looks back."""
    engagement_weeks: int = Field(12, gt=0, le=5_217)
    """How many weeks `engagement_score` looks back."""
    churn_days: Days = 90
    """How many days without a purchase are churn, if transactions make the labels."""
    active_days: Days | None = None
    """Who bought within so many days is a customer to lose, the others have lapsed; `churn_days` if it is left out."""
    offer_days: Days = 30
    """How many days after an offer was shown it may be taken. Younger exposures are left out, and counted."""
    churn_snapshots: int = Field(2, ge=1, le=100)
    """At how many moments, churn_days apart, labels are made from transactions; from two on, also out of time."""
    time_zone: str = "UTC"
    """The zone (IANA name, such as "Europe/Berlin") of dates and timestamps that have none, and of where days begin."""

    @field_validator("time_zone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:  # unknown, no name at all, a folder of the database
            raise ValueError(f"{name!r} is no time zone: write an IANA name, such as Europe/Berlin") from error
        return name

    @property
    def days_of_the_active(self) -> int:
        return self.active_days or self.churn_days

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    def local(self, moment: datetime) -> datetime:
        """The clock of the zone at a moment, without a zone: how Warehouse's tables give moments."""
        return moment.astimezone(self.zone).replace(tzinfo=None)

    def instant(self, local: datetime) -> datetime:
        """The moment (UTC) at which the clock of the zone shows this. An hour that comes twice is the first one."""
        return local.replace(tzinfo=self.zone).astimezone(UTC)


class Reading(_Section):
    """Rows of the warehouse that cannot be right are left out and counted."""

    max_rejected_share: float = Field(0.1, ge=0, le=1)
    """The share of a table's rows that may be left out before the run is refused. Rows without a customer are free."""


class Rfm(_Section):
    """What RFM reads. Without this section it is all history."""

    window_days: Days | None = None
    """How many days RFM's frequency and money look back; all history if it is left out. It needs transactions."""


class Nbo(_Section):
    """When an offer counts as learnt. Offers with fewer are in the model, and are not recommended."""

    minimum_conversions: int = Field(50, ge=1)
    """The fewest exposures that converted."""
    minimum_refusals: int = Field(50, ge=1)
    """The fewest exposures that did not."""


HIGH_SHARE, MEDIUM_SHARE = 0.1, 0.2


class Bands(_Section):
    """The churn model's risk bands: shares of the active customers, or fixed probabilities."""

    high_share: Share | None = None
    """The share of active customers whose risk is `high`; 0.1 if it is left out."""
    medium_share: Share | None = None
    """The share whose risk is `medium`; 0.2 if it is left out."""
    high: float | None = Field(None, gt=0, le=1)
    """In place of shares: from this probability on the risk is `high`."""
    medium: float | None = Field(None, gt=0, le=1)
    """In place of shares: from this one on it is `medium`."""

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        shares = [key for key in ("high_share", "medium_share") if getattr(self, key) is not None]
        fixed = [key for key in ("high", "medium") if getattr(self, key) is not None]
        if shares and fixed:
            raise ValueError(f"{shares[0]} is a share and {fixed[0]} a probability: give keys of one kind only")
        if len(fixed) == 1:
            raise ValueError(f"{fixed[0]} is given alone: give both high and medium, or neither")
        if self.shares is not None and sum(self.shares) > 1:
            raise ValueError("high_share and medium_share are more than 1 together: lower one of them")
        if self.high is not None and self.medium is not None and self.medium > self.high:
            raise ValueError("the medium threshold is above the high one: exchange them")
        return self

    @property
    def shares(self) -> tuple[float, float] | None:
        """The shares of the high and the medium band; None if the bands are fixed."""
        if self.high is not None:
            return None
        high = HIGH_SHARE if self.high_share is None else self.high_share
        return high, MEDIUM_SHARE if self.medium_share is None else self.medium_share

    @property
    def fixed(self) -> Thresholds | None:
        """The probabilities where the bands begin; None if they are shares."""
        if self.high is None or self.medium is None:
            return None
        return Thresholds(high=self.high, medium=self.medium)


class EvaluationOptions(_Section):
    splits: int = Field(3, ge=1, le=20)
    """How often customers are split into those to learn from and those to measure on; never the same to measure on."""
    held_out: Share = 0.2
    """The share of customers to measure on, in each split."""

    @model_validator(mode="after")
    def _disjoint(self) -> Self:
        if self.splits * self.held_out > 1 + 1e-9:
            raise ValueError(
                f"{self.splits} splits that hold out {self.held_out:g} each are more than all customers: lower splits "
                "or held_out"
            )
        return self


class Gates(_Section):
    """What a model must reach to be written. Figures are judged by their 95 % intervals."""

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
    auc_floor: float = Field(0.55, ge=0.5, lt=1)
    """What the lower bound of the AUC must be over."""
    auc_below_baselines: float = Field(0.005, ge=0)
    """How far the AUC may be below the best baseline."""
    log_loss_over_baselines: float = Field(0.005, ge=0)
    """How far the log-loss may be over the best baseline."""
    calibration_over_floor: float = Field(0.01, gt=0)
    """How far the calibration error may be over what chance alone gives in 97.5 of 100 cases."""
    calibration_out_of_time: float = Field(0.08, gt=0)
    """The same on a later moment."""
    auc_below_active: float = Field(0.005, ge=0)
    """How far the AUC may be below the active model on the same customers."""


class Materialize(_Section):
    """How much may be wrong with the customers before nothing is changed."""

    max_rejected_share: float = Field(0.1, ge=0, le=1)
    """The share of rows that may be rejected before the run is refused."""
    max_removed_share: float = Field(0.5, ge=0, le=1)
    """The share of the ids in the table that may be removed before the run is refused."""
    min_answerable_share: float = Field(0.9, ge=0, le=1)
    """The share of customers with purchases that each active model must be able to answer, or the run is refused."""


RESERVED = frozenset(
    {
        # what a customer's row has beside the features; the last one is DuckDB's own, of a Parquet file's rows
        *(CUSTOMER_ID, AS_OF, "updated_at", "reason", "file_row_number"),
        # what an example has beside the features
        *("moment", "happened", "offer", "repeat_days", "first_to_last_days", "first_to_moment_days"),
        *("engagement_weeks", "purchase_days", "registered_at"),
    }
)
"""Names, in lower case, that no feature can have."""

OFFER_FEATURES = ("offers_seen", "offers_taken", "offer_take_rate", "days_since_offer")
"""What the offers table gives."""

COMPUTED_FEATURES = (*DEFAULT_FEATURES, LIFETIME_TRANSACTION_COUNT, *OFFER_FEATURES)
"""What transactions give, of which product_count and service_count need a column of their own, and what offers give.

docs/features.md defines them.
"""


NEEDS_OFFERS = "exposures of offers give this feature: name their table as [tables] offers"
MIN_OFFERS = 2
"""Of one offer there is no choice."""
_CATEGORY = Domain(least=0, most=1, whole=True)


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
    explore: float = Field(0, ge=0, lt=1)
    """The share of customers who are given the offer while too little is known of it; always the same ones."""


class Reasons(_Section):
    """How the service says [why](../predictions.md#reasons) a customer has a score.

    Training writes it into the cards.
    """

    groups: dict[GroupName, tuple[Column, ...]] = {}
    """Features that are one reason, by the reason's name: `recency = ["days_since_last", "engagement_score"]`."""
    words: dict[Column, Words] = {}
    """What a reason says of a feature, by its name: `tickets = "{value} support {ticket|tickets}"`.

    `{value}` stands for the customer's value, of a text for its category; of `{one|several}` the first is said if that
    is 1. The project's own features have words; another is "name is 12".
    """


class Config(_Section):
    """The whole file. `features` maps each model feature, in the models' order, to its column in the warehouse."""

    seed: int = Field(7, ge=0, lt=2**32)
    """Fixes every random choice: the same data and seed give the same model to the bit."""
    tables: Tables = Tables()
    """Names of tables."""
    columns: Columns = Columns()
    """Names of columns."""
    features: dict[str, FeatureSource] = Field({name: name for name in DEFAULT_FEATURES}, min_length=1)
    """Each model feature, in the models' order, and its column in the features, offers and churn tables.

    A [table](#an-entry-of-features-that-is-a-table) may stand in place of the column's name.
    """
    domains: dict[str, Domain] = {}
    """The values that a feature may have, by its name: a customer with another value gets no answer that reads it.

    The project's own features and categories [have theirs](../features.md#domains). An entry takes the place of one, so
    `[domains] engagement_score = {}` lets any number pass.
    """
    windows: Windows = Windows()
    """Windows of time."""
    reading: Reading = Reading()
    """Rows that are left out."""
    rfm: Rfm = Rfm()
    """How far RFM looks back."""
    evaluation: EvaluationOptions = EvaluationOptions()
    """How models are measured."""
    nbo: Nbo = Nbo()
    """When an offer counts as learnt."""
    gates: Gates = Gates()
    """What a model must reach."""
    thresholds: Bands = Bands()
    """The churn model's risk bands."""
    offers: tuple[CatalogueOffer, ...] = ()
    """The catalogue, 2 to 200 offers. Without it, the codes in the offers table are the catalogue and the names."""
    reasons: Reasons = Reasons()
    """How the service says why."""
    materialize: Materialize = Materialize()
    """Limits of a materialize run."""

    @model_validator(mode="after")
    def _has_data(self) -> "Config":
        if not (self.tables.features or self.tables.transactions):
            raise ValueError("tables: neither features nor transactions is named, so there are no features")
        if self.rfm.window_days is not None and not self.tables.transactions:
            raise ValueError(
                "rfm.window_days: counting back needs transactions: name their table under [tables], or remove the key"
            )
        return self

    @model_validator(mode="after")
    def _has_its_customers(self) -> "Config":
        if self.tables.customers is None:
            for name, source in self.features.items():
                if isinstance(source, Attribute) and source.table:
                    raise ValueError(
                        f"features.{name}: it is a column of the customers table: name that table under [tables]"
                    )
        names = self.feature_names
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"features: {name} is made twice, by a feature and by a category: rename the feature")
        return self

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The models' features, in their order: of a feature with categories one for each."""
        return tuple(made for name, source in self.features.items() for made in names_of(name, source))

    @property
    def categories(self) -> dict[str, dict[str, str]]:
        """By the name of an entry of `features` that has categories, the category that each of its features is of."""
        return {
            name: dict(zip(names_of(name, source), source.categories, strict=True))
            for name, source in self.features.items()
            if isinstance(source, Attribute) and source.categories is not None
        }

    @property
    def customer_features(self) -> dict[str, FeatureSource]:
        """Those of `features` that are columns of the customers table."""
        return {name: source for name, source in self.features.items() if self._is_of_customers(name, source)}

    @property
    def table_features(self) -> dict[str, FeatureSource]:
        """The others: columns of the features, offers and churn tables, or computed from transactions."""
        return {name: source for name, source in self.features.items() if not self._is_of_customers(name, source)}

    def _is_of_customers(self, name: str, source: FeatureSource) -> bool:
        if isinstance(source, Attribute) and source.table:
            return True
        is_computed = name in COMPUTED_FEATURES and isinstance(source, str)
        return self.tables.customers is not None and self.tables.features is None and not is_computed

    @model_validator(mode="after")
    def _features_have_names_of_their_own(self) -> Self:
        seen: dict[str, str] = {}
        for name in self.feature_names:
            if not name:
                raise ValueError("features: a feature has no name: give it one")
            if name.lower() in RESERVED:
                raise ValueError(f"features.{name}: the service has a column of this name: call the feature otherwise")
            if name.startswith("_"):
                raise ValueError(
                    f"features.{name}: names that begin with _ are the service's: call the feature otherwise"
                )
            if name.lower() in seen:
                raise ValueError(
                    f"features.{name}: {seen[name.lower()]} is the same name but for its case: rename one of them"
                )
            seen[name.lower()] = name
        return self

    @model_validator(mode="after")
    def _features_come_from_somewhere(self) -> Self:
        if self.tables.features is None and self.features_are_chosen:
            self.check_computable(self.table_features, self.computable())
        return self

    @model_validator(mode="after")
    def _domains_are_of_features(self) -> Self:
        known = tuple(dict.fromkeys((*self.feature_names, *DEFAULT_DOMAINS)))
        for name in self.domains:
            if name not in known:
                told = did_you_mean(name, known)
                raise ValueError(f"domains.{name}: there is no such feature{told}: name one of [features]")
        return self

    @model_validator(mode="after")
    def _reasons_are_of_features(self) -> Self:
        texts = self.categories
        known = tuple(dict.fromkeys((*self.feature_names, *texts, *DEFAULT_DOMAINS)))
        for group, members in self.reasons.groups.items():
            for name in members:
                if name not in known:
                    told = did_you_mean(name, known)
                    raise ValueError(
                        f"reasons.groups.{group}: there is no feature {name}{told}: name those of [features]"
                    )
        # A text's name stands for all of its categories.
        groups = {
            group: tuple(made for name in members for made in texts.get(name, (name,)))
            for group, members in self.reasons.groups.items()
        }
        features = tuple(name for name in known if name not in texts)
        if problem := problem_of_groups(groups, features) or problem_of_categories(texts, groups, self.feature_names):
            raise ValueError(f"reasons.groups: {problem}")
        for name in self.reasons.words:
            for text, made in texts.items():
                if name in made:
                    raise ValueError(
                        f"reasons.words.{name}: the categories of {text} are one reason: give the words of {text}"
                    )
            if name not in known:
                told = did_you_mean(name, known)
                raise ValueError(f"reasons.words.{name}: there is no such feature{told}: name one of [features]")
        if problem := problem_of_words(self.reasons.words):
            raise ValueError(f"reasons.words: {problem}")
        return self

    def domains_of(self, names: Iterable[str]) -> dict[str, Domain]:
        """Of those of the features that have one: as configured, else that of the feature of this name."""
        categories = {made: _CATEGORY for texts in self.categories.values() for made in texts}
        known = {**DEFAULT_DOMAINS, **categories, **self.domains}
        return {name: known[name] for name in names if name in known}

    @property
    def features_are_chosen(self) -> bool:
        """Whether [features] is in the file. If it is not, what needs a column that is not mapped is left out."""
        return "features" in self.model_fields_set

    def computable(self) -> tuple[str, ...]:
        """The features that transactions and offers can give, as their tables and columns are mapped."""
        columns = self.columns.transactions
        lacking = {f"{name}_count" for name in ("product", "service") if getattr(columns, name) is None}
        if self.tables.offers is None:
            lacking |= set(OFFER_FEATURES)
        return tuple(name for name in COMPUTED_FEATURES if name not in lacking)

    def check_computable(self, names: Iterable[str], known: Collection[str]) -> None:
        """Raises ValueError with the first of these features that is not among the known ones, and what to do."""
        for name in names:
            if name in known:
                continue
            if name in OFFER_FEATURES:
                raise ValueError(f"features.{name}: {NEEDS_OFFERS}, or remove the feature")
            if name in COMPUTED_FEATURES:
                column = name.removesuffix("_count")
                told, remedy = "", f"name the column {column} under [columns.transactions], or remove the feature"
            else:
                told = did_you_mean(name, known)
                remedy = (
                    f"they give {', '.join(known)}; correct the name, "
                    "or give it in the customers table, or in the features, churn and offers tables"
                )
            raise ValueError(f"features.{name}: transactions cannot give this feature{told}: {remedy}")

    @model_validator(mode="after")
    def _has_a_catalogue(self) -> "Config":
        codes = [offer.offer_id for offer in self.offers]
        if codes and not MIN_OFFERS <= len(codes) <= MAX_OFFERS:
            raise ValueError(
                f"offers: there must be {MIN_OFFERS} to {MAX_OFFERS} offers, but there are {len(codes)}: change the "
                "[[offers]], or leave them all out"
            )
        explored = sum(offer.explore for offer in self.offers)
        if explored > 1 + 1e-9:  # shares such as 0.1 are not exact
            raise ValueError(
                f"offers: the explore shares of all offers are {explored:g} together, over 1, and there are no more "
                "customers to give them to: lower some of them"
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
                explore=offer.explore or None,
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
    problems = list(_unknown(fields, Config, ""))
    try:
        config = Config.model_validate(fields, context={"folder": path.parent})
    except ValidationError as error:
        problems += [
            _sentence(each)
            for each in error.errors(include_url=False, include_input=False)
            if each["type"] != "extra_forbidden" or not problems
        ]
    if problems:
        raise Problem(f"The configuration {path} is not valid: {' '.join(problems)}")
    return config


def _sentence(error: "ErrorDetails") -> str:
    place = [str(part) for part in error["loc"] if part not in (_NAME, _QUERY, _COLUMN, _ATTRIBUTE)]
    return ": ".join(filter(None, [".".join(place), f"{problem_in(error)}."]))


_NOT_WORSE = "not to be worse than BG/NBD is enough, by auc_below_baselines and log_loss_over_baselines"
REMOVED = {
    "gates.auc_over_bg_nbd": _NOT_WORSE,
    "gates.log_loss_under_bg_nbd": _NOT_WORSE,
    "gates.offer_auc": "the lower bound of every model's AUC must be over auc_floor",
}
"""Keys that older configurations have, and why they are gone."""


def _unknown(value: Any, kind: Any, place: str) -> Iterator[str]:
    """A sentence for each key that is not known, such as "windows.churn_day: is not known: did you mean churn_days?".

    Sections that are the same in a model's card take other keys there, as a later version may have written it.
    """
    if isinstance(value, list):
        for number, each in enumerate(value):
            yield from _unknown(each, kind, f"{place}.{number}")
        return
    if not isinstance(value, dict):
        return
    if get_origin(kind) is dict:  # its keys are the user's own
        for key, inner in value.items():
            yield from _unknown(inner, get_args(kind)[1], f"{place}.{key}")
        return
    section = _section(kind)
    if section is None:
        return
    for key, inner in value.items():
        where = f"{place}.{key}" if place else key
        if key in section.model_fields:
            yield from _unknown(inner, section.model_fields[key].annotation, where)
        elif where in REMOVED:
            yield f"{where}: is no longer a key, because {REMOVED[where]}: remove it."
        else:
            meant = nearest(key, section.model_fields)
            known = f"did you mean {meant}?" if meant else f"known here: {', '.join(section.model_fields)}."
            yield f"{where}: is not known: {known}"


def _section(kind: Any) -> type[BaseModel] | None:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind
    return next(filter(None, map(_section, get_args(kind))), None)
