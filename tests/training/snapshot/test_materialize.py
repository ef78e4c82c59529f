"""From a warehouse to both stores: the same customers in each, whatever stops a run and however often."""

import fcntl
import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import boto3
import duckdb
import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError
from ibis.expr import types as ir

from loyalty_ml.customers.online_store import FeatureStore
from loyalty_ml.customers.snapshot import CURRENT_KEY, SnapshotCard
from loyalty_ml.customers.table import AS_OF, DEFAULT_FEATURES, LIFETIME_TRANSACTION_COUNT
from loyalty_ml.models.domain import DEFAULT_DOMAINS
from loyalty_ml.vocabulary import rfc3339
from tests import sample_set
from tests.service import GOOD, LAPSED, SNAPSHOT_FEATURES, Service
from training.cli.main import main
from training.errors import Problem
from training.registry import publish
from training.registry.inputs import ModelInputs
from training.snapshot import customers_table
from training.snapshot import parts as snapshot_parts
from training.snapshot.bucket import SnapshotBucket, SnapshotConflict
from training.snapshot.customers_table import Writing
from training.snapshot.materialize import Materialized, materialize

pytestmark = pytest.mark.moto

AT_ONCE = Writing(first_pause_seconds=0)
ONE_BY_ONE: dict[str, Any] = {"writing": Writing(writers=1, first_pause_seconds=0)}
MOMENT = datetime(2018, 1, 2, tzinfo=UTC)
LATER = datetime(2018, 1, 3, tzinfo=UTC)
Features = Mapping[str, float | None]


@dataclass(frozen=True)
class Stores:
    """The service's two stores, and a work directory."""

    service: Service
    dynamodb: Any
    work: Path

    @property
    def bucket(self) -> str:
        return self.service.ids["DataBucket"]

    @property
    def table(self) -> str:
        return self.service.ids["CustomersTable"]

    def materialize(self, features: ir.Table, as_of: datetime = MOMENT, **options: Any) -> Materialized:
        clients = {"s3": self.service.s3, "dynamodb": self.dynamodb}
        where = {
            "bucket": self.bucket,
            "table": self.table,
            "work": self.work,
            "max_removed_share": 1.0,
            "writing": AT_ONCE,
        }
        return materialize(features, as_of, **{**clients, **where, **options})

    def card(self) -> SnapshotCard | None:
        try:
            answer = self.service.s3.get_object(Bucket=self.bucket, Key=CURRENT_KEY)
        except self.service.s3.exceptions.NoSuchKey:
            return None
        return SnapshotCard.model_validate_json(answer["Body"].read())

    def snapshot(self) -> pa.Table:
        card = self.card()
        assert card is not None
        tables = []
        for part in card.parts:
            body = self.service.s3.get_object(Bucket=self.bucket, Key=part.key)["Body"].read()
            assert (len(body), sha256(body).hexdigest()) == (part.size, part.sha256)
            tables.append(pq.read_table(io.BytesIO(body)))
            assert (len(tables[-1]), tables[-1].schema.names) == (part.customers, ["customer_id", *card.features])
        return pa.concat_tables(tables)

    def items(self) -> list[dict[str, Any]]:
        pages = self.service.dynamodb.get_paginator("scan").paginate(TableName=self.table)
        return sorted((item for page in pages for item in page["Items"]), key=lambda item: item["customer_id"]["S"])

    def objects(self) -> set[str]:
        pages = self.service.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return {entry["Key"] for page in pages for entry in page.get("Contents", ())}

    def assert_hold(
        self,
        customers: Mapping[str, Features],
        as_of: datetime = MOMENT,
        own: Mapping[str, datetime | None] | None = None,
    ) -> None:
        """Both stores have these customers and no others, the same doubles in each, and one as_of.

        own: the moments of the customers that have one of their own.
        """
        rows = self.snapshot().to_pylist()
        assert [row.pop("customer_id") for row in rows] == sorted(customers)
        assert rows == [customers[customer_id] for customer_id in sorted(customers)]
        items = self.items()
        assert [item["customer_id"]["S"] for item in items] == sorted(customers)
        assert {item["customer_id"]["S"]: item[AS_OF]["S"] for item in items} == {
            name: rfc3339((own or {}).get(name) or as_of) for name in customers
        }
        for item, row in zip(items, rows, strict=True):
            names = {name for name, value in row.items() if value is not None}
            assert item.keys() == {"customer_id", AS_OF, *names}
            assert {name: float(item[name]["N"]) for name in names} == {name: row[name] for name in names}
        card = self.card()
        assert card is not None
        assert (card.as_of, card.customers) == (as_of, len(customers))
        if card.previous:
            assert card.previous.version != card.version
            assert self.objects() >= {part.key for part in card.previous.parts}, "the one before is whole"


@pytest.fixture
def stores(new_service: Callable[[], Service], tmp_path: Path) -> Stores:
    service = new_service()
    return Stores(service, customers_table.client(), tmp_path / "work")


def in_warehouse(rows: Mapping[str, Features]) -> ir.Table:
    return table_of([{"customer_id": customer_id, **features} for customer_id, features in rows.items()])


