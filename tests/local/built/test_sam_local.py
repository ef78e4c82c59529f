"""What `make sam-local` gives to `sam local`, and what it makes of what comes back."""

import threading
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client

from local import template
from local.built.sam_local import Ran, Transcript, addresses, derived, silent_below

pytestmark = pytest.mark.unit

BUILT = template.load()


def test_a_derived_template_declares_the_variables_and_finds_the_code() -> None:
    copy = derived(BUILT, Path("/built"), ["AWS_ENDPOINT_URL"], PredictFunction={"Timeout": 1})
    declared = copy["Globals"]["Function"]["Environment"]["Variables"]
    own = BUILT["Globals"]["Function"]["Environment"]["Variables"]
    assert declared == own | {"AWS_ENDPOINT_URL": ""}
    assert copy["Resources"]["PredictFunction"]["Properties"]["CodeUri"] == "/built/functions/predict"
    assert copy["Resources"]["SharedLayer"]["Properties"]["ContentUri"] == "/built/layers/shared"


def test_only_the_limits_asked_for_are_others_and_the_template_stays_as_it_is() -> None:
    copy = derived(BUILT, Path("/built"), [], PredictFunction={"Timeout": 1})
    assert template.timeout_of(copy, "PredictFunction") == 1
    assert template.timeout_of(copy, "BatchFunction") == template.timeout_of(BUILT, "BatchFunction") != 1
    assert "Timeout" not in BUILT["Resources"]["PredictFunction"]["Properties"]


@pytest.mark.parametrize(
    ("output", "answer"),
    [
        ('{"statusCode":200,"body":"{}"}\n', {"statusCode": 200, "body": "{}"}),
        ('a line of log\nnull\n\n{"statusCode":404}', {"statusCode": 404}),
        ("", None),
        ("killed\n", None),
    ],
)
def test_the_answer_is_the_last_line_of_what_is_printed(output: str, answer: Any) -> None:
    assert Ran(output, "").answer() == answer


def test_what_failed_is_counted_and_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    transcript = Transcript()
    transcript.check("one", True, "x" * 1000)
    transcript.check("two", False, "y" * 1000)
    assert transcript.summary() == "1 passed, 1 failed"
    passed, failed = capsys.readouterr().out.splitlines()
    assert "1,000 characters" in passed
    assert "FAILED two" in failed
    assert failed.endswith("y" * 1000)


def test_an_engine_without_a_bridge_has_our_loopback_interface() -> None:
    assert addresses(None, 4566) == ("127.0.0.1", "127.0.0.1")


def test_below_the_silent_path_nothing_is_answered_before_the_end() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"answered"]

    ended, came = threading.Event(), []
    client = Client(silent_below("/silent", app, ended))
    assert client.get("/bucket/key").data == b"answered"
    waiting = threading.Thread(target=lambda: came.append(client.get("/silent/key").data))
    waiting.start()
    # It may be late in getting there, and is not done either way: the end alone lets it go.
    assert not came
    ended.set()
    waiting.join(timeout=20)
    assert came == [b"answered"]
