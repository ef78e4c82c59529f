"""Jobs over HTTP: an address to upload a file to, datasets started, jobs listed and watched, results to be had."""

import base64
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

import pytest
import requests

from loyalty_ml.errors import InvalidRequest
from loyalty_ml.files.job_store import Asked
from loyalty_ml.files.source import FileJobRequest, FileSource, options_of, type_of
from loyalty_ml.jobs.record import Job, JobStatus, new_item
from loyalty_ml.jobs.store import JobStore
from loyalty_ml.segments.definition import SegmentDefinition
from loyalty_ml.vocabulary import FileFormat, FileType
from tests.files.writings import written_as
from tests.service import BASE, Answer, Service, process, put_in_place

pytestmark = pytest.mark.moto

SOURCE = FileSource("data", "incoming/nbo/customers.csv", "v1", "e1", 12_345)
JOB = FileJobRequest(SOURCE, "nbo", "1" * 32)


@pytest.fixture
def service(new_service: Callable[[], Service]) -> Service:
    """One that has nothing but jobs."""
    return new_service()


def post(service: Service, body: Any) -> Answer:
    return service.call("POST", "/ml/jobs", body)


def get(service: Service, job_id: str) -> dict[str, Any]:
    answer = service.call("GET", f"/ml/jobs/{job_id}")
    assert answer.status == 200
    return answer.body


def listing(service: Service, **query: str) -> Answer:
    return service.call("GET", "/ml/jobs", queryStringParameters=query)


def put_result(service: Service, key: str, content: bytes) -> str:
    service.s3.put_object(Bucket=service.ids["DataBucket"], Key=key, Body=content)
    return key


def a_clock() -> Callable[[], datetime]:
    """A minute later each time."""
    minutes = iter(range(10_000))
    return lambda: datetime(2026, 11, 23, tzinfo=UTC) + timedelta(minutes=next(minutes))


def jobs_of(service: Service, dynamodb: Any = None, **settings: Any) -> JobStore:
    return JobStore(
        dynamodb or service.dynamodb,
        service.s3,
        table=service.ids["JobsTable"],
        bucket=service.ids["DataBucket"],
        now=a_clock(),
        **settings,
    )


@pytest.mark.parametrize("extension", get_args(FileFormat))
def test_an_upload_goes_where_it_is_scored(service: Service, extension: FileFormat) -> None:
    answer = post(service, {"type": "rfm", "format": extension})
    assert answer.status == 201
    job_id, upload = answer.body["job_id"], answer.body["upload"]
    assert answer.body["status"] == "awaiting_upload"
    assert answer.body["location"] == answer.headers["Location"] == f"{BASE}/ml/jobs/{job_id}"
    assert upload["method"] == "POST"
    sent = requests.post(
        upload["url"], data=upload["fields"], files={"file": ("any name.csv", b"customer_id\n1\n")}, timeout=10
    )
    assert sent.ok
    (stored,) = service.s3.list_objects_v2(Bucket=service.ids["DataBucket"])["Contents"]
    assert stored["Size"] == len(b"customer_id\n1\n")
    assert (type_of(stored["Key"]), written_as(stored["Key"]).extension) == ("rfm", extension)
    assert process().batch.file_jobs.job_id_for(FileSource("b", stored["Key"], "v1", "e", 1)) == job_id
    body = get(service, job_id)
    assert (body["kind"], body["status"]) == ("file", "queued")
    assert body["request"] == {"type": "rfm", "format": extension, "key": stored["Key"]}


def test_an_uploads_address_is_for_one_key_one_hour_and_five_gigabytes(service: Service) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    upload = post(service, {"format": "csv"}).body["upload"]
    after = datetime.now(UTC)
    bucket = service.ids["DataBucket"]
    assert upload["url"] == f"https://{bucket}.s3.eu-west-1.amazonaws.com/"
    assert upload["fields"]["x-amz-algorithm"] == "AWS4-HMAC-SHA256"
    policy = json.loads(base64.b64decode(upload["fields"]["policy"]))
    assert {"bucket": bucket} in policy["conditions"]
    assert {"key": upload["fields"]["key"]} in policy["conditions"]
    assert ["content-length-range", 1, upload["max_bytes"]] in policy["conditions"]
    assert upload["max_bytes"] == 5 * 1024**3
    expires = datetime.fromisoformat(upload["expires"])
    hour = timedelta(hours=1)
    assert before + hour <= expires <= datetime.fromisoformat(policy["expiration"]) <= after + hour
    assert upload["fields"]["key"].startswith("incoming/churn/uploads/"), "churn is what is meant where none is named"


