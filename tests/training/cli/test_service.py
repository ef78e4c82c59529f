"""The subcommands that ask a service: what they print, and their exit codes."""

import contextlib
import io
import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.client.misbehaving import Received, Says, Server, batch_answer, running
from tests.front import served
from tests.service import Service
from training.cli.main import main

pytestmark = pytest.mark.moto

ROOT = Path(__file__).parents[3]


@pytest.fixture
def address(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with served() as base:
        monkeypatch.setenv("LOYALTY_URL", base)
        yield base


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with running() as misbehaving:
        monkeypatch.setenv("LOYALTY_URL", misbehaving.address)
        yield misbehaving


def loyalty(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()  # what the gateway has written
    code = main(arguments)
    printed = capsys.readouterr()
    errors = [line for line in printed.err.splitlines() if line.startswith("loyalty ")]
    # The functions run in this process, and log to where the command prints.
    shown = "".join(line for line in printed.out.splitlines(keepends=True) if not line.startswith('{"'))
    return code, shown, "\n".join(errors)


@pytest.mark.usefixtures("address")
def test_customers_are_a_table_or_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, shown, said = loyalty(capsys, "predict", "good", "nobody")
    assert code == 1
    assert said == "loyalty predict: There is no answer for 1 of 2 customers (CUSTOMER_NOT_FOUND 1)."
    lines = shown.splitlines()
    assert lines[0].split() == ["customer", "probability", "risk"]
    assert re.fullmatch(r"good +0\.\d{3} +low", lines[1])
    assert re.fullmatch(r"nobody +Customer not found in DWH", lines[2])
    assert lines[4] == "These are a placeholder's answers: it learnt from generated data."

    ids = tmp_path / "ids.txt"
    ids.write_text("\ufeffgood\n\n lapsed \n", "utf-8")
    for asked in ("churn", "nbo", "rfm", "all"):
        code, shown, said = loyalty(capsys, "predict", "--ids-from", str(ids), "--type", asked)
        assert (code, said) == (0, "")
        assert [line.split()[0] for line in shown.splitlines()[1:3]] == ["good", "lapsed"]
        code, shown, said = loyalty(capsys, "predict", "--ids-from", str(ids), "--type", asked, "--json")
        given = json.loads(shown)
        assert (code, said, given["type"], len(given["rows"])) == (0, "", asked, 2)


@pytest.mark.usefixtures("address")
@pytest.mark.parametrize(("asked", "results"), [("churn", 2), ("nbo", 2), ("rfm", 2), ("all", 6)])
def test_the_reasons_are_a_second_table(asked: str, results: int, capsys: pytest.CaptureFixture[str]) -> None:
    code, shown, _ = loyalty(capsys, "predict", "good", "nobody", "lapsed", "--type", asked, "--explain")
    assert code == 1, "nobody is known to nobody"
    predictions, reasons = shown.split("\n\n")
    assert predictions + "\n" == loyalty(capsys, "predict", "good", "nobody", "lapsed", "--type", asked)[1]
    given = json.loads(loyalty(capsys, "predict", "good", "lapsed", "--type", asked, "--explain", "--json")[1])
    answers = [
        (row[name] if asked == "all" else row)
        for row in given["rows"]
        for name in (["churn", "nbo", "rfm"] if asked == "all" else [asked])
    ]
    assert len(answers) == results
    lines = iter(reasons.splitlines())
    for place, answer in enumerate(answers):
        explained, more = answer["explained"], answer["reasons"][3:]
        own = [next(lines) for _ in range(5 if more else 4)]
        assert {line.split()[0] for line in own} == {"good" if place < results / 2 else "lapsed"}
        score, typical = re.findall(r": ([\d.-]+), typical ([\d.-]+)$", own[0])[0]
        assert f"  {explained['of']}: " in own[0]
        assert float(score) == pytest.approx(explained["score"], abs=0.0005)
        for line, reason in zip(own[1:], answer["reasons"][:3], strict=False):
            assert line.endswith(f"  {reason['words']}")
        # As it is shown, it adds up: to what two digits of three reasons, and three of the rest, leave.
        shown_of_reasons = [float(line.rpartition(": ")[2]) for line in own[1:]]
        assert float(typical) + sum(shown_of_reasons) == pytest.approx(float(score), abs=0.0165)
        if more:
            assert f"  {len(more)} more: " in own[4]
    assert next(lines, None) is None


def test_who_lacks_the_answer_of_a_type_is_no_success(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    lacks = {"rfm": {"code": "MISSING_FEATURES", "error": "No purchases of all time."}}
    entries: list[dict[str, Any]] = [
        {"customer_id": each, "results": {"churn": CHURN, "nbo": NBO}, "errors": errors}
        for each, errors in (("1", {}), ("2", lacks))
    ]
    entries[0]["results"] |= {"rfm": {"segment": "Champions"}}
    server.will(Says(body={"results": entries, "errors": [], "models": {}}))
    code, shown, said = loyalty(capsys, "predict", "1", "2", "--type", "all")
    assert code == 1
    assert re.search(r"^2 .* rfm: No purchases of all time\.$", shown, re.MULTILINE)
    assert said == "loyalty predict: 1 of 2 customers lack the answer of a type, as their lines say."


CHURN = {"churn_probability": 0.5, "churn_risk": "medium"}
NBO = {"top_offer": {"offer_name": "Flash Sale"}, "confidence": 0.5}
ODD = ["客户", "🙂", "a\tb", "a\nb", "\x1b[31mred", "\u202eleft"]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_an_id_is_shown_on_one_line_in_every_terminal_and_commands_it_to_nothing(server: Server, encoding: str) -> None:
    server.will(lambda request: Says(body=batch_answer(request)))
    for arguments in ((), ("--json",)):
        printed = io.BytesIO()
        terminal = io.TextIOWrapper(printed, encoding)
        with contextlib.redirect_stdout(terminal):
            assert main(["predict", *ODD, *arguments]) == 0
        text = printed.getvalue().decode(encoding)
        if arguments:
            assert [row["customer_id"] for row in json.loads(text)["rows"]] == ODD
        else:
            assert not set("\t\x1b\u202e") & set(text)
            assert len(text.splitlines()) == 2 + len(ODD)
            assert r"\x1b[31mred" in text


def test_a_closed_output_is_nobodys_mistake(server: Server) -> None:
    server.will(lambda request: Says(body=batch_answer(request)))
    with contextlib.redirect_stdout(None):
        assert main(["predict", "1"]) == 0


@pytest.mark.usefixtures("address")
def test_the_status_says_what_answers(capsys: pytest.CaptureFixture[str]) -> None:
    code, shown, said = loyalty(capsys, "status")
    assert code == 1, "there is no snapshot"
    assert "materialize" in said
    assert re.search(r"^churn +20\S+ +yes +auc ", shown, re.MULTILINE)
    assert json.loads(loyalty(capsys, "status", "--json")[1])["models"]["churn"]["loaded"] is True


@pytest.mark.usefixtures("address")
@pytest.mark.parametrize("name", ["customers.xlsx", "customers.csv.bz2", "customers"])
def test_a_file_of_another_format_is_named(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / name).write_bytes(b"customer_id\n1\n")
    code, _, said = loyalty(capsys, "predict", "--file", str(tmp_path / name))
    assert (code, said.count("\n")) == (1, 0)
    assert said.startswith(f"loyalty predict: The ending of {name} is no format that the service reads. ")
    assert "'csv', 'csv.gz'" in said


@pytest.mark.usefixtures("address")
def test_what_the_service_does_not_have_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["segments", "none"], ["jobs", "0" * 32], ["jobs", "0" * 32, "--wait"]):
        code, shown, said = loyalty(capsys, *arguments)
        assert (code, shown, said.count("\n")) == (1, "", 0)
        assert said.startswith(f"loyalty {arguments[0]}: There is no ")
    assert loyalty(capsys, "jobs")[1].split() == ["job", "kind", "status", "done", "errors", "created", "asked", "for"]


STATS: dict[str, Any] = {
    "segment_id": "a", "segment_name": "A", "member_count": 2, "features_as_of": "2018-01-02T00:00:00Z", "mock": False,
    "stats": {
        "churn": {
            "avg_probability": 0.5, "failed": 0,
            **{f"{risk}{what}": 1 for risk in ("high", "medium", "low", "lapsed") for what in ("", "_percentage")},
        },
        "nbo": {"distribution": {}, "failed": 0, "count": 0},
        "rfm": {"distribution": {}, "failed": 1, "count": 1},
    },
    "history": [],
}  # fmt: skip


def test_a_segment_shows_what_drives_it_if_the_service_says(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.will(Says(body=STATS))
    code, without, _ = loyalty(capsys, "segments", "a")
    assert (code, without.splitlines()[-1].split()) == (0, ["rfm", "no", "answer", "1"])
    features = [{"feature": f"f{place}", "mean_absolute_contribution": 0.5 / (1 + place)} for place in range(5)]
    engagement = {"group": "engagement", "mean_absolute_contribution": 0.75}
    drivers = {
        "churn": {"customers": 2, "features": [engagement, *features]},
        "nbo": {"customers": 0, "features": []},
    }
    server.will(Says(body={**STATS, "drivers": drivers}))
    code, shown, _ = loyalty(capsys, "segments", "a")
    assert code == 0
    assert shown.startswith(without)
    assert [line.split() for line in shown.removeprefix(without).splitlines()] == [
        [], ["what", "drives", "it", "mean", "effect"], ["churn", "engagement", "0.750"], ["churn", "f0", "0.500"],
        ["churn", "f1", "0.250"],
    ]  # fmt: skip


JOB: dict[str, Any] = {
    "job_id": "j1", "kind": "file", "status": "failed", "created": "2026-11-28T21:25:56.713Z", "updated": "...",
    "progress": {"processed": 1200, "total": None, "errors": 0, "share": None, "rate": None},
    "request": {"type": "churn", "key": "incoming/churn/a.csv"}, "code": "INVALID_FILE", "error": "It is empty.",
}  # fmt: skip


def test_a_failed_job_ends_with_its_sentence(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.will(Says(body=JOB))
    code, shown, said = loyalty(capsys, "jobs", "j1")
    assert (code, said) == (1, "loyalty jobs: It is empty. (INVALID_FILE)")
    assert shown.splitlines()[1].split() == [
        "j1", "file", "failed", "1,200", "0", "2026-11-28T21:25:56.713Z", "churn", "incoming/churn/a.csv",
    ]  # fmt: skip
    code, _, said = loyalty(capsys, "jobs", "j1", "--wait", "--json")
    assert (code, said) == (1, "loyalty jobs: It is empty.")


@pytest.mark.parametrize(
    ("says", "sentence"),
    [
        (Says(401, {"message": "Unauthorized"}), "LOYALTY_TOKEN, or LOYALTY_ISSUER"),
        (Says(403, {"message": "Forbidden"}), "lacks the scope"),
        (Says(200, b"<html>", content_type="text/html"), "check the base URL"),
        (Says(500, {"error": "A bug.", "code": "INTERNAL"}, {"X-Correlation-Id": "c-1"}), "(X-Correlation-Id: c-1)"),
    ],
)
def test_a_service_that_does_not_answer_is_one_sentence(
    server: Server, says: Says, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    server.will(says)
    code, shown, said = loyalty(capsys, "status")
    assert (code, shown, said.count("\n")) == (1, "", 0)
    assert sentence in said


@pytest.mark.parametrize(
    ("arguments", "answer", "field"),
    [
        (["status"], {"models": {"churn": {"version": "v1"}}}, "metrics"),
        (["segments", "a"], {"segment_name": "A", "member_count": 1, "stats": {}}, "churn"),
        (["segments"], {}, "segments"),
        (["jobs", "j1"], {"job_id": "j1", "kind": "file", "status": "succeeded"}, "progress"),
        (["predict", "1"], {"results": [{"customer_id": "1", "result": {}}], "errors": []}, "churn_probability"),
    ],
)
def test_an_old_server_is_one_sentence(
    server: Server, arguments: list[str], answer: Any, field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    server.will(Says(body=answer))
    code, _, said = loyalty(capsys, *arguments)
    assert (code, said.count("\n")) == (1, 0)
    assert f"no field '{field}', so the server is older than this" in said


def test_credentials_that_are_not_whole_are_named(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOYALTY_ISSUER", "https://issuer.example")
    code, _, said = loyalty(capsys, "status")
    assert code == 1
    assert "set LOYALTY_CLIENT_ID and LOYALTY_CLIENT_SECRET, too" in said
    assert server.received == []


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["predict"], "exactly one of them"),
        (["predict", "1", "--file", "a.csv"], "exactly one of them"),
        (["predict", "1", "--keep", "name"], "--file only"),
        (["predict", "1", "--type", "weather"], "invalid choice"),
        (["jobs", "--wait"], "need the job's id"),
        (["jobs", "j1", "--status", "failed"], "--status is for the list"),
        (["jobs", "--limit", "0"], "--limit: '0' is not a whole number from 1 to 1000"),
    ],
)
def test_mistaken_arguments_are_told(arguments: list[str], part: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert part in capsys.readouterr().err


def test_whoever_reads_no_more_ends_it_quietly(server: Server) -> None:
    server.will(Says(body={"jobs": [{**JOB, "job_id": "j" * 20_000}] * 20, "next": None}))
    piped = f"{sys.executable} -m training.cli jobs --limit 20; echo code $? >&2"
    done = subprocess.run(
        ["/bin/sh", "-c", f"({piped}) | head -c 1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("j", "code 141\n")


def test_ctrl_c_ends_it_although_no_answer_has_come(server: Server) -> None:
    arrived, released = threading.Event(), threading.Event()

    def silent(_: Received) -> None:
        arrived.set()
        released.wait(60)

    server.will(silent)
    ids = map(str, range(300))
    with subprocess.Popen(
        [sys.executable, "-m", "training.cli", "predict", *ids], cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert arrived.wait(60)
            process.send_signal(signal.SIGINT)
            _, error = process.communicate(timeout=20)  # a request is waited for 35 s
        finally:
            released.set()
    assert process.returncode == 130, error
    assert error == "loyalty predict: stopped; a job that has been started goes on, and 'loyalty jobs' lists it.\n"