def table_of(rows: list[dict[str, Any]], **kinds: str) -> ir.Table:
    """A table of a DuckDB warehouse: customer_id, and the features as doubles but where `kinds` says otherwise."""
    columns = {"customer_id": "string", **dict.fromkeys(SNAPSHOT_FEATURES, "float64"), **kinds}
    connection = ibis.duckdb.connect()
    connection.create_table("customers", schema=ibis.schema(columns))
    if rows:
        placeholders = ", ".join("?" * len(columns))
        values = [[row.get(name) for name in columns] for row in rows]
        connection.con.executemany(f"INSERT INTO customers VALUES ({placeholders})", values)
    return connection.table("customers")


def numbered(count: int) -> dict[str, Features]:
    return {f"c-{number}": {**GOOD, "revenue": number / 7} for number in range(count)}


def test_both_stores_hold_the_same_numbers_and_the_service_answers_from_them(stores: Stores) -> None:
    rows: dict[str, Features] = {
        "good": GOOD,
        "lapsed": LAPSED,
        "Zoë 🙂": {**GOOD, "revenue": 9.999999999999998e125, "monthly_revenue": -1e-130, "lifetime_value": 0.1 + 0.2},
        "incomplete": {**GOOD, "service_count": None, "avg_transaction_value": None},
        "🙂" * 256: {**GOOD, "days_since_last": -0.0},
    }
    done = stores.materialize(in_warehouse(rows))
    assert (done.customers, done.reasons, done.rejects, done.removed) == (5, {}, None, 0)
    stores.assert_hold(rows)
    assert stores.snapshot().schema.names == ["customer_id", *SNAPSHOT_FEATURES]
    read = FeatureStore(stores.service.dynamodb, stores.table).read(["Zoë 🙂"], SNAPSHOT_FEATURES)
    assert dict(zip(SNAPSHOT_FEATURES, read.values[0].tolist(), strict=True)) == rows["Zoë 🙂"]
    assert stores.service.predict("good").body["features_as_of"] == rfc3339(MOMENT)
    assert stores.service.predict("incomplete", "churn").status in (200, 422)
    assert stores.service.call("GET", "/config/ml/status").body["features"] == {
        "as_of": rfc3339(MOMENT),
        "customers": 5,
    }
    assert not list(stores.work.glob("*.json")), "a finished run is not gone on with"


def test_ids_and_features_of_other_types_come_as_texts_and_doubles(stores: Stores) -> None:
    rows = [{"customer_id": 7, **GOOD}, {"customer_id": 2**63 - 1, **LAPSED}]
    stores.materialize(table_of(rows, customer_id="int64", revenue="decimal(12, 2)", transaction_count="int32"))
    stores.assert_hold({"7": GOOD, str(2**63 - 1): LAPSED})


def test_rows_that_cannot_be_stored_are_rejected_with_reasons(stores: Stores) -> None:
    good = numbered(100)
    rows = [{"customer_id": customer_id, **features} for customer_id, features in good.items()]
    rows += [
        {"customer_id": None, **GOOD},
        {"customer_id": "", **GOOD},
        {"customer_id": "y" * 257, **GOOD},
        {"customer_id": "twice", **GOOD},
        {"customer_id": "twice", **LAPSED},
        {"customer_id": "infinite", **GOOD, "revenue": float("-inf")},
        {"customer_id": "nan", **GOOD, "revenue": float("nan")},
        {"customer_id": "huge", **GOOD, "revenue": 1e126},
        {"customer_id": "tiny", **GOOD, "revenue": 9.9e-131},
        {"customer_id": "nothing"},
    ]
    done = stores.materialize(table_of(rows))
    stores.assert_hold(good)
    assert done.rejects == stores.work / "rejects.csv"
    assert done.reasons["the id comes more than once"] == 2
    assert sum(done.reasons.values()) == 10
    written = done.rejects.read_text().splitlines()
    assert written[0] == "customer_id,reason"
    assert {line.rpartition(",")[0]: line.rpartition(",")[2] for line in written[1:]} == {
        "": "there is no id",
        '""': "the id is empty",
        "y" * 257: "the id is longer than 256 characters",
        "twice": "the id comes more than once",
        "infinite": "revenue is infinite",
        "nan": "revenue is not a number (NaN)",
        "huge": "revenue is outside what DynamoDB can hold",
        "tiny": "revenue is outside what DynamoDB can hold",
        "nothing": "there is no feature at all",
    }
    stores.materialize(in_warehouse(good), LATER)
    assert not done.rejects.exists(), "the rejects are those of the last run"


def refused(stores: Stores, features: ir.Table, sentence: str) -> None:
    """The run is refused in one sentence, and both stores are as they were."""
    before = stores.items(), stores.objects(), stores.card()
    with pytest.raises(Problem, match=sentence) as caught:
        stores.materialize(features, LATER)
    assert "\n" not in str(caught.value)
    assert (stores.items(), stores.objects(), stores.card()) == before