@pytest.mark.smoke
def test_two_uploads_are_two_jobs(service: Service) -> None:
    first, second = (post(service, {"format": "csv"}).body for _ in range(2))
    assert first["job_id"] != second["job_id"]
    assert first["upload"]["fields"]["key"] != second["upload"]["fields"]["key"]


@pytest.mark.parametrize(
    ("body", "field", "sentence"),
    [
        ({}, "body", "exactly one of format, prefix and segment_id"),
        ({"format": None}, "body", "exactly one of"),
        ({"format": "csv", "prefix": "datasets/a/"}, "body", "exactly one of"),
        ({"format": "csv", "prefix": "datasets/a/", "segment_id": "vip"}, "body", "exactly one of"),
        ({"format": "xlsx"}, "format", "'csv', 'csv.gz', 'csv.zst', 'jsonl', 'jsonl.gz', 'jsonl.zst' or 'parquet'"),
        ({"format": ["csv"]}, "format", "'csv'"),
        ({"format": "csv", "key": "incoming/x.csv"}, "key", "is not known"),
        ({"prefix": "incoming/churn/"}, "prefix", "must begin with datasets/"),
        ({"prefix": "Datasets/a/"}, "prefix", "must begin with datasets/"),
        ({"prefix": "/datasets/a/"}, "prefix", "must begin with datasets/"),
        ({"prefix": "results/\ndatasets/"}, "prefix", "must begin with datasets/"),
        ({"prefix": "datasets/../results/"}, "prefix", "must not have .."),
        ({"prefix": "datasets/a/.."}, "prefix", "must not have .."),
        ({"prefix": "datasets/" + 504 * "x"}, "prefix", "at most 512"),
        ({"prefix": 7}, "prefix", "must be text"),
        ({"segment_id": ""}, "segment_id", "must not be empty"),
        ({"segment_id": 65 * "x"}, "segment_id", "at most 64"),
    ],
)
def test_a_request_for_no_job_is_refused_and_leaves_none(
    service: Service, body: dict[str, Any], field: str, sentence: str
) -> None:
    answer = post(service, body)
    assert (answer.status, answer.body["code"]) == (400, "INVALID_REQUEST")
    (problem,) = answer.body["details"]["fields"]
    assert problem["field"] == field
    assert sentence in problem["problem"]
    assert listing(service).body == {"jobs": [], "next": None}


def test_an_unknown_type_is_told_the_four_there_are(service: Service) -> None:
    answer = post(service, {"type": "ltv", "format": "csv"})
    assert (answer.status, answer.body["code"]) == (400, "UNKNOWN_TYPE")
    assert answer.body["details"] == {"types": list(get_args(FileType))}
    single = service.predict("1", "ltv")
    assert (single.status, single.body["details"]) == (400, answer.body["details"])


class Datasets:
    """In the place of what starts datasets: records them, and is told what was asked."""

    def __init__(self, outcome: Exception | None = None) -> None:
        self._outcome = outcome

    def start(self, prediction_type: str, prefix: str, keep: Sequence[str], job_id: str, *, explain: bool) -> Job:
        if self._outcome:
            raise self._outcome
        options = options_of(keep, explain=explain)
        return process().batch.jobs.record("dataset", {"type": prediction_type, "prefix": prefix, **options}, job_id)


@pytest.mark.smoke
@pytest.mark.parametrize(
    "request_",
    [
        {"type": "all", "prefix": "datasets/2026-11/a..b/é +/"},
        {"type": "rfm", "prefix": "datasets/2026-11/", "keep": ["name", "Größe"], "explain": True},
        {"type": "nbo", "segment_id": "high-value"},
    ],
)
def test_a_dataset_is_started(service: Service, request_: dict[str, Any]) -> None:
    put_in_place(process().batch, datasets=Datasets())
    everyone = SegmentDefinition(segment_name="High Value", rule={})
    process().batch.segments.put("high-value", everyone)
    answer = post(service, request_)
    assert answer.status == 202
    location = f"{BASE}/ml/jobs/{answer.body['job_id']}"
    assert answer.body == {"job_id": answer.body["job_id"], "status": "queued", "location": location}
    assert (answer.headers["Location"], answer.headers["Retry-After"]) == (location, "2")
    body = get(service, answer.body["job_id"])
    assert (body["kind"], body["request"]) == ("dataset", request_)
    assert body["progress"] == {"processed": 0, "total": None, "errors": 0, "share": None, "rate": None}


