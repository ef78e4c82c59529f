"""Which version of an object a notification is about, where it does not say."""

from typing import TYPE_CHECKING

from loyalty_ml.aws.errors import asking
from loyalty_ml.files.source import FileSource

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NO_VERSION = "null"
"""S3's name for the version of an object that was put while its bucket had no versions."""


def find_version(s3: "S3Client", bucket: str, key: str, etag: str) -> FileSource | None:
    """The newest version of the object that has this ETag: the bytes that are meant, whichever version holds them.

    None where there is none any more: it was deleted, or replaced where the bucket keeps no versions. Raises
    StoreUnavailable.
    """
    with asking("results", "The versions of the file cannot be listed in the data bucket"):
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key):
            for version in page.get("Versions", []):
                if version["Key"] != key:
                    return None  # a key comes before all that it is the beginning of
                if version["ETag"].strip('"') == etag:
                    version_id = None if version["VersionId"] == NO_VERSION else version["VersionId"]
                    return FileSource(bucket, key, version_id, etag, version["Size"])
    return None
