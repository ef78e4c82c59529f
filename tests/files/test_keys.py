"""What a key says: which file, what to predict, and that it may be any name."""

import json
from typing import Any
from urllib.parse import quote_plus

import pytest

from functions.files import app as files_function
from local.gateway import LambdaContext
from loyalty_ml.jobs.record import Job
from tests.files.deployed import Files
from tests.files.writings import as_csv
from tests.service import GOOD, process

pytestmark = pytest.mark.moto

CSV = as_csv([["a", *GOOD.values()]])


def notify(files: Files, key: str, content: bytes) -> Job:
    """Puts an object, and brings the function what S3 says of it; gives the newest job of that key."""
    put = files.service.s3.put_object(Bucket=files.bucket, Key=key, Body=content)
    about = {
        "key": quote_plus(key),
        "size": len(content),
        "eTag": put["ETag"].strip('"'),
        "versionId": put["VersionId"],
    }
    named = {"bucket": {"name": files.bucket}, "object": about}
    event = {"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": named}]}
    context: Any = LambdaContext("FilesFunction", 900)
    files_function.handler(event, context)
    return next(job for job in process().batch.jobs.list(20)[0] if job.request["key"] == key)


@pytest.mark.parametrize(
    "name", ["a b", "a+b", "größe %41", "a/../../b", "../a", "=1", "a'\"b", "a\\b", "🙂", "a?b&c#d"]
)
def test_a_file_may_have_any_name(files: Files, name: str) -> None:
    key = f"incoming/rfm/{name}.csv"
    job = notify(files, key, CSV)
    assert (job.status, job.processed, job.errors) == ("succeeded", 1, 0)
    assert job.summary is not None
    assert json.loads(files.read(job.summary["files"]["summary"]))["key"] == key


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("incoming/CHURN/a.csv", "'incoming/CHURN/a.csv' is in none of the folders incoming/churn/"),
        ("incoming/a.csv", "'incoming/a.csv' is in none of the folders"),
    ],
)
def test_a_key_that_does_not_say_what_it_is_is_a_failed_job(files: Files, key: str, sentence: str) -> None:
    job = notify(files, key, CSV)
    assert (job.status, job.code) == ("failed", "INVALID_FILE")
    assert job.error is not None
    assert job.error.startswith(sentence)
