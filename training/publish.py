"""A model set from a folder into the model bucket: immutable files, then one conditional write of the manifest."""

from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from loyalty_ml.manifest import MANIFEST_KEY, Manifest, card_key, check_content, model_key, parse_card, parse_manifest

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class PublishConflict(Exception):
    """Someone else published in between: nothing of the active set was changed."""


def publish(s3: "S3Client", bucket: str, folder: Path) -> Manifest:
    """Publishes the set whose manifest is `folder`/manifest.json; the folder mirrors what is below `models/`.

    Raises FileNotFoundError or manifest.Refused where the folder does not hold a whole set, PublishConflict where the
    active manifest changed meanwhile, and botocore's errors. Until the last write, the old set is the active one.
    """

    def content(key: str) -> bytes:
        return (folder / key.removeprefix("models/")).read_bytes()

    text = content(MANIFEST_KEY)
    manifest = parse_manifest(text)
    files: dict[str, bytes] = {}
    for name, active in manifest.models.items():
        key = card_key(name, active.version)
        files[key] = content(key)
        card = parse_card(files[key], name, active.version, active.card_sha256)
        key = model_key(name, active.version)
        files[key] = content(key)
        check_content(files[key], key, card.file.sha256, card.file.size)
    before = _etag(s3, bucket)
    for key, body in files.items():
        try:
            s3.put_object(Bucket=bucket, Key=key, Body=body, IfNoneMatch="*")
        except ClientError as error:
            if error.response["Error"]["Code"] != "PreconditionFailed":
                raise
            # The version is there already, and versions never change.
    try:
        if before is None:
            s3.put_object(Bucket=bucket, Key=MANIFEST_KEY, Body=text, IfNoneMatch="*")
        else:
            s3.put_object(Bucket=bucket, Key=MANIFEST_KEY, Body=text, IfMatch=before)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict"):
            raise PublishConflict(
                "Another model set was published meanwhile: look at it, then publish again."
            ) from error
        raise
    return manifest


def _etag(s3: "S3Client", bucket: str) -> str | None:
    try:
        return s3.head_object(Bucket=bucket, Key=MANIFEST_KEY)["ETag"]
    except ClientError as error:
        if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
            return None
        raise
