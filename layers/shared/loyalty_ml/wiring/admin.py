"""What functions/admin is made of."""

from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from loyalty_ml.api.models import ModelRegistry
from loyalty_ml.customers import snapshot
from loyalty_ml.wiring import clients
from loyalty_ml.wiring.predict import ModelParts
from loyalty_ml.wiring.settings import AdminSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class AdminParts(ModelParts):
    settings: AdminSettings

    def __init__(self, settings: AdminSettings) -> None:
        super().__init__(settings)

    @cached_property
    def signing_s3(self) -> "S3Client":
        return clients.signing_s3()

    @cached_property
    def registry(self) -> ModelRegistry:
        return ModelRegistry(
            self.s3,
            self.settings.model_bucket,
            lambda: snapshot.read_current(self.s3, self.settings.data_bucket),
        )

    @cached_property
    def upload_origin(self) -> str:
        """Where the addresses that jobs give away lead to: such as https://{bucket}.s3.eu-west-1.amazonaws.com."""
        url = urlsplit(self.signing_s3.generate_presigned_post(self.settings.data_bucket, "incoming/")["url"])
        return f"{url.scheme}://{url.netloc}"
