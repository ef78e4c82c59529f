"""What the SQL needs to know of a deployed stack: addresses, roles, and the features of the models that are active."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from loyalty_ml.errors import ModelUnavailable
from loyalty_ml.models.store import ModelStore
from loyalty_ml.scoring.scorers import scorer_for
from loyalty_ml.vocabulary import PREDICTION_TYPES, PredictionType
from training.errors import Problem

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True, slots=True)
class Deployed:
    """stack:          its name.
    function_arn:   of the alias that Redshift calls.
    api_url:        the API's base address.
    redshift_role:  the role that Redshift takes on; "" if the stack knows none.
    snowflake_role: the role that Snowflake takes on; "" if the stack has none yet.
    features:       by type, what a function by features takes, in order.
    offer_codes:    of the active catalogue.
    """

    stack: str
    function_arn: str
    api_url: str
    redshift_role: str
    snowflake_role: str
    features: Mapping[PredictionType, Sequence[str]]
    offer_codes: Sequence[str]

    @property
    def partition(self) -> str:
        return self.function_arn.split(":")[1]

    @property
    def account(self) -> str:
        return self.function_arn.split(":")[4]


def look(stack: str) -> Deployed:
    """Raises Problem, Refused and botocore's errors."""
    import boto3  # noqa: PLC0415  as all of training's commands do

    described = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    outputs = {each["OutputKey"]: each["OutputValue"] for each in described.get("Outputs", [])}
    parameters = {each["ParameterKey"]: each["ParameterValue"] for each in described.get("Parameters", [])}
    missing = {"ApiUrl", "SqlFunctionArn", "ModelBucketName"} - outputs.keys()
    if missing:
        raise Problem(
            f"The stack {stack} has no output {', '.join(sorted(missing))}: check its name, or deploy it again first."
        )
    features, offer_codes = _active(boto3.client("s3"), outputs["ModelBucketName"])
    return Deployed(
        stack=stack,
        function_arn=outputs["SqlFunctionArn"],
        api_url=outputs["ApiUrl"],
        redshift_role=parameters.get("RedshiftRoleArn", ""),
        snowflake_role=outputs.get("SnowflakeRoleArn", ""),
        features=features,
        offer_codes=offer_codes,
    )


def _active(s3: "S3Client", bucket: str) -> tuple[dict[PredictionType, Sequence[str]], list[str]]:
    with TemporaryDirectory() as cache:
        models = ModelStore(s3, bucket, Path(cache)).current()
    try:
        scorers = {name: scorer_for(name, models, "false") for name in PREDICTION_TYPES}
    except ModelUnavailable as error:
        raise Problem(f"What functions by features take is not known. {error.message}") from error
    return (
        {name: scorer.features for name, scorer in scorers.items()},
        [offer.offer_code for offer in scorers["nbo"].offers],
    )