def test_what_cannot_be_a_snapshot_is_refused_and_nothing_changes(stores: Stores) -> None:
    stores.materialize(in_warehouse(numbered(3)))
    bad = {"customer_id": "bad", **GOOD, "revenue": float("inf")}
    refused(stores, table_of([]), "has no customers")
    refused(
        stores, table_of([bad, {"customer_id": "ok", **GOOD}]), r"1 of 2 rows .* revenue is infinite: see .*rejects"
    )
    assert "bad,revenue is infinite" in (stores.work / "rejects.csv").read_text()
    refused(stores, table_of([], revenue="string"), "feature revenue is string, not a number")
    refused(stores, table_of([], revenue="boolean"), "feature revenue is boolean, not a number")
    refused(stores, table_of([], customer_id="float64"), "customer_id is float64: ids are texts or whole numbers")
    refused(stores, table_of([], features_as_of="float64"), "features_as_of has a name that is taken")
    refused(stores, table_of([]).rename(id="customer_id"), "no column customer_id")
    refused(stores, table_of([]).select("customer_id"), "map at least one feature")
    failing = table_of([{"customer_id": "1", **GOOD}])
    refused(
        stores, failing.mutate(revenue=failing.customer_id.cast("string").cast("float64").log(-1)), "could not answer"
    )
    assert stores.materialize(table_of([bad, {"customer_id": "ok", **GOOD}]), max_rejected_share=0.5).customers == 1


def test_customers_that_left_leave_both_stores_and_old_snapshots_go(stores: Stores) -> None:
    stores.service.s3.put_object(Bucket=stores.bucket, Key="snapshots/notes.txt", Body=b"someone's own")
    stores.service.s3.put_object(Bucket=stores.bucket, Key="results/1/part-00000.parquet", Body=b"someone's own")
    stores.service.put_customer("never in the warehouse", GOOD)
    first = stores.materialize(in_warehouse(numbered(60)))
    assert first.removed == 1
    second = stores.materialize(in_warehouse(numbered(4)), LATER)
    assert second.removed == 56
    stores.assert_hold(numbered(4), LATER)
    kept = {"snapshots/notes.txt", "results/1/part-00000.parquet", CURRENT_KEY}
    assert stores.objects() == {*first.parts, *second.parts, *kept}, "who reads the one before is not disturbed"
    third = stores.materialize(in_warehouse(numbered(5)), LATER)
    assert stores.objects() == {*second.parts, *third.parts, *kept}
    assert second.parts != third.parts, "what was published is never overwritten"


def test_the_card_names_the_one_before_and_never_itself(stores: Stores) -> None:
    first, second, third = (in_warehouse(numbered(count)) for count in (3, 4, 5))
    versions = []
    for features, as_of in ((first, MOMENT), (second, LATER), (second, LATER), (first, MOMENT), (third, MOMENT)):
        stores.materialize(features, as_of)
        card = stores.card()
        assert card is not None
        versions.append((card.version, card.previous and card.previous.version))
        stores.assert_hold(numbered(card.customers), as_of)
    one, two, three = versions[0][0], versions[1][0], versions[4][0]
    assert versions == [(one, None), (two, one), (two, one), (one, two), (three, one)]


@pytest.mark.parametrize("damage", ["overwritten", "cut off", "removed"])
def test_the_same_run_again_mends_a_damaged_part(stores: Stores, damage: str) -> None:
    (key,) = stores.materialize(in_warehouse(numbered(30))).parts
    where: Any = {"Bucket": stores.bucket, "Key": key}
    whole = stores.service.s3.get_object(**where)["Body"].read()
    if damage == "removed":
        stores.service.s3.delete_object(**where)
    else:
        body = whole[:-1] if damage == "cut off" else bytes([whole[0] ^ 1]) + whole[1:]
        stores.service.s3.put_object(**where, Body=body)
    stores.materialize(in_warehouse(numbered(30)))
    stores.assert_hold(numbered(30))
    listed = stores.service.s3.list_object_versions(Bucket=stores.bucket, Prefix=key)
    stores.materialize(in_warehouse(numbered(30)))
    again = stores.service.s3.list_object_versions(Bucket=stores.bucket, Prefix=key)
    assert again["Versions"] == listed["Versions"], "what is whole is not written again"


@pytest.mark.parametrize(
    "card",
    [
        {
            "as_of": rfc3339(MOMENT),
            "customers": 100,
            "parts": ["snapshots/20180102T000000Z-0123abcd/part-00000.parquet"],
        },
        "not a card",
    ],
    ids=["of an earlier form", "not valid"],
)
def test_a_card_that_cannot_be_read_is_replaced(stores: Stores, card: Any) -> None:
    stores.service.s3.put_object(Bucket=stores.bucket, Key=CURRENT_KEY, Body=json.dumps(card))
    status = stores.service.call("GET", "/config/ml/status").body["features"]
    assert "write the snapshot again (loyalty materialize)" in status["message"]
    if isinstance(card, dict):
        with pytest.raises(Problem, match="has 4 customers where 100 are published: nothing was changed"):
            stores.materialize(in_warehouse(numbered(4)), LATER, max_removed_share=0.5)
    stores.materialize(in_warehouse(numbered(4)), LATER)
    stores.assert_hold(numbered(4), LATER)
    published = stores.card()
    assert published is not None
    assert published.previous is None


