"""python -m training.publish: a model set from a folder into the model bucket, where the functions find it.

The immutable files go first, then one conditional write of the manifest makes the set the active one.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from loyalty_ml.manifest import (
    MANIFEST_KEY,
    Manifest,
    Refused,
    card_key,
    check_content,
    model_key,
    parse_card,
    parse_manifest,
    path_in,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def main(arguments: list[str] | None = None) -> int:
    options = _arguments(arguments)
    try:
        manifest = publish(boto3.client("s3"), options.bucket, options.models)
    except KeyboardInterrupt:
        return _fail(f"stopped; the active set in {options.bucket} is a whole one, the old or the new.", 130)
    except FileNotFoundError as error:
        return _fail(f"there is no {error.filename}: train a model set first, or name its folder with --models.")
    except (Refused, PublishConflict) as error:
        return _fail(str(error))
    except ClientError as error:
        code = error.response["Error"]["Code"]
        return _fail(f"S3 answered {code} for {options.bucket}: check the bucket's name and your permissions.")
    except BotoCoreError as error:
        return _fail(f"S3 could not be asked ({error}): check your credentials, region and network.")
    for name, active in sorted(manifest.models.items()):
        print(f"{name} {active.version}")
    print(f"This set is now the active one in {options.bucket}; the functions take it up within a minute.")
    return 0


class PublishConflict(Exception):
    """Someone else published in between: nothing of the active set was changed."""


def publish(s3: "S3Client", bucket: str, folder: Path) -> Manifest:
    """Publishes the set whose manifest is `folder`/manifest.json; the folder mirrors what is below `models/`.

    Raises FileNotFoundError or manifest.Refused where the folder does not hold a whole set, PublishConflict where the
    active manifest changed meanwhile, and botocore's errors. Until the last write, the old set is the active one.
    """

    def content(key: str) -> bytes:
        return path_in(folder, key).read_bytes()

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


def _fail(sentence: str, code: int = 1) -> int:
    print(f"publish: {sentence}", file=sys.stderr)
    return code


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m training.publish",
        description="Publishes a model set: uploads its models and cards, then makes it the active one in one write. "
        "Versions are immutable, so what is uploaded already is left as it is.",
    )
    parser.add_argument("--bucket", required=True, help="the model bucket, ModelBucketName among the stack's outputs")
    parser.add_argument(
        "--models", type=Path, default=Path("models"), metavar="DIR", help="the set's folder (default: models)"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
