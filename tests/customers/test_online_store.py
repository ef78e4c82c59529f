"""Customers from DynamoDB: asked for once each, asked again until a deadline, and never taken for unknown meanwhile."""

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError

from loyalty_ml.customers import online_store
from loyalty_ml.customers.online_store import FeatureStore
from loyalty_ml.errors import FeatureStoreUnavailable
from tests.clients import answering
from tests.functions.test_api import assert_error
from tests.service import GOOD, Service, process, put_in_place

pytestmark = pytest.mark.moto

Disturb = Callable[[Callable[[dict[str, Any]], Any]], list[dict[str, Any]]]


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def client(service: Service) -> Any:
    """The store's client, whose methods a test may replace."""
    return answering(online_store.client())


@pytest.fixture
def store(service: Service, time: Time, client: Any) -> FeatureStore:
    """The service's feature store on a clock of the test's own."""
    store = FeatureStore(client, service.ids["CustomersTable"], sleep=time.sleep, clock=time.clock)
    for parts in (process().predict, process().batch):
        put_in_place(parts, customers=store)
    return store


@pytest.fixture
def disturb(store: FeatureStore, client: Any) -> Disturb:
    """Lets a function see each request first and raise, or give the answer itself; returns the requests as sent."""
    send = client.batch_get_item

    def install(disturbance: Callable[[dict[str, Any]], Any]) -> list[dict[str, Any]]:
        sent: list[dict[str, Any]] = []

        def batch_get_item(**request: Any) -> Any:
            sent.append(request["RequestItems"])
            return disturbance(request["RequestItems"]) or send(**request)

        client.batch_get_item = batch_get_item
        return sent

    return install


def keys_of(request: dict[str, Any]) -> list[str]:
    (table,) = request.values()
    return [key["customer_id"]["S"] for key in table["Keys"]]


def throttled() -> ClientError:
    return ClientError({"Error": {"Code": "ProvisionedThroughputExceededException"}}, "BatchGetItem")


def test_a_repeated_id_is_read_once_and_only_what_is_needed_of_it(service: Service, disturb: Disturb) -> None:
    sent = disturb(lambda request: None)
    body = service.predict_batch(["good", "lapsed", "good", "good"], "rfm").body
    assert body["successful"] == 4
    assert keys_of(sent[0]) == ["good", "lapsed"]
    (table,) = sent[0].values()
    assert set(table["ExpressionAttributeNames"].values()) == {
        "customer_id", "features_as_of", "days_since_last", "lifetime_transaction_count", "lifetime_value"
    }  # fmt: skip
    assert len(sent) == 1


def test_unprocessed_keys_are_asked_for_again_with_growing_jittered_pauses(
    service: Service, disturb: Disturb, time: Time
) -> None:
    ids = [f"c-{number}" for number in range(8)]
    for customer_id in ids:
        service.put_customer(customer_id, GOOD)
    send: Any = service.dynamodb.batch_get_item

    def one_at_a_time(request: dict[str, Any]) -> Any:
        ((table, wanted),) = request.items()
        answer = send(RequestItems={table: {**wanted, "Keys": wanted["Keys"][:1]}})
        left = wanted["Keys"][1:]
        return {**answer, "UnprocessedKeys": {table: {**wanted, "Keys": left}} if left else {}}

    sent = disturb(one_at_a_time)
    body = service.predict_batch(ids).body
    assert (body["successful"], body["errors"]) == (8, [])
    assert [len(keys_of(request)) for request in sent] == [8, 7, 6, 5, 4, 3, 2, 1]
    limits = [min(0.05 * 2**attempt, 1.0) for attempt in range(7)]
    assert all(0 <= pause <= limit for pause, limit in zip(time.pauses, limits, strict=True))
    assert len(set(time.pauses)) > 1