def test_a_warehouse_that_lost_most_customers_is_not_believed(stores: Stores) -> None:
    stores.materialize(in_warehouse(numbered(10)))
    few = in_warehouse(numbered(4))
    with pytest.raises(
        Problem, match=r"has 4 customers where 10 are published: nothing was changed.*max_removed_share"
    ):
        stores.materialize(few, LATER, max_removed_share=0.5)
    stores.assert_hold(numbered(10))
    assert stores.materialize(few, LATER, max_removed_share=0.6).removed == 6
    stores.assert_hold(numbered(4), LATER)


def counting_writes() -> tuple[Any, list[str]]:
    """A client, and a list that has an entry for each of its writes."""
    client = customers_table.client()
    writes: list[str] = []
    client.meta.events.register("before-call.dynamodb.BatchWriteItem", lambda **_: writes.append("once"))
    return client, writes


def test_removed_customers_are_counted_by_id_before_anything_is_written(stores: Stores) -> None:
    stores.materialize(in_warehouse(numbered(10)))
    before = stores.items(), stores.objects(), stores.card()
    with_decimals = in_warehouse({f"{customer_id}.0": features for customer_id, features in numbered(10).items()})
    with pytest.raises(Problem) as caught:
        stores.materialize(with_decimals, LATER, max_removed_share=0.5)
    assert str(caught.value).startswith(
        f'10 of the 10 ids in {stores.table} are not in the warehouse (such as "c-0", "c-1", "c-2"), and 10 new ones '
        'are not in it (such as "c-0.0", "c-1.0", "c-2.0"): nothing was changed.'
    )
    assert (stores.items(), stores.objects(), stores.card()) == before
    assert stores.materialize(with_decimals, LATER, max_removed_share=1.0).removed == 10


def test_the_table_is_the_truth_of_who_would_be_removed(stores: Stores) -> None:
    stores.materialize(in_warehouse(numbered(4)))
    for number in range(5):
        stores.service.put_customer(f"stranger-{number}", GOOD)
    with pytest.raises(Problem, match=r'5 of the 9 ids .*"stranger-0", .* and 0 new ones are not in it: nothing'):
        stores.materialize(in_warehouse(numbered(4)), LATER, max_removed_share=0.5)
    assert stores.materialize(in_warehouse(numbered(4)), LATER, max_removed_share=5 / 9).removed == 5
    stores.assert_hold(numbered(4), LATER)


def test_only_items_that_differ_are_written(stores: Stores) -> None:
    rows = numbered(60)
    stores.materialize(in_warehouse(rows))
    client, writes = counting_writes()
    again = stores.materialize(in_warehouse(rows), dynamodb=client)
    assert (again.written, again.unchanged, again.removed, writes) == (0, 60, 0, [])
    del rows["c-1"]
    changed: dict[str, Features] = {
        "c-2": {**GOOD, "revenue": 1.0000000000000002},
        "c-3": {**GOOD, "service_count": None},
        "c-new": LAPSED,
    }
    done = stores.materialize(in_warehouse({**rows, **changed}), dynamodb=client)
    assert (done.written, done.unchanged, done.removed, len(writes)) == (3, 57, 1, 2)
    stores.assert_hold({**rows, **changed})
    # The moment is in each item, as an answer shows it: another one is another item.
    later = stores.materialize(in_warehouse({**rows, **changed}), LATER)
    assert (later.written, later.unchanged) == (60, 0)
    stores.assert_hold({**rows, **changed}, LATER)


def test_a_customer_with_a_moment_of_their_own_is_dated_by_it(stores: Stores) -> None:
    """Then another run at another moment writes only whose row is new, and those who have no moment."""
    rows = numbered(40)
    own: dict[str, datetime | None] = {name: MOMENT - timedelta(days=place % 3) for place, name in enumerate(rows)}
    own["c-7"] = None

    def dated() -> ir.Table:
        given = [{"customer_id": name, **row, AS_OF: own[name]} for name, row in rows.items()]
        return table_of(given, **{AS_OF: "timestamp('UTC')"})

    stores.materialize(dated())
    stores.assert_hold(rows, own=own)
    answer = stores.service.predict("c-1", "churn").body
    assert answer["features_as_of"] == rfc3339(MOMENT - timedelta(days=list(rows).index("c-1") % 3))
    own["c-2"] = LATER
    rows["c-3"] = LAPSED
    done = stores.materialize(dated(), LATER)
    assert (done.as_of, done.written, done.unchanged) == (LATER, 3, 37)
    stores.assert_hold(rows, LATER, own)


