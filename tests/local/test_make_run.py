"""The service over HTTP as its users meet it: real customers, real answers, reload, Ctrl-C."""

import contextlib
import csv
import gzip
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from local.ports import free_port
from tests.local.make_run import REPOSITORY, Running, copy_of_the_project, start

pytestmark = pytest.mark.process


def test_it_prints_the_address_a_working_curl_and_that_the_models_are_placeholders(running: Running) -> None:
    printed = running.printed()
    assert running.base in printed
    assert "2,469 real customers" in printed
    assert "PLACEHOLDERS" in printed
    found = re.search(r"^ +(curl .*)$", printed, re.MULTILINE)
    assert found
    answer = subprocess.run(shlex.split(found[1]), capture_output=True, check=True, timeout=30).stdout
    body = json.loads(answer)
    assert (body["customer_id"], body["type"], body["mock"]) == ("1", "churn", False)
    assert body["model"]["placeholder"] is True
    assert body["features_as_of"] == "2018-01-02T00:00:00Z"


@pytest.mark.parametrize("prediction_type", ["churn", "nbo", "rfm"])
def test_real_customers_get_different_answers(running: Running, prediction_type: str) -> None:
    ids = [str(number) for number in range(1, 101)]
    batch = running.post("/ml/predict/batch/", {"customer_ids": ids, "type": prediction_type}).json()
    assert (batch["total"], batch["successful"] + batch["failed"], batch["mock"]) == (100, 100, False)
    assert batch["successful"] > 90, "of the ids 1 to 2,500 a few are no household"
    answers = {json.dumps({**result["result"], "customer_id": ""}) for result in batch["results"]}
    assert len(answers) > 0.9 * batch["successful"]
    single = running.post("/ml/predict", {"customer_id": ids[6], "type": prediction_type}).json()
    assert {"customer_id": ids[6], "result": single["result"]} in batch["results"]


def test_status_and_health(running: Running) -> None:
    status = running.get("/config/ml/status/").json()
    assert status["features"] == {"as_of": "2018-01-02T00:00:00Z", "customers": 2469}
    assert all(model["loaded"] for model in status["models"].values())
    assert running.get("/health").json() == {"status": "ok"}