def test_throttled_to_the_deadline_is_unavailable_and_never_not_found(
    service: Service, disturb: Disturb, time: Time
) -> None:
    def raise_throttled(request: dict[str, Any]) -> Any:
        raise throttled()

    sent = disturb(raise_throttled)
    for answer in (service.predict("good"), service.predict_batch(["good", "nobody"])):
        assert_error(answer, 503, "FEATURE_STORE_UNAVAILABLE", "try again")
    assert len(sent) > 10
    assert time.now <= 2 * online_store.DEADLINE_SECONDS


def test_keys_left_unprocessed_to_the_deadline_are_unavailable_too(service: Service, disturb: Disturb) -> None:
    disturb(lambda request: {"Responses": {}, "UnprocessedKeys": request})
    answer = service.predict("good")
    assert_error(answer, 503, "FEATURE_STORE_UNAVAILABLE", "try again")
    assert answer.headers["Retry-After"] == "5"


@pytest.mark.parametrize(
    "failure",
    [throttled(), ConnectTimeoutError(endpoint_url="http://127.0.0.1"), None],
    ids=["throttled", "timeout", "up"],
)
def test_a_passing_failure_is_not_seen(service: Service, disturb: Disturb, failure: Exception | None) -> None:
    failures = [failure, failure]

    def fail_twice(request: dict[str, Any]) -> Any:
        if failures and (now := failures.pop()):
            raise now

    disturb(fail_twice)
    assert service.predict("good").status == 200


@pytest.mark.parametrize(
    ("code", "can_pass"),
    [("AccessDeniedException", False), ("ExpiredTokenException", True), ("InvalidSignatureException", True)],
)
def test_a_refusal_is_not_repeated(service: Service, disturb: Disturb, code: str, *, can_pass: bool) -> None:
    def refuse(request: dict[str, Any]) -> Any:
        raise ClientError({"Error": {"Code": code}}, "BatchGetItem")

    sent = disturb(refuse)
    answer = service.predict("good")
    assert_error(answer, 503, "FEATURE_STORE_UNAVAILABLE", f"({code})")
    assert ("Retry-After" in answer.headers) is can_pass
    assert len(sent) == 1


def test_the_client_gives_items_as_any_client_of_dynamodb_does(service: Service) -> None:
    table = service.ids["CustomersTable"]
    kinds: dict[str, Any] = {"n": {"N": "-1.50"}, "s": {"S": "Zoë 🙂"}, "null": {"NULL": True}, "bool": {"BOOL": False}}
    nested: dict[str, Any] = {"list": {"L": [kinds["n"], kinds["s"]]}, "map": {"M": kinds}, "set": {"NS": ["1", "2"]}}
    service.dynamodb.put_item(TableName=table, Item={"customer_id": {"S": "all kinds"}, **kinds, **nested})
    wanted: Any = {table: {"Keys": [{"customer_id": {"S": each}} for each in ("all kinds", "good", "nobody")]}}
    ours, other = (
        client.batch_get_item(RequestItems=wanted) for client in (online_store.client(), boto3.client("dynamodb"))
    )
    assert len(other["Responses"][table]) == 2
    assert ours["Responses"] == other["Responses"]
    assert ours["UnprocessedKeys"] == other["UnprocessedKeys"] == {}


def test_a_table_that_does_not_exist_is_unavailable(service: Service, time: Time) -> None:
    store = FeatureStore(online_store.client(), "no-such-table", sleep=time.sleep, clock=time.clock)
    with pytest.raises(FeatureStoreUnavailable, match="table name"):
        store.read(["good"], ["revenue"])


def test_numbers_are_the_doubles_that_were_stored(service: Service, store: FeatureStore) -> None:
    values = [0.1, 1 / 3, 5e-100, 12345678.901234567, 2**53 + 2.0]
    names = [f"f{place}" for place in range(len(values))]
    service.put_customer("exact", dict(zip(names, values, strict=True)))
    table = store.read(["exact", "nobody"], names)
    assert table.values[0].tolist() == values
    assert table.found is not None
    assert table.absent is not None
    assert table.found.tolist() == [True, False]
    assert table.absent[0].tolist() == [False] * len(values)
