"""The environment variables of each function. template.yaml sets just these.

A function's model requires what that function reads, and has nothing else.
"""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from loyalty_ml.api.access import Access
from loyalty_ml.vocabulary import MockMode


class Settings(BaseModel):
    """What every function reads."""

    # A missing variable is logged, and what stands beside it in the environment is nobody's business.
    model_config = ConfigDict(hide_input_in_errors=True, frozen=True)

    model_bucket: str = Field(alias="MODEL_BUCKET", min_length=1, description="The bucket of models and their manifest")
    data_bucket: str = Field(
        alias="DATA_BUCKET", min_length=1, description="The bucket of feature snapshots, files and results"
    )
    ml_mock_mode: MockMode = Field(
        "false",
        alias="ML_MOCK_MODE",
        description="`auto`: mock data for a type whose model was never published; `true`: always; `false`: never",
    )
    segment_statistics_table: str = Field(
        alias="SEGMENT_STATISTICS_TABLE",
        min_length=1,
        description="The table of segments' statistics, which also tell that a model was published once",
    )
    # /tmp is the one folder that a Lambda function may write to.
    model_cache: Path = Field(
        Path("/tmp/loyalty-models"),  # noqa: S108
        alias="MODEL_CACHE",
        description="The folder where models are kept between processes of one instance",
    )

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """Raises pydantic.ValidationError if a variable is missing."""
        return cls.model_validate(dict(environment))


class _Callers(Settings):
    """Of the functions behind the API. Both have to be said, so that nothing is open to all by oversight."""

    jwt_issuer: str = Field(
        alias="JWT_ISSUER",
        description="The issuer of the tokens, whose claims are checked again behind the gateway. Empty on a "
        "developer's machine: nobody is asked for a token",
    )
    jwt_audience: str = Field(
        alias="JWT_AUDIENCE", description="The audiences that a token may be for, with a space between them"
    )

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if bool(self.jwt_issuer) != bool(self.jwt_audience.split()):
            raise ValueError("JWT_ISSUER and JWT_AUDIENCE are set together: set the one that is empty.")
        return self

    @cached_property
    def access(self) -> Access:
        return Access(self.jwt_issuer, frozenset(self.jwt_audience.split()))


class CustomerSettings(Settings):
    """Of the functions that look customers up by id."""

    customers_table: str = Field(
        alias="CUSTOMERS_TABLE", min_length=1, description="The table of customers' features by id"
    )


class PredictSettings(CustomerSettings, _Callers):
    """Of functions/predict."""


class JobSettings(Settings):
    """Of the functions that work with jobs."""

    jobs_table: str = Field(alias="JOBS_TABLE", min_length=1, description="The table of jobs")


class SegmentJobSettings(JobSettings):
    """Of the functions that start segments' jobs."""

    segments_table: str = Field(alias="SEGMENTS_TABLE", min_length=1, description="The table of segment definitions")
    segment_queue_url: str = Field(
        alias="SEGMENT_QUEUE_URL", min_length=1, description="The queue of what functions/segment_worker does"
    )


class _Snapshots(Settings):
    snapshot_cache: Path = Field(
        Path("/tmp/loyalty-snapshots"),  # noqa: S108
        alias="SNAPSHOT_CACHE",
        description="The folder where feature snapshots are kept between processes of one instance",
    )


class _Datasets(Settings):
    dataset_state_machine_arn: str = Field(
        alias="DATASET_STATE_MACHINE_ARN", min_length=1, description="The state machine that scores datasets"
    )


class SigningSettings(Settings):
    """Of the functions that give away addresses of objects."""

    signing_role_arn: str = Field(
        alias="SIGNING_ROLE_ARN",
        min_length=1,
        description="The role that addresses of objects are signed in, whose credentials say when they end",
    )


class BatchSettings(PredictSettings, SegmentJobSettings, SigningSettings, _Datasets):
    """Of functions/batch."""


class AdminSettings(_Callers):
    """Of functions/admin."""

    page_client_id: str = Field(
        "",
        alias="PAGE_CLIENT_ID",
        description="What the issuer knows the page by. Empty: the page asks for a token instead of signing in",
    )
    page_token_origin: str = Field(
        "",
        alias="PAGE_TOKEN_ORIGIN",
        description="The origin that the issuer gives tokens at, if it is not the issuer's own",
    )


class SegmentServiceSettings(SegmentJobSettings, _Snapshots):
    """Of the functions that answer about segments."""


class SegmentSettings(SegmentServiceSettings, SigningSettings, _Callers):
    """Of functions/segment."""


class SegmentWorkerSettings(SegmentServiceSettings, CustomerSettings, _Datasets):
    """Of functions/segment_worker."""

    statistics_queue_url: str = Field(
        alias="STATISTICS_QUEUE_URL",
        min_length=1,
        description="The queue of the statistics of all segments, which no caller's job waits behind",
    )
    feature_max_age_hours: float = Field(
        48,
        alias="FEATURE_MAX_AGE_HOURS",
        gt=0,
        description="Hours after which the features of the current snapshot are too old",
    )


class FilesSettings(JobSettings, _Snapshots):
    """Of functions/files."""

    file_queue_url: str = Field(
        alias="FILE_QUEUE_URL", min_length=1, description="The queue of what functions/files does"
    )
    file_work: Path = Field(
        Path("/tmp/loyalty-files"),  # noqa: S108
        alias="FILE_WORK",
        description="The folder where a file is worked on",
    )