def test_errors_reach_the_caller_and_the_next_request_works(running: Running) -> None:
    refused = requests.post(f"{running.base}/ml/predict", data=b"{}", timeout=30)
    assert (refused.status_code, refused.json()["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    said = {"Content-Type": "application/json"}
    refused = requests.post(f"{running.base}/ml/predict", data=b"\xff\xfe", headers=said, timeout=30)
    assert (refused.status_code, refused.json()["code"]) == (400, "INVALID_JSON")
    refused = requests.post(f"{running.base}/ml/predict/batch", data="{" + " " * 11_000_000, timeout=30)
    assert refused.status_code == 413
    missing = running.get("/no/such/route")
    assert (missing.status_code, missing.json()["code"]) == (404, "ROUTE_NOT_FOUND")
    assert requests.head(f"{running.base}/health", timeout=30).status_code == 200
    changed = requests.put(f"{running.base}/segments/high-value%0a", json={"segment_name": "x", "rule": {}}, timeout=30)
    assert (changed.status_code, changed.json()["code"]) == (400, "INVALID_REQUEST")
    assert running.get("/ml/predict").status_code == 404, "the gateway knows a route by its method too"
    unknown = running.post("/ml/predict", {"customer_id": "nobody"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "CUSTOMER_NOT_FOUND")
    assert unknown.headers["X-Correlation-Id"]
    assert running.post("/ml/predict", {"customer_id": "1"}).status_code == 200


def test_requests_at_once_do_not_mix(running: Running) -> None:
    ids = [str(number) for number in range(1, 60)]

    def ask(customer_id: str) -> tuple[str, str]:
        body = running.post("/ml/predict", {"customer_id": customer_id, "type": "rfm"}).json()
        return customer_id, body.get("customer_id", customer_id)

    with ThreadPoolExecutor(8) as pool:
        assert all(asked == answered for asked, answered in pool.map(ask, ids))


def test_the_new_snapshot_and_the_new_model_set_have_each_set_statistics_going(running: Running) -> None:
    log = running.output.parent / "build" / "local" / "functions.log"
    give_up_at = time.monotonic() + 20
    while log.read_text().count('"task":"plan","outcome":"done"') < 2:
        assert time.monotonic() < give_up_at, log.read_text()
        time.sleep(0.1)
    assert '"outcome":"failed"' not in log.read_text()


SEGMENTS = {"high-value": 627, "at-risk": 232, "new": 73, "champions": 395, "pilot": 10}


def test_the_demos_segments_answer_for_every_member(running: Running) -> None:
    listed = running.get("/segments/").json()["segments"]
    assert {segment["segment_id"] for segment in listed} == SEGMENTS.keys()
    for segment_id, members in SEGMENTS.items():
        stats = running.get(f"/segments/{segment_id}/ml/stats/").json()
        assert stats["member_count"] == members
        for prediction_type in ("churn", "nbo", "rfm"):
            answer = running.post(f"/segments/{segment_id}/ml/predict/", {"type": prediction_type}).json()
            assert answer["total_customers"] == answer["successful"] + answer["failed"] == members
            assert len(answer["results"]) == min(100, answer["successful"])
            one = answer["results"][0]
            single = running.post("/ml/predict", {"customer_id": one["customer_id"], "type": prediction_type}).json()
            assert single["result"] == one["result"]
    # Whom the demo's rule calls Champions are those whom RFM's fixed cut points call so.
    champions = running.get("/segments/champions/ml/stats/").json()["stats"]["rfm"]["distribution"]
    assert {name: count for name, count in champions.items() if count} == {"Champions": SEGMENTS["champions"]}


def test_a_segment_is_defined_and_answered_as_a_job(running: Running) -> None:
    address = f"{running.base}/segments/for-flash-sale"
    made = requests.put(address, json={"segment_name": "For the Flash Sale", "recommended_offer": 6}, timeout=30)
    assert (made.status_code, made.headers["ETag"]) == (201, '"1"')
    started = requests.post(
        f"{address}/ml/predict", json={"type": "nbo"}, headers={"Prefer": "respond-async"}, timeout=30
    )
    assert started.status_code == 202
    job_address = f"http://127.0.0.1:{running.port}{started.headers['Location']}"
    give_up_at = time.monotonic() + 30
    while (job := requests.get(job_address, timeout=30).json())["status"] != "succeeded":
        assert job["status"] in ("queued", "running"), job
        assert time.monotonic() < give_up_at, job
        time.sleep(0.1)
    in_time = requests.post(f"{address}/ml/predict", json={"type": "nbo"}, timeout=30).json()
    assert job["answer"] == in_time
    chances = [entry["result"]["offer_scores"][6] for entry in in_time["results"]]
    assert chances == sorted(chances, reverse=True)
    assert requests.delete(address, headers={"If-Match": '"1"'}, timeout=30).status_code == 204
    assert requests.get(address, timeout=30).json()["code"] == "SEGMENT_NOT_FOUND"


def job_when_ended(running: Running, job_id: str) -> Any:
    give_up_at = time.monotonic() + 60
    while (job := running.get(f"/ml/jobs/{job_id}").json())["status"] not in ("succeeded", "failed"):
        assert time.monotonic() < give_up_at, job
        time.sleep(0.1)
    return job


CUSTOMERS = "customer_id,tier\n1,gold\nnobody,\n2,silver\n3,gold,too many\n"


def test_a_dropped_in_file_is_scored_and_every_row_is_answered(running: Running, tmp_path: Path) -> None:
    file = tmp_path / "my customers.csv"
    file.write_text(CUSTOMERS)
    printed = re.search(r"^ +(curl -fsST .*)$", running.printed(), re.MULTILINE)
    assert printed
    subprocess.run(shlex.split(printed[1].replace("customers.csv", f"'{file}'")), check=True, timeout=30)
    give_up_at = time.monotonic() + 60
    while not (listed := [job for job in running.get("/ml/jobs").json()["jobs"] if job["kind"] == "file"]):
        assert time.monotonic() < give_up_at
        time.sleep(0.1)
    assert listed[0]["request"]["key"] == "incoming/churn/my customers.csv"
    job = job_when_ended(running, listed[0]["job_id"])
    assert [job["summary"][name] for name in ("rows", "predictions", "errors")] == [4, 2, 2]
    results = {name: requests.get(file["url"], timeout=30) for name, file in job["results"].items()}
    predicted = list(csv.DictReader(results["predictions"].text.splitlines()))
    for row, customer_id in zip(predicted, ("1", "2"), strict=True):
        single = running.post("/ml/predict", {"customer_id": customer_id}).json()["result"]
        assert row["customer_id"] == customer_id
        assert np.float32(row["churn_probability"]) == np.float32(single["churn_probability"])
    errors = [(row["line"], row["code"]) for row in csv.DictReader(results["errors"].text.splitlines())]
    assert errors == [("3", "CUSTOMER_NOT_FOUND"), ("5", "INVALID_LINE")]
    assert results["summary"].json() == job["summary"]
    file.write_text("customer_id\n1\n")  # of the same name again: a job of its own
    subprocess.run(shlex.split(printed[1].replace("customers.csv", f"'{file}'")), check=True, timeout=30)
    while len(again := [job for job in running.get("/ml/jobs").json()["jobs"] if is_of(job, "my customers.csv")]) < 2:
        assert time.monotonic() < give_up_at
        time.sleep(0.1)
    assert job_when_ended(running, again[0]["job_id"])["summary"]["rows"] == 1


def is_of(job: Any, name: str) -> bool:
    """Whether the job is of this file, put under incoming/churn/."""
    return bool(job["request"].get("key") == f"incoming/churn/{name}")


def test_an_announced_upload_is_scored_under_the_id_that_was_given(running: Running) -> None:
    announced = running.post("/ml/jobs", {"type": "all", "format": "jsonl.gz"})
    assert announced.status_code == 201
    upload, job_id = announced.json()["upload"], announced.json()["job_id"]
    lines = gzip.compress(b'{"customer_id": "1"}\n{"customer_id": "2"}\n')
    sent = requests.post(upload["url"], data=upload["fields"], files={"file": lines}, timeout=30)
    assert sent.status_code in (200, 204)
    job = job_when_ended(running, job_id)
    assert (job["status"], job["summary"]["predictions"]) == ("succeeded", 2)
    predictions = gzip.decompress(requests.get(job["results"]["predictions"]["url"], timeout=30).content)
    assert [json.loads(line)["customer_id"] for line in predictions.splitlines()] == ["1", "2"]


@pytest.mark.long
def test_a_killed_worker_is_replaced(running: Running) -> None:
    workers = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):  # a bare Debian has no ps
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a process that ended meanwhile
            pid = int(command.parent.name)
            if b"local.worker" in command.read_bytes() and os.getpgid(pid) == running.process.pid:
                workers.append(pid)
    assert workers
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    announced = running.post("/ml/jobs", {"type": "rfm", "format": "csv"}).json()
    upload = announced["upload"]
    requests.post(upload["url"], data=upload["fields"], files={"file": CUSTOMERS.encode()}, timeout=30)
    assert job_when_ended(running, announced["job_id"])["summary"]["predictions"] == 2


@pytest.mark.long
def test_a_request_does_not_wait_for_a_file(running: Running, tmp_path: Path) -> None:
    """The file's job is looked at while it runs: it would be over, were the request to wait for it."""
    file = tmp_path / "many.csv"
    file.write_text("customer_id\n" + "1\n" * 3_000_000)
    announced = running.post("/ml/jobs", {"type": "all", "format": "csv"}).json()
    upload = announced["upload"]
    with file.open("rb") as content:
        requests.post(upload["url"], data=upload["fields"], files={"file": content}, timeout=60)
    give_up_at = time.monotonic() + 60
    while (status := running.get(f"/ml/jobs/{announced['job_id']}").json()["status"]) != "running":
        assert status in ("awaiting_upload", "queued"), status
        assert time.monotonic() < give_up_at
    assert running.post("/ml/predict", {"customer_id": "1"}).status_code == 200
    job = job_when_ended(running, announced["job_id"])
    assert (job["status"], job["summary"]["predictions"]) == ("succeeded", 3_000_000)


def test_it_listens_on_the_loopback_interface_only(running: Running) -> None:
    with pytest.raises(OSError, match="refused"), socket.create_connection(("127.0.0.2", running.port), timeout=5):
        pass


def test_changed_code_is_reloaded_and_the_data_stays(tmp_path: Path) -> None:
    service = start(copy_of_the_project(tmp_path), free_port())
    try:
        service.wait_until_printed("Ctrl-C ends it all")
        app = tmp_path / "functions" / "predict" / "app.py"
        app.write_text(app.read_text().replace('{"status": "ok"}', '{"status": "changed"}'))
        service.wait_until_printed("Code changed: reloaded")
        assert service.get("/health").json() == {"status": "changed"}
        assert service.post("/ml/predict", {"customer_id": "1"}).status_code == 200
    finally:
        code = service.stop()
    assert code == 0
    assert service.printed().endswith("Stopped.\n")
    assert "Traceback" not in service.printed()
    with pytest.raises(requests.ConnectionError):
        service.get("/health")


def test_nothing_is_left_when_the_process_is_killed(tmp_path: Path) -> None:
    service = start(copy_of_the_project(tmp_path), free_port())
    service.wait_until_printed("Ctrl-C ends it all")
    service.process.kill()
    service.process.wait(timeout=20)
    give_up_at = time.monotonic() + 20
    while True:
        try:
            service.get("/health")
        except requests.ConnectionError:
            return
        assert time.monotonic() < give_up_at, "the server outlives the process that started it"
        time.sleep(0.1)


@pytest.mark.long
def test_code_that_does_not_load_is_reported_and_mended_by_the_next_change(tmp_path: Path) -> None:
    service = start(copy_of_the_project(tmp_path), free_port())
    try:
        service.wait_until_printed("Ctrl-C ends it all")
        app = tmp_path / "functions" / "batch" / "app.py"
        good = app.read_text()
        app.write_text(good + "def broken(\n")
        service.wait_until_printed("SyntaxError")
        app.write_text(good)
        service.wait_until_printed("Code changed: reloaded")
        assert service.post("/ml/predict/batch", {"customer_ids": ["1"]}).status_code == 200
    finally:
        service.stop()


def test_a_taken_port_is_one_sentence(running: Running) -> None:
    again = subprocess.run(
        [sys.executable, "-m", "local", "--port", str(running.port)],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert again.returncode != 0
    assert again.stderr.count("\n") == 1
    assert f"Port {running.port} cannot be used" in again.stderr


def test_a_mock_mode_that_there_is_not_is_said_at_the_start() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "local", "--port", "0"],
        env=os.environ | {"ML_MOCK_MODE": "maybe"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.strip() == "ML_MOCK_MODE is 'maybe': set it to auto, true or false."