def test_an_item_that_somebody_else_changed_is_written_again(stores: Stores) -> None:
    rows = numbered(60)
    stores.materialize(in_warehouse(rows))
    key = {"customer_id": {"S": "c-7"}}
    for change, value in (
        ("SET revenue = :value", {"N": "5"}),
        ("SET revenue = :value", {"S": "5"}),
        ("SET revenue = :value", {"NULL": True}),
        ("SET nickname = :value", {"S": "Zoë"}),
        ("SET features_as_of = :value", {"S": "2018-01-02T00:00:01Z"}),
        ("REMOVE revenue", None),
        ("REMOVE features_as_of", None),
    ):
        values: Any = {"ExpressionAttributeValues": {":value": value}} if value else {}
        stores.service.dynamodb.update_item(TableName=stores.table, Key=key, UpdateExpression=change, **values)
        done = stores.materialize(in_warehouse(rows))
        assert (done.written, done.unchanged) == (1, 59), change
        stores.assert_hold(rows)


def test_a_run_on_another_machine_after_a_killed_one_skips_nothing(stores: Stores, tmp_path: Path) -> None:
    stores.materialize(in_warehouse(numbered(100)))
    other = dict.fromkeys(numbered(100), LAPSED)
    # Who is erased, what is current, the first item, the items, the part: then a write of 25, and the process is gone.
    with pytest.raises(Killed), killed_at(stores, 7):
        stores.materialize(in_warehouse(other), **ONE_BY_ONE)
    assert len([item for item in stores.items() if float(item["revenue"]["N"]) == LAPSED["revenue"]]) == 25
    done = stores.materialize(in_warehouse(numbered(100)), work=tmp_path / "another machine")
    assert (done.written, done.unchanged) == (25, 75)
    stores.assert_hold(numbered(100))


YEAR = {"revenue": "0123456789ab: formula of revenue = 1; [windows] year_days = 365"}
HALF_A_YEAR = {"revenue": "ba9876543210: formula of revenue = 1; [windows] year_days = 180"}
CHURN = ModelInputs("churn v1", ("revenue", "service_count"), YEAR)


def test_features_that_do_not_fit_an_active_model_are_refused_unless_forced(
    stores: Stores, capsys: pytest.CaptureFixture[str]
) -> None:
    features = in_warehouse(numbered(5))
    stores.materialize(features, active=[CHURN], definitions=YEAR)
    before = stores.items(), stores.objects(), stores.card()
    for other, definitions, sentence in (
        (features.drop("service_count"), YEAR, "churn v1 reads service_count, which the new snapshot does not have"),
        (features, HALF_A_YEAR, r"another definition of revenue .*\[windows\] year_days was 365 and is 180"),
    ):
        with pytest.raises(Problem, match=f"{sentence}.*Nothing was changed.*--force REASON"):
            stores.materialize(other, LATER, active=[CHURN], definitions=definitions)
        assert (stores.items(), stores.objects(), stores.card()) == before
    assert before[2] is not None
    assert (before[2].feature_definitions, before[2].forced) == (YEAR, None)
    stores.materialize(features, LATER, active=[CHURN], definitions=HALF_A_YEAR, force="churn is retired tonight")
    card = stores.card()
    assert card is not None
    assert (card.feature_definitions, card.forced) == (HALF_A_YEAR, "churn is retired tonight")
    assert "Forced (churn is retired tonight): churn v1 was trained" in capsys.readouterr().out
    stores.assert_hold(numbered(5), LATER)


def test_a_snapshot_of_which_too_few_could_be_answered_is_refused(stores: Stores) -> None:
    rows = numbered(10)
    for customer_id in ("c-0", "c-1"):
        rows[customer_id] = {**GOOD, "service_count": None}
    rows["c-2"] = {**GOOD, "revenue": None, "service_count": None}
    nobody_yet: dict[str, Features] = {f"new-{number}": {LIFETIME_TRANSACTION_COUNT: 0} for number in range(50)}
    bought: dict[str, Features] = {
        customer_id: {**row, LIFETIME_TRANSACTION_COUNT: 1} for customer_id, row in rows.items()
    }
    features = in_warehouse(bought | nobody_yet)
    nbo = ModelInputs("nbo v1", ("days_since_last",), None)
    with pytest.raises(
        Problem,
        match=r"^churn v1 could answer 7 of 10 customers \(70.0%\): 3 lack service_count, 1 lack revenue\. Nothing was "
        r"changed.*min_answerable_share under \[materialize\] \(0.71\)",
    ):
        stores.materialize(features, active=[CHURN, nbo], min_answerable_share=0.71)
    assert (stores.items(), stores.objects()) == ([], set())
    assert stores.materialize(features, active=[CHURN, nbo], min_answerable_share=0.7).customers == 60
    stores.materialize(features, LATER, active=[CHURN], min_answerable_share=0.71, force="known")
    card = stores.card()
    assert card is not None
    assert card.forced == "known"


