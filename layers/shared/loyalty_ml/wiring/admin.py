"""What functions/admin is made of."""

from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from loyalty_ml.api.models import ModelRegistry
from loyalty_ml.api.page import SignIn
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

    @property
    def sign_in(self) -> SignIn | None:
        """How the page signs in; None if it has no client of an issuer."""
        own = self.settings
        if not own.jwt_issuer or not own.page_client_id:
            return None
        # Cognito's tokens have the client for an audience, and it takes nobody's word for another.
        audience = None if own.page_client_id in own.access.audiences else own.jwt_audience
        return SignIn(own.jwt_issuer, own.page_client_id, audience, own.page_token_origin)