def test_an_upload_is_explained_if_it_was_announced_so(service: Service) -> None:
    answer = post(service, {"type": "rfm", "format": "csv", "explain": True})
    assert get(service, answer.body["job_id"])["request"]["explain"] is True
    source = FileSource("b", answer.body["upload"]["fields"]["key"], "v1", "e", 1)
    assert process().batch.file_jobs.job_for(source) == Asked(answer.body["job_id"], (), explain=True)
    for wrong in ("yes", 1, None):
        assert post(service, {"format": "csv", "explain": wrong}).status == 400


@pytest.mark.parametrize(("keep", "kept"), [("*", ("*",)), (["name", "city"], ("name", "city"))])
def test_an_upload_s_own_columns_travel_if_it_was_announced_so(service: Service, keep: Any, kept: Any) -> None:
    answer = post(service, {"type": "rfm", "format": "csv", "keep": keep})
    assert get(service, answer.body["job_id"])["request"]["keep"] == list(kept)
    source = FileSource("b", answer.body["upload"]["fields"]["key"], "v1", "e", 1)
    for _ in range(2):  # S3 may tell twice
        assert process().batch.file_jobs.job_for(source) == Asked(answer.body["job_id"], kept)
    another = process().batch.file_jobs.job_for(FileSource("b", source.key, "v2", "e", 1))
    assert another.keep == ()


@pytest.mark.parametrize(
    "request_",
    [
        {"segment_id": "high-value", "keep": "*"},
        {"prefix": "datasets/a/", "keep": []},
        {"prefix": "datasets/a/", "keep": "name"},
        {"prefix": "datasets/a/", "keep": [""]},
        {"prefix": "datasets/a/", "keep": ["*", "name"]},
        {"format": "csv", "keep": [1]},
    ],
)
def test_columns_to_keep_are_names_of_a_file(service: Service, request_: dict[str, Any]) -> None:
    answer = post(service, request_)
    assert (answer.status, answer.body["code"]) == (400, "INVALID_REQUEST")
    assert "keep" in answer.body["error"]
    assert {problem["field"] for problem in answer.body["details"]["fields"]} <= {"body", "keep", "keep.0"}


def test_a_dataset_that_is_none_is_refused(service: Service) -> None:
    error = InvalidRequest.of("prefix", "there is nothing below it")
    put_in_place(process().batch, datasets=Datasets(error))
    answer = post(service, {"prefix": "datasets/none/"})
    assert (answer.status, answer.body["code"], answer.body["error"]) == (400, error.code, error.message)
    answer = post(service, {"segment_id": "nobody"})
    assert (answer.status, answer.body["code"]) == (404, "SEGMENT_NOT_FOUND")
    assert listing(service).body == {"jobs": [], "next": None}


def test_a_files_job_shows_how_far_it_is(service: Service) -> None:
    files = process().batch.file_jobs
    files.claim(JOB, "one")
    body = get(service, JOB.job_id)
    assert body.pop("created") <= body.pop("updated")
    assert body == {
        "job_id": JOB.job_id,
        "kind": "file",
        "status": "running",
        "progress": {"processed": 0, "total": None, "errors": 0, "share": None, "rate": None},
        "request": {"type": "nbo", "key": SOURCE.key, "version_id": "v1", "size": 12_345},
    }
    files.leases.beat(JOB.job_id, "one", {"processed": 400, "errors": 3, "share": 0.5})
    progress = get(service, JOB.job_id)["progress"]
    assert progress.pop("rate") > 0
    assert progress == {"processed": 400, "total": None, "errors": 3, "share": 0.5}
    sentence = "The file ends within a gzip member: upload it again."
    files.leases.fail(JOB.job_id, "one", "INVALID_FILE", sentence, final=True)
    failed = get(service, JOB.job_id)
    assert (failed["status"], failed["code"]) == ("failed", "INVALID_FILE")
    assert failed["error"] == sentence
    assert failed.keys().isdisjoint({"answer", "summary", "results"})


