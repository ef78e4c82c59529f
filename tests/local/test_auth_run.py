"""`AUTH=1 make run` as a user starts it: what it prints gets a token, and the token opens what its scopes allow."""

import re
import subprocess
from collections.abc import Iterator

import pytest
import requests

from local import issuer
from local.ports import free_port
from loyalty_client import ClientCredentials, Loyalty, errors
from tests.local.make_run import Running, copy_of_the_project, start

pytestmark = [pytest.mark.process, pytest.mark.long]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    service = start(copy_of_the_project(tmp_path_factory.mktemp("project")), free_port(), AUTH="1")
    try:
        service.wait_until_printed("Ctrl-C ends it all")
        yield service
    finally:
        service.stop()


def printed(running: Running, pattern: str) -> str:
    found = re.search(pattern, running.printed(), re.MULTILINE)
    assert found, running.printed()
    return found[0].strip()


def run(command: str) -> str:
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout


def token(running: Running, scope: str) -> str:
    asked = {"grant_type": "client_credentials", "scope": scope}
    auth = (issuer.MACHINE, issuer.SECRET)
    answer = requests.post(f"http://localhost:{running.port}/issuer/token", data=asked, auth=auth, timeout=30)
    return str(answer.json()["access_token"])


def test_what_it_prints_gets_a_token_and_a_prediction(running: Running) -> None:
    get_token = printed(running, r"^ *TOKEN=.*$")
    predict = printed(running, r"^ *curl .*/ml/predict .*$")
    assert '"churn_probability"' in run(f"{get_token}; {predict}")
    assert run(predict) == '{"message":"Unauthorized"}'


def test_a_scope_opens_its_routes_and_no_others(running: Running) -> None:
    reader = {"Authorization": f"Bearer {token(running, 'loyalty/read')}"}
    assert requests.get(f"{running.base}/config/ml/status", headers=reader, timeout=30).status_code == 200
    body = {"customer_id": "1", "type": "churn"}
    refused = requests.post(f"{running.base}/ml/predict", json=body, headers=reader, timeout=30)
    assert (refused.status_code, refused.json()) == (403, {"message": "Forbidden"})
    for path in ("/health", "/openapi.json", "/admin"):
        assert requests.get(running.base + path, timeout=30).status_code == 200


def test_a_clients_credentials_get_the_python_client_a_token_that_predicts(running: Running) -> None:
    address = f"http://localhost:{running.port}/issuer"
    with Loyalty(running.base, ClientCredentials(address, issuer.MACHINE, issuer.SECRET)) as loyalty:
        rows = loyalty.predict("churn", ["1", "nobody"])
    assert 0 <= rows[0]["churn_probability"] <= 1
    assert rows[1]["code"] == "CUSTOMER_NOT_FOUND"
    reader = ClientCredentials(address, issuer.MACHINE, issuer.SECRET, scope="loyalty/read")
    with Loyalty(running.base, reader) as loyalty:
        assert loyalty.status()["models"]
        with pytest.raises(errors.Forbidden):
            loyalty.predict("churn", ["1"])
    with pytest.raises(errors.NoToken), Loyalty(running.base, ClientCredentials(address, "else", "local")) as loyalty:
        loyalty.predict("churn", ["1"])
    with pytest.raises(errors.Unauthorized), Loyalty(running.base, "no-token") as loyalty:
        loyalty.predict("churn", ["1"])


def test_the_page_is_told_where_one_signs_in_and_may_ask_there(running: Running) -> None:
    told = requests.get(f"{running.base}/admin/config.json", timeout=30).json()
    address = f"http://localhost:{running.port}/issuer"
    assert told == {"sign_in": {"issuer": address, "client_id": "page", "audience": "loyalty"}}
    policy = requests.get(f"http://127.0.0.1:{running.port}/admin", timeout=30).headers["Content-Security-Policy"]
    naming = [part for part in policy.split("; ") if f"http://localhost:{running.port}" in part]
    assert len(naming) == 1
    assert naming[0].startswith("connect-src ")


def test_a_token_stays_good_when_changed_code_is_reloaded(running: Running) -> None:
    reader = {"Authorization": f"Bearer {token(running, 'loyalty/read')}"}
    changed = running.output.parent / "functions" / "predict" / "app.py"
    changed.write_text(changed.read_text() + "\n# changed\n")
    running.wait_until_printed("Code changed: reloaded")
    assert requests.get(f"{running.base}/config/ml/status", headers=reader, timeout=30).status_code == 200