def test_customers_outside_a_domain_are_stored_counted_and_could_not_be_answered(
    stores: Stores, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = numbered(10)
    values: list[Features] = [
        {"engagement_score": 100.5},
        {"transaction_count": 2.5},
        {"transaction_count": -1},
        {"revenue": 1e12},
    ]
    for number, value in enumerate(values):
        rows[f"c-{number}"] = {**GOOD, **value}
    rows["c-4"] = {**GOOD, "engagement_score": None}
    churn = ModelInputs("churn v1", DEFAULT_FEATURES, None, DEFAULT_DOMAINS)
    with pytest.raises(
        Problem,
        match=r"^churn v1 could answer 5 of 10 customers \(50.0%\): 2 have transaction_count outside its domain, 1 "
        "lack engagement_score, 1 have revenue outside its domain, 1 have engagement_score outside its domain",
    ):
        stores.materialize(in_warehouse(rows), active=[churn])
    stores.materialize(in_warehouse(rows), active=[churn], min_answerable_share=0.5, domains=DEFAULT_DOMAINS)
    stores.assert_hold(rows)
    told = capsys.readouterr().out
    assert "  2 customers have transaction_count outside its domain (a whole number, at least 0)" in told
    assert "1 customers have engagement_score outside its domain (a number, at least 0 and at most 100)" in told


def test_a_base_without_a_single_purchase_is_no_reason_to_refuse(stores: Stores) -> None:
    nobody = table_of([{"customer_id": "registered", LIFETIME_TRANSACTION_COUNT: 0}])
    assert stores.materialize(nobody, active=[CHURN], definitions=YEAR).customers == 1


class Killed(BaseException):
    """The process is gone."""


@contextmanager
def killed_at(stores: Stores, call: int, event: str = "before-call") -> Iterator[None]:
    """The process dies at this AWS call, before it is made or when its answer comes."""
    calls = 0

    def count(**_: Any) -> None:
        nonlocal calls
        calls += 1
        if calls >= call:
            raise Killed

    clients = (stores.service.s3, stores.dynamodb)
    for client in clients:
        client.meta.events.register(event, count)
    try:
        yield
    finally:
        for client in clients:
            client.meta.events.unregister(event, count)


@pytest.mark.parametrize(
    ("event", "again"),
    [
        pytest.param("before-call", "resumed", marks=pytest.mark.long),
        ("after-call", "resumed"),
        ("before-call", "started over"),
    ],
)
def test_a_run_killed_at_any_call_ends_with_the_same_stores(stores: Stores, event: str, again: str) -> None:
    new = {**numbered(10), **{f"new-{number}": LAPSED for number in range(20)}}
    before, after = in_warehouse(numbered(40)), in_warehouse(new)
    old_part = "snapshots/20170101T000000Z-0123abcd/part-00000.parquet"
    # Who is erased, what is current, the table's first item, its items, 1 part, its checksum (from the second time on),
    # 2 writes, 2 removals, who is erased by now, the switch, the list, 1 removal.
    for call in range(1, 15):
        stores.materialize(before, **ONE_BY_ONE)
        stores.service.s3.put_object(Bucket=stores.bucket, Key=old_part, Body=b"of a run before")
        published = stores.card()
        with pytest.raises(Killed), killed_at(stores, call, event):
            stores.materialize(after, LATER, **ONE_BY_ONE)
        if stores.card() == published:
            assert {item["customer_id"]["S"] for item in stores.items()} >= set(numbered(10)), "who stays is there"
        else:
            stores.assert_hold(new, LATER)
        stores.materialize(
            after, LATER, work=stores.work if again == "resumed" else stores.work / str(call), **ONE_BY_ONE
        )
        stores.assert_hold(new, LATER)
        assert old_part not in stores.objects()
    stores.materialize(before, **ONE_BY_ONE)
    stores.service.s3.put_object(Bucket=stores.bucket, Key=old_part, Body=b"of a run before")
    with killed_at(stores, 15, event):
        stores.materialize(after, LATER, **ONE_BY_ONE)


def test_a_resumed_run_goes_on_where_it_was(stores: Stores, capsys: pytest.CaptureFixture[str]) -> None:
    rows = numbered(500)
    features = in_warehouse(rows)
    with pytest.raises(Killed), killed_at(stores, 16):
        stores.materialize(features, **ONE_BY_ONE)
    written = len(stores.items())
    assert written == 250
    client, writes = counting_writes()
    # Somebody else writes between the two: the table is asked, not this machine's memory of it.
    stores.service.put_customer("c-0", LAPSED)
    stores.service.put_customer("a stranger", LAPSED)
    done = stores.materialize(features, dynamodb=client, **ONE_BY_ONE)
    assert "Going on" in capsys.readouterr().out
    assert (done.customers, done.written, done.unchanged, done.removed) == (500, 251, 249, 1)
    assert len(writes) == 11 + 1, "what was there was not written again"
    stores.assert_hold(rows)


def test_a_run_of_other_features_does_not_go_on_with_an_old_one(
    stores: Stores, capsys: pytest.CaptureFixture[str]
) -> None:
    features = in_warehouse(numbered(30))
    with pytest.raises(Killed), killed_at(stores, 5):
        stores.materialize(features)
    for part in (stores.work / "parts").iterdir():
        part.write_bytes(part.read_bytes()[:-1])
    stores.materialize(features)
    stores.assert_hold(numbered(30))
    with pytest.raises(Killed), killed_at(stores, 5):
        stores.materialize(features, LATER)
    stores.materialize(features.filter(features.revenue > 1), LATER)
    assert "Going on" not in capsys.readouterr().out
    assert {item["customer_id"]["S"] for item in stores.items()} < set(numbered(30))


def fail(client: Any, operation: str, codes: Iterator[str | None]) -> None:
    """Answers the operation with these error codes, lets it through for each None, and after the last."""

    def answer(**_: Any) -> None:
        code = next(codes, None)
        if code is not None:
            name = operation.rpartition(".")[2]
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, name)

    client.meta.events.register(f"before-call.{operation}", answer)