@pytest.mark.smoke
def test_a_files_results_can_be_had(service: Service) -> None:
    folder = f"results/{JOB.job_id}"
    contents = {
        "predictions": (f"{folder}/predictions.csv.gz", b"\x1f\x8b"),
        "errors": (f"{folder}/errors.csv", b"line,customer_id,code,error\n"),
        "summary": (f"{folder}/summary.json", b"{}"),
    }
    keys = {name: put_result(service, key, content) for name, (key, content) in contents.items()}
    summary = {"status": "succeeded", "rows": 10, "predictions": 9, "errors": 1, "files": keys}
    process().batch.file_jobs.claim(JOB, "one")
    process().batch.file_jobs.finish(JOB.job_id, "one", summary)
    for slash in ("", "/"):
        body = get(service, JOB.job_id + slash)
        assert (body["status"], body["summary"]) == ("succeeded", summary)
        assert body["progress"] | {"rate": None} == {
            "processed": 10,
            "total": 10,
            "errors": 1,
            "share": 1,
            "rate": None,
        }
        assert {name: result["key"] for name, result in body["results"].items()} == keys
        for name, (key, content) in contents.items():
            url = body["results"][name]["url"]
            assert "X-Amz-Expires=900&" in url
            assert "X-Amz-Algorithm=AWS4-HMAC-SHA256&" in url
            got = requests.get(url, timeout=10)
            assert got.content == content
            attachment = f'attachment; filename="{JOB.job_id}-{key.removeprefix(folder + "/")}"'
            assert got.headers["Content-Disposition"] == attachment
    (listed,) = listing(service).body["jobs"]
    assert listed == {name: value for name, value in body.items() if name not in ("summary", "results")}


def test_a_datasets_summary_may_have_other_files(service: Service) -> None:
    jobs = process().batch.jobs
    job_id = jobs.record("dataset", {"type": "churn", "prefix": "datasets/a/"}).job_id
    key = put_result(service, f"results/{job_id}/files.csv", b"key,status\n")
    counts = {"rows": 30, "predictions": 28, "errors": 2, "file_count": 3}
    jobs.finish(job_id, {"status": "succeeded", **counts, "files": {"files": key}})
    body = get(service, job_id)
    assert (body["status"], body["progress"]["processed"], body["progress"]["errors"]) == ("succeeded", 30, 2)
    assert requests.get(body["results"]["files"]["url"], timeout=10).content == b"key,status\n"
    jobs.fail(job_id, "INTERNAL", "Too late to matter.")
    assert get(service, job_id)["status"] == "succeeded"


@pytest.mark.parametrize("status", ["partly_failed", "failed"])
def test_a_dataset_that_is_scored_to_its_end_and_not_whole_has_results_and_a_reason(
    service: Service, status: Literal["partly_failed", "failed"]
) -> None:
    jobs = process().batch.jobs
    job_id = jobs.record("dataset", {"type": "churn", "prefix": "datasets/a/"}).job_id
    key = put_result(service, f"results/{job_id}/files.csv", b"key,status\n")
    reason = {"code": "INVALID_FILE", "error": "1 of 2 files could not be scored."}
    jobs.finish(job_id, {"status": status, **reason, "rows": 3, "predictions": 3, "errors": 0, "files": {"files": key}})
    body = get(service, job_id)
    assert (body["status"], body["code"], body["error"]) == (status, *reason.values())
    assert body["results"]["files"]["key"] == key
    assert set(body["progress"]) == {"processed", "total", "errors", "share", "rate"}
    (listed,) = listing(service, status=status).body["jobs"]
    assert listed == {name: value for name, value in body.items() if name not in ("summary", "results")}


@pytest.mark.smoke
def test_jobs_of_every_kind_are_listed_the_newest_first(service: Service) -> None:
    jobs = jobs_of(service)
    ids = [jobs.record("segment", {"segment_id": "vip"}).job_id]
    ids.append(jobs.record("dataset", {"prefix": "datasets/a/"}).job_id)
    process().batch.file_jobs.claim(JOB, "one")  # at the present time, long after the others'
    body = listing(service).body
    assert [(job["job_id"], job["kind"]) for job in body["jobs"]] == [
        (JOB.job_id, "file"),
        (ids[1], "dataset"),
        (ids[0], "segment"),
    ]
    assert body["next"] is None
    assert body["jobs"][2]["progress"] == {"processed": 0, "total": None}
    assert service.call("GET", "/ml/jobs/").body == body


def walk(service: Service, **query: str) -> list[list[str]]:
    """The ids of each page."""
    pages = []
    while True:
        body = listing(service, **query).body
        pages.append([job["job_id"] for job in body["jobs"]])
        if body["next"] is None:
            return pages
        query["next"] = body["next"]


