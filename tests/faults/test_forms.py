"""A fault of a store as each form of asking says it: reasons, what if, both warehouses' SQL, the inference protocol."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from loyalty_ml.api import redshift
from loyalty_ml.customers.table import DEFAULT_FEATURES
from tests.faults.test_faults import THROTTLED
from tests.faults.transport import half_unprocessed, refused
from tests.faults.world import HURRIED, IDS, World
from tests.service import CONTEXT, Answer, process

pytestmark = [pytest.mark.moto, pytest.mark.long]

Ask = Callable[[World], Answer]


def posted(path: str, body: Any) -> Ask:
    return lambda world: world.service.call("POST", path, body)


def of_redshift(_: World) -> Answer:
    """Its function is called without a route, and says in the text how it went."""
    event = {
        "external_function": "public.loyalty_churn_probability",
        "num_records": len(IDS),
        "arguments": [[each] for each in IDS],
    }
    answer: Any = redshift.answering(lambda: process().batch, _no_other, wait_seconds=HURRIED)
    body = json.loads(answer(event, CONTEXT))
    return Answer(200, body, {})


def _no_other(event: Any, context: Any) -> Any:
    raise AssertionError("The event is Redshift's")


TENSOR = {"name": "features", "shape": [1, len(DEFAULT_FEATURES)], "datatype": "FP64", "data": [1] * 10}
FORMS: Mapping[str, Ask] = {
    "reasons": posted("/ml/predict/batch", {"customer_ids": IDS, "explain": True, "type": "all"}),
    "what if": posted("/ml/predict", {"customer_id": IDS[1], "overrides": {"days_since_last": 3}, "explain": True}),
    "Snowflake": posted(
        "/sql/loyalty_churn_probability", {"data": [[number, each] for number, each in enumerate(IDS)]}
    ),
    "Redshift": of_redshift,
    "inference": posted("/v2/models/churn/infer", {"inputs": [TENSOR]}),
}
READS_NO_CUSTOMER = {"inference"}


def check_problem(form: str, answer: Answer, code: str) -> None:
    """The form's own error: of reasons and what if the API's, of Redshift a text, of the protocol a sentence."""
    if form == "Redshift":
        assert answer.body.keys() == {"success", "error_msg"}
        assert answer.body["success"] is False
        assert answer.body["error_msg"].startswith(f"{code}: ")
        return
    assert answer.status == 503
    assert answer.headers["Retry-After"]
    if form == "inference":
        assert answer.body.keys() == {"error"}
    else:
        assert answer.body["code"] == code


@pytest.mark.parametrize("form", FORMS)
def test_a_fault_that_passes_changes_no_answer_and_one_that_lasts_is_that_forms_error(world: World, form: str) -> None:
    ask = FORMS[form]
    world.new_instance()
    undisturbed = ask(world)
    assert undisturbed.status == 200, undisturbed.body
    with world.faults.of("dynamodb", THROTTLED, times=1):
        assert ask(world).body == undisturbed.body
    with world.faults.of("dynamodb", half_unprocessed, operation="BatchGetItem"):
        assert ask(world).body == undisturbed.body
    with world.lasting("dynamodb", THROTTLED):
        throttled = ask(world)
        assert bool(world.faults.calls) is (form not in READS_NO_CUSTOMER)
    if form in READS_NO_CUSTOMER:
        assert throttled.body == undisturbed.body
    else:
        check_problem(form, throttled, "FEATURE_STORE_UNAVAILABLE")
    assert ask(world).body == undisturbed.body

    world.new_instance()
    with world.lasting("s3", refused(503, "SlowDown")):
        check_problem(form, ask(world), "MODEL_UNAVAILABLE")
    process().batch.models.look_again()
    process().predict.models.look_again()
    assert ask(world).body == undisturbed.body, "the next request is as good as before"