def test_what_dynamodb_does_not_take_is_sent_again(stores: Stores) -> None:
    client = customers_table.client()
    left_over = [1, 24, 10]
    sent = 0

    def remember(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        context["requests"] = params["RequestItems"][stores.table]

    def leave(parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        nonlocal sent
        sent += 1
        if left_over:
            parsed["UnprocessedItems"] = {stores.table: context["requests"][: left_over.pop()]}

    client.meta.events.register("provide-client-params.dynamodb.BatchWriteItem", remember)
    client.meta.events.register("after-call.dynamodb.BatchWriteItem", leave)
    fail(client, "dynamodb.BatchWriteItem", iter(["ThrottlingException", "InternalServerError"]))
    fail(client, "dynamodb.Scan", iter([None, "ProvisionedThroughputExceededException"]))
    stores.materialize(in_warehouse(numbered(60)), dynamodb=client)
    assert not left_over
    assert sent == 3 + 3, "three writes, and again what each was said to have left"
    stores.assert_hold(numbered(60))


def test_a_table_that_takes_nothing_is_one_sentence_and_the_snapshot_stays(stores: Stores) -> None:
    stores.materialize(in_warehouse(numbered(3)))
    published = stores.card()
    client = customers_table.client()
    fail(client, "dynamodb.BatchWriteItem", iter(["ThrottlingException"] * 1000))
    with pytest.raises(Problem, match=f"took nothing more for {stores.table}.*ThrottlingException.*write capacity"):
        stores.materialize(in_warehouse(numbered(300)), LATER, dynamodb=client, writing=Writing(patience_seconds=0))
    assert stores.card() == published
    stores.materialize(in_warehouse(numbered(300)), LATER)
    stores.assert_hold(numbered(300), LATER)


@pytest.mark.parametrize("operation", ["GetObject", "PutObject"])
def test_a_bucket_without_permission_is_one_sentence_and_the_table_stays(stores: Stores, operation: str) -> None:
    client = boto3.client("s3")
    fail(client, f"s3.{operation}", iter(["AccessDenied"] * 5))
    with pytest.raises(
        Problem, match=f"AWS answered AccessDenied to {operation} for the bucket {stores.bucket}: check"
    ):
        stores.materialize(in_warehouse(numbered(3)), s3=client)
    assert stores.items() == []


def test_a_table_or_bucket_that_is_not_there_is_one_sentence(stores: Stores) -> None:
    with pytest.raises(Problem, match="ResourceNotFoundException to Scan for the table no-such-table: check the name"):
        stores.materialize(in_warehouse(numbered(3)), table="no-such-table")
    with pytest.raises(
        Problem, match="NoSuchBucket to ListObjectsV2 for the bucket no-such-bucket-anywhere: check the name"
    ):
        stores.materialize(in_warehouse(numbered(3)), bucket="no-such-bucket-anywhere")
    assert stores.objects() == set()


def test_of_two_runs_the_one_that_comes_second_is_told(stores: Stores) -> None:
    client = boto3.client("s3")

    def publish_in_between(**_: Any) -> None:
        client.meta.events.unregister("before-call.s3.PutObject", publish_in_between)
        stores.materialize(in_warehouse(numbered(7)), LATER, work=stores.work / "other")

    client.meta.events.register("before-call.s3.PutObject", publish_in_between)
    mine = in_warehouse(numbered(4))
    with pytest.raises(SnapshotConflict, match=r"Another run published .* meanwhile.*run this one again"):
        stores.materialize(mine, s3=client)
    card = stores.card()
    assert card is not None
    assert card.customers == 7
    stores.materialize(mine)
    stores.assert_hold(numbered(4))


def test_two_runs_in_one_directory_are_one_sentence(stores: Stores) -> None:
    stores.work.mkdir()
    with (stores.work / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused(stores, in_warehouse(numbered(3)), f"Another run is at work in {stores.work}")


def test_a_full_disk_is_one_sentence(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        # The disk fills up on the way; a test cannot fill one.
        patched.setattr(pq.ParquetWriter, "write_table", full)
        refused(stores, in_warehouse(numbered(3)), f"The disk is full: make room in {stores.work}")
    with monkeypatch.context() as patched:
        # A constant: no test has so many customers that DuckDB runs out of it.
        patched.setattr(snapshot_parts, "WORK_MEMORY", "1kB")
        refused(stores, in_warehouse(numbered(3)), f"could not be sorted .*make room in {stores.work}")
    assert not (stores.work / "parts").exists()


CONFIG = """
[tables]
features = "everyone"
[features]
"""


def stopped(*_: Any) -> None:
    raise KeyboardInterrupt


def test_the_command_compares_with_the_active_models(
    stores: Stores, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with duckdb.connect(str(tmp_path / "dwh.duckdb")) as connection:
        columns = ", ".join(f"{name} DOUBLE" for name in DEFAULT_FEATURES)
        connection.execute(f"CREATE TABLE everyone (customer_id INTEGER, updated_at TIMESTAMP, {columns})")
        moment = datetime(2026, 11, 1)  # noqa: DTZ001
        connection.execute(
            f"INSERT INTO everyone VALUES (1, ?{', ?' * len(DEFAULT_FEATURES)})",
            [moment, *(GOOD[name] for name in DEFAULT_FEATURES)],
        )
    config = tmp_path / "warehouse.toml"
    config.write_text('[tables]\nfeatures = "everyone"\n')
    command = ["materialize", "--table", stores.table, "--bucket", stores.bucket, "--config", str(config)]
    command += ["--work", str(stores.work), "--warehouse", f"duckdb://{tmp_path}/dwh.duckdb"]
    model_bucket = ["--model-bucket", stores.service.model_bucket]
    assert main([*command, "--model-bucket", "no-such-bucket"]) == 1
    assert "NoSuchBucket to GetObject for the bucket no-such-bucket" in capsys.readouterr().err
    assert main([*command, *model_bucket]) == 0, "nothing is published yet"
    assert f"No model is active in {stores.service.model_bucket}" in capsys.readouterr().out
    publish(stores.service.s3, stores.service.model_bucket, sample_set.FOLDER)
    assert main([*command, *model_bucket]) == 0
    printed = capsys.readouterr().out
    assert printed.count("0 written to") == 1, "the second time"
    assert "The feature definitions of churn" in printed, "a placeholder has none"
    config.write_text('[tables]\nfeatures = "everyone"\n[features]\nrevenue = "revenue"\n')
    assert main([*command, *model_bucket]) == 1
    assert "read transaction_count, avg_transaction_value," in capsys.readouterr().err
    assert main([*command, *model_bucket, "--force", "the models go tomorrow"]) == 0
    assert main(command) == 0
    assert "not compared with the active models: name the model bucket with --model-bucket" in capsys.readouterr().out
    for wrong in (["--force", "why"], [*model_bucket, "--force", " "]):
        with pytest.raises(SystemExit, match="2"):
            main([*command, *wrong])


def test_the_command(
    stores: Stores, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with duckdb.connect(str(tmp_path / "dwh.duckdb")) as connection:
        connection.execute(
            "CREATE TABLE everyone (customer_id INTEGER, updated_at TIMESTAMP, spent DOUBLE, days INTEGER)"
        )
        rows = [[number, datetime(2026, 11, 1 + number % 3), number / 3, number] for number in range(30)]  # noqa: DTZ001
        connection.executemany("INSERT INTO everyone VALUES (?, ?, ?, ?)", [*rows, [30, rows[0][1], float("nan"), 1]])
    config = tmp_path / "warehouse.toml"
    config.write_text(f'{CONFIG}revenue = "spent"\ndays_since_last = "days"\n')
    where = ["--table", stores.table, "--bucket", stores.bucket]
    command = ["materialize", *where, "--config", str(config), "--work", str(stores.work)]
    monkeypatch.setenv("WAREHOUSE_URL", f"duckdb://{tmp_path}/dwh.duckdb")
    assert main(command) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert f"30 customers in {stores.table} and in {stores.bucket}, as of " in printed.out
    assert "each customer's as of their row's updated_at: 2026-11-01T00:00:00Z to 2026-11-03T00:00:00Z" in printed.out
    assert f"1 rejected, mostly because revenue is not a number (NaN); all are in {stores.work}" in printed.out
    expected = {str(number): {"revenue": number / 3, "days_since_last": float(number)} for number in range(30)}
    own = {str(number): datetime(2026, 11, 1 + number % 3, tzinfo=UTC) for number in range(30)}
    card = stores.card()
    assert card is not None
    stores.assert_hold(expected, card.as_of, own)
    with monkeypatch.context() as patched:
        # The command makes its own bucket; Ctrl-C comes at its last step.
        patched.setattr(SnapshotBucket, "switch", stopped)
        assert main(command) == 130
    assert "stopped; the published snapshot is as it was" in capsys.readouterr().err
    assert main(command) == 0
    printed = capsys.readouterr()
    assert "Going on with the run that was stopped" in printed.out
    assert "0 written" in printed.out
    monkeypatch.delenv("WAREHOUSE_URL")
    config.write_text(f'{CONFIG}revenue = "no_such_column"\n')
    assert main([*command, "--warehouse", f"duckdb://{tmp_path}/dwh.duckdb"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "no_such_column" in error
    card = stores.card()
    assert card is not None
    stores.assert_hold(expected, card.as_of, own)
    for wrong in (["--as-of", "2026-11-01"], ["--as-of", "yesterday"]):
        with pytest.raises(SystemExit, match="2"):
            main([*command, "--warehouse", "duckdb://x", *wrong])
        assert "time zone" in capsys.readouterr().err