@pytest.mark.parametrize("limit", [1, 7, 22, 23, 24, 100])
def test_each_job_is_on_one_page(service: Service, limit: int) -> None:
    jobs = jobs_of(service)
    ids = [jobs.record("file", {}).job_id for _ in range(23)][::-1]
    pages = walk(service, limit=str(limit))
    assert [job_id for page in pages for job_id in page] == ids
    assert all(len(page) <= limit for page in pages)


def test_a_job_that_comes_while_one_pages_moves_no_other(service: Service) -> None:
    jobs = jobs_of(service)
    old = [jobs.record("file", {}).job_id for _ in range(4)][::-1]
    first = listing(service, limit="2").body
    jobs.record("file", {})
    second = listing(service, limit="2", next=first["next"]).body
    assert [job["job_id"] for page in (first, second) for job in page["jobs"]] == old


def test_there_are_twenty_jobs_on_a_page_where_no_number_is_asked_for(service: Service) -> None:
    jobs = jobs_of(service)
    for _ in range(21):
        jobs.record("file", {})
    assert [len(page) for page in walk(service)] == [20, 1]


@pytest.mark.parametrize("limit", ["1", "3", "100"])
def test_jobs_of_one_status(service: Service, limit: str) -> None:
    jobs = jobs_of(service)
    statuses = get_args(JobStatus)
    ids: dict[str, list[str]] = {status: [] for status in statuses}
    for number in range(25):
        status = statuses[number % 5]
        item = new_item(f"{number:032x}", "file", status, {}, jobs._now())
        service.dynamodb.put_item(
            TableName=service.ids["JobsTable"], Item=item | {"code": {"S": "INTERNAL"}, "error": {"S": "No."}}
        )
        ids[status].insert(0, f"{number:032x}")
    for status in statuses:
        pages = walk(service, limit=limit, status=status)
        assert [job_id for page in pages for job_id in page] == ids[status]


class SmallPages:
    """DynamoDB's client, of whose answers two items are a page, as 1 MB is."""

    def __init__(self, dynamodb: Any) -> None:
        self._dynamodb = dynamodb

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dynamodb, name)

    def query(self, **request: Any) -> Any:
        return self._dynamodb.query(**request, Limit=2)


def test_a_page_of_jobs_of_one_status_looks_so_far_and_says_that_there_is_more(
    service: Service,
) -> None:
    jobs = jobs_of(service, SmallPages(service.dynamodb), queries_per_page=3)
    wanted = [jobs.record("file", {}, status="running").job_id for _ in range(2)][::-1]
    for _ in range(9):
        jobs.record("file", {}, status="queued")
    found, token = jobs.list(5, "running")
    assert (found, token is None) == ([], False)
    found, token = jobs.list(5, "running", token)
    assert ([job.job_id for job in found], token) == (wanted, None)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "all"}, "limit"),
        ({"status": "done"}, "'awaiting_upload', 'queued', 'running', 'succeeded', 'partly_failed' or 'failed'"),
        ({"next": ""}, "next: this is not a page token"),
        ({"next": "2"}, "next: this is not a page token"),
        ({"next": "2026-11-23T00:00:00.000Z." + 31 * "0"}, "next: this is not a page token"),
        ({"next": "2026-11-23T00:00:00.000Z." + 32 * "0" + "\n"}, "next: this is not a page token"),
        ({"token": "2"}, "token: this route has no such query parameter: remove it, or use one of limit, status, next"),
    ],
)
def test_a_query_that_is_none_is_refused(service: Service, query: dict[str, str], sentence: str) -> None:
    answer = listing(service, **query)
    assert (answer.status, answer.body["code"]) == (400, "INVALID_REQUEST")
    assert sentence in answer.body["error"]


def test_a_job_from_before_there_were_kinds_is_a_segments(service: Service) -> None:
    job_id = process().segment.queued_jobs.start("segment", "job", {"segment_id": "vip"}).job_id
    service.dynamodb.update_item(
        TableName=service.ids["JobsTable"],
        Key={"job_id": {"S": job_id}},
        UpdateExpression="REMOVE kind, listed",
    )
    assert get(service, job_id)["kind"] == "segment"
    assert listing(service).body["jobs"] == []


def test_a_table_that_does_not_answer_is_503(service: Service) -> None:
    service.dynamodb.delete_table(TableName=service.ids["JobsTable"])
    for answer in (listing(service), post(service, {"format": "csv"})):
        assert (answer.status, answer.body["code"]) == (503, "STORE_UNAVAILABLE")
        assert "jobs table (ResourceNotFoundException)" in answer.body["error"]
