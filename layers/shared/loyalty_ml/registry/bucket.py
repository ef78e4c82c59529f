"""The model bucket as publishing sees it: objects that are written once, and one that is replaced under a condition."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from loyalty_ml.models.document import Refused, read_object, to_json
from loyalty_ml.models.manifest import MANIFEST_KEY, Manifest, parse_manifest

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_WRITTEN_MEANWHILE = ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey")


class RegistryProblem(Exception):
    """The active set was not changed, or nobody knows. The message is a sentence: what is wrong, then what to do."""


class PublishConflict(RegistryProblem):
    """Someone else changed the active set in between; this change did nothing to it."""


class NoSuchObject(Refused):
    """There is no object with this key in the bucket."""

    def __init__(self, key: str, bucket: str) -> None:
        super().__init__(
            f"There is no {key} in {bucket}: see what there is with 'loyalty models list --bucket {bucket}', or "
            "publish the model set that has it."
        )
        self.key = key


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """The manifest's bytes and their ETag, both None where none was ever written."""

    text: bytes | None = None
    etag: str | None = None

    def parsed(self) -> Manifest | None:
        """Raises Refused."""
        return None if self.text is None else parse_manifest(self.text)


@dataclass(frozen=True, slots=True)
class ModelBucket:
    """Every method raises botocore's errors too."""

    s3: "S3Client"
    name: str

    def read(self, key: str) -> bytes:
        """Raises NoSuchObject, and Refused for one that is too large to be anything of a model set."""
        try:
            return read_object(self.s3.get_object(Bucket=self.name, Key=key), key)
        except ClientError as error:
            if _code(error) == "NoSuchKey":
                raise NoSuchObject(key, self.name) from error
            raise

    def sizes(self) -> dict[str, int]:
        """The size in bytes of everything below `models/`, by key."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix="models/")
        return {entry["Key"]: entry["Size"] for page in pages for entry in page.get("Contents", ())}

    def upload(self, files: Mapping[str, bytes]) -> None:
        """Writes objects that never change. Raises Refused where one is there with another content."""
        for key, content in files.items():
            try:
                self.s3.put_object(Bucket=self.name, Key=key, Body=content, IfNoneMatch="*")
            except ClientError as error:
                if _code(error) not in _WRITTEN_MEANWHILE:
                    raise
                if self.read(key) != content:
                    raise Refused(
                        f"{key} in {self.name} is not the file of that version, and versions never change: delete that "
                        "object and publish again, or train a new version."
                    ) from error

    def stored_manifest(self) -> StoredManifest:
        try:
            answer = self.s3.get_object(Bucket=self.name, Key=MANIFEST_KEY)
        except ClientError as error:
            if _code(error) == "NoSuchKey":
                return StoredManifest()
            raise
        return StoredManifest(read_object(answer, MANIFEST_KEY), answer["ETag"])

    def replace_manifest(self, found: StoredManifest, manifest: Manifest) -> None:
        """Writes the manifest where the stored one is still the one that was found.

        Raises PublishConflict where it is not, RegistryProblem where S3's answer got lost.
        """
        text = to_json(manifest)
        try:
            if found.etag is None:
                self.s3.put_object(Bucket=self.name, Key=MANIFEST_KEY, Body=text, IfNoneMatch="*")
            else:
                self.s3.put_object(Bucket=self.name, Key=MANIFEST_KEY, Body=text, IfMatch=found.etag)
        except (ClientError, BotoCoreError) as error:
            # boto3 sends a write again whose answer got lost, and then the first one is in the way of the second.
            if self._holds(text):
                return
            if isinstance(error, BotoCoreError):
                raise RegistryProblem(
                    f"S3's answer got lost ({error}), and with it whether the set is active: see what "
                    f"'loyalty models list --bucket {self.name}' says, and run this again if it is not."
                ) from error
            if _code(error) in _WRITTEN_MEANWHILE:
                raise self._conflict() from error
            raise

    def check_manifest_is_still(self, found: StoredManifest) -> None:
        """Raises PublishConflict where it is not."""
        if self.stored_manifest().etag != found.etag:
            raise self._conflict()

    def _conflict(self) -> PublishConflict:
        return PublishConflict(
            "Another model set was published meanwhile, and is active: look at it with 'loyalty models list "
            f"--bucket {self.name}', then run this again if it is still wanted."
        )

    def _holds(self, manifest: bytes) -> bool:
        try:
            return self.stored_manifest().text == manifest
        except (ClientError, BotoCoreError):
            return False


def _code(error: ClientError) -> str:
    return error.response["Error"]["Code"]
