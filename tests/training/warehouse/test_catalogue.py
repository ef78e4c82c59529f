"""Offers by the codes of a warehouse, whatever their type: on DuckDB and on a real PostgreSQL."""

import re
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from tests.training.warehouse.conftest import SETTINGS, Fill, Open
from training import config
from training.config import Config
from training.errors import Problem
from training.warehouse import catalogue, queries

pytestmark = pytest.mark.moto

COLUMNS = ", ".join(f"{name} DOUBLE PRECISION" for name in SETTINGS.features)
TABLES = '[tables]\nfeatures = "f"\noffers = "mailings"\n[reading]\nmax_rejected_share = 1\n'


def settings(tmp_path: Path, offers: str) -> Config:
    path = tmp_path / "warehouse.toml"
    path.write_text(TABLES + offers, encoding="utf-8")
    return config.load(path)


def entries(*codes: str) -> str:
    """[[offers]] with these codes, as TOML has them."""
    return "".join(f"[[offers]]\noffer_id = {code}\n" for code in codes)


def mailings(kind: str, codes: list[str]) -> list[str]:
    """SQL of a table of exposures with a column of a type, and a row for each code, in order of the customer.

    The first code was shown once more, a year later: so the others are old enough to have been taken.
    """
    values = ", ".join(str(number) for number in range(10))
    rows = ", ".join(
        f"('c-{row:03}', {code}, {'true' if row % 2 else 'false'}, DATE '{date(2025, 1, 1)}', {values})"
        for row, code in enumerate(codes)
    )
    rows += f", ('c-later', {codes[0]}, false, DATE '{date(2026, 1, 1)}', {values})"
    table = (
        f"CREATE TABLE mailings (customer_id VARCHAR, offer_id {kind}, converted BOOLEAN, created_at DATE, {COLUMNS})"
    )
    return [table, f"INSERT INTO mailings VALUES {rows}"]


def shown(warehouse: Fill, open_it: Open, kind: str, codes: list[str], mine: Config) -> tuple[list[str], list[str]]:
    """The code of each exposure in the order of the customers, and of each offer of the catalogue."""
    examples = queries.offer_examples(open_it(warehouse(*mailings(kind, codes)), mine))
    assert examples is not None
    assert examples.offers is not None
    known = [offer.offer_code for offer in examples.catalogue]
    by_customer = examples.offers[np.argsort(examples.customer_ids)]
    return [known[place] for place in by_customer.tolist()], known


KINDS = {
    "text": ("VARCHAR(20)", ["'FREE_SHIP'", "'VIP NIGHT'", "' lead'"], ["FREE_SHIP", "VIP NIGHT", " lead"]),
    "unicode": ("VARCHAR(20)", ["'Größe'", "'送料無料'", "'ё'"], ["Größe", "送料無料", "ё"]),
    "fixed width": ("CHAR(9)", ["'FREE     '", "'A B'", "'VIP'"], ["FREE", "A B", "VIP"]),
    "leading zeros": ("VARCHAR(9)", ["'007'", "'7'", "'07'"], ["007", "7", "07"]),
    "integer": ("INTEGER", ["7", "-3", "1000000"], ["7", "-3", "1000000"]),
    "bigint": ("BIGINT", ["9007199254740993", "1", "2"], ["9007199254740993", "1", "2"]),
    "decimal": ("NUMERIC(12, 2)", ["7.00", "10.00", "300"], ["7", "10", "300"]),
    "double": ("DOUBLE PRECISION", ["7", "10", "300"], ["7", "10", "300"]),
    "large double": ("DOUBLE PRECISION", ["2e16", "1e7", "-0"], ["20000000000000000", "10000000", "0"]),
    "real": ("REAL", ["7", "10", "300"], ["7", "10", "300"]),
    "uuid": (
        "UUID",
        [f"'{digit * 8}-0000-4000-8000-000000000000'" for digit in "abc"],
        [f"{digit * 8}-0000-4000-8000-000000000000" for digit in "abc"],
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_code_is_what_the_warehouse_has_whatever_its_type(
    fill: Fill, connect: Open, tmp_path: Path, kind: str
) -> None:
    column, values, codes = KINDS[kind]
    found, known = shown(fill, connect, column, values * 2, settings(tmp_path, ""))
    assert found == codes * 2
    assert sorted(known) == sorted(codes)


@pytest.mark.parametrize("kind", KINDS)
def test_a_catalogue_names_the_same_codes_in_an_order_of_its_own(
    fill: Fill, connect: Open, tmp_path: Path, kind: str
) -> None:
    column, values, codes = KINDS[kind]
    mine = settings(tmp_path, entries(*(f'"{code}"' for code in codes[::-1])))
    assert shown(fill, connect, column, values * 2, mine) == (codes * 2, codes[::-1])


@pytest.mark.parametrize(
    ("kind", "value"), [("BOOLEAN", "true"), ("DATE", "DATE '2025-01-01'"), ("INTEGER[]", "NULL"), ("JSON", "'7'")]
)
def test_what_can_be_no_code_is_refused(fill: Fill, connect: Open, tmp_path: Path, kind: str, value: str) -> None:
    with pytest.raises(Problem, match=r"Column offer_id of mailings is .*, where a text, a whole number or a UUID"):
        shown(fill, connect, kind, [value], settings(tmp_path, ""))


@pytest.mark.parametrize("offers", ["", entries("1", "2")], ids=["no catalogue", "catalogue"])
def test_a_code_that_is_no_whole_number_is_shown(fill: Fill, connect: Open, tmp_path: Path, offers: str) -> None:
    url = fill(*mailings("DOUBLE PRECISION", ["1", "2", "1.5", "1", "2"]))
    warehouse = connect(url, settings(tmp_path, offers))
    assert queries.offer_examples(warehouse) is not None
    ((reason, left_out),) = warehouse.left_out("offers").reasons.items()
    assert (reason, left_out.count) == ("an offer that is not a whole number", 1)
    assert left_out.example.endswith("offer_id 1.5")


def test_an_offer_that_the_catalogue_does_not_have_is_left_out_and_counted(
    fill: Fill, connect: Open, tmp_path: Path
) -> None:
    mine = settings(tmp_path, entries('"A"', '"B"', '"NEVER"'))
    url = fill(*mailings("VARCHAR(9)", ["'A'", "'B'", "'a'", "NULL", "'OLD'", "''", "'A'", "'B'"]))
    examples = queries.offer_examples(connect(url, mine))
    assert examples is not None
    assert examples.offers is not None
    assert examples.offers[np.argsort(examples.customer_ids)].tolist() == [0, 1, 0, 1]
    assert examples.left_out == {
        "an offer that the catalogue does not have": 2,
        "no offer": 2,
        "shown less than 30 days before the data ends": 1,
    }
    sentence = catalogue.never_shown(examples.offers, examples.catalogue)
    assert sentence == "The catalogue has offers that no example is of, of which nothing can be learnt: NEVER."
    assert catalogue.never_shown(np.array([0, 1, 2]), examples.catalogue) == ""


@pytest.mark.parametrize("count", [2, 3, 200])
def test_without_a_catalogue_the_codes_are_the_catalogue_and_the_names(
    fill: Fill, connect: Open, tmp_path: Path, count: int
) -> None:
    mine = settings(tmp_path, "")
    url = fill(*mailings("INTEGER", [str(1 + row % count) for row in range(2 * count)]))
    examples = queries.offer_examples(connect(url, mine))
    assert examples is not None
    assert [(offer.offer_id, offer.offer_code, offer.offer_name, offer.category) for offer in examples.catalogue] == [
        (place, str(place + 1), str(place + 1), "offer") for place in range(count)
    ]


@pytest.mark.parametrize("count", [1, 201])
def test_too_few_or_too_many_codes_are_refused_before_any_training(
    fill: Fill, connect: Open, tmp_path: Path, count: int
) -> None:
    codes = [f"'offer {row % count}'" for row in range(2 * count)]
    with pytest.raises(Problem, match=f"mailings has {count} different offers?, but a model has 2 to 200"):
        shown(fill, connect, "VARCHAR(20)", codes, settings(tmp_path, ""))


def test_a_code_that_no_card_can_hold_is_refused(fill: Fill, connect: Open, tmp_path: Path) -> None:
    with pytest.raises(Problem, match="an offer whose code has more than 200 characters"):
        shown(fill, connect, "VARCHAR(300)", [f"'{'x' * 201}'", "'a'"], settings(tmp_path, ""))


def test_codes_are_in_the_order_of_numbers_and_then_of_text() -> None:
    codes = np.array(["b", "10", "9", "a", "9", "-1"], np.object_)
    assert [offer.offer_code for offer in catalogue.from_codes(codes, "t")] == ["9", "10", "-1", "a", "b"]


@pytest.mark.parametrize("count", [2, 3, 200])
def test_a_catalogue_may_have_as_many(tmp_path: Path, count: int) -> None:
    mine = settings(tmp_path, entries(*(f'"c {number}"' for number in range(count))))
    assert [offer.offer_code for offer in mine.catalogue] == [f"c {number}" for number in range(count)]
    assert {(offer.offer_name, offer.category) for offer in mine.catalogue} == {
        (f"c {number}", "offer") for number in range(count)
    }


def test_an_offer_is_described_as_its_owner_likes(tmp_path: Path) -> None:
    offers = '[[offers]]\noffer_id = 7\noffer_name = "Free Shipping"\ncategory = "ship"\n' + entries('"VIP  "')
    first, second = settings(tmp_path, offers).catalogue
    assert (first.offer_id, first.offer_code, first.offer_name, first.category) == (0, "7", "Free Shipping", "ship")
    assert (second.offer_id, second.offer_code, second.offer_name, second.category) == (1, "VIP", "VIP", "offer")


@pytest.mark.parametrize(
    ("offers", "sentence"),
    [
        (entries('"A"'), "there must be 2 to 200 offers, but there are 1"),
        (entries(*map(str, range(201))), "there must be 2 to 200 offers, but there are 201"),
        (entries('"A"', '"B"', '"A"'), "two offers have the offer_id A: remove one of the [[offers]]"),
        (entries('"7"', "7"), "two offers have the offer_id 7"),
        (entries('"A"', '"A  "'), "two offers have the offer_id A"),
        (entries('"A"', '" "'), "offers.1.offer_id: must not be empty"),
        (entries('"A"', "1.5"), "offers.1.offer_id: must be text or a whole number"),
        (entries('"A"', "true"), "offers.1.offer_id: must be text or a whole number"),
        (entries('"A"', f'"{"x" * 201}"'), "offers.1.offer_id: must have at most 200 characters"),
        (entries('"A"', '"B"\nname = "x"'), "offers.1.name: is not known"),
    ],
)
def test_a_catalogue_that_cannot_be_is_refused_when_the_file_is_read(
    tmp_path: Path, offers: str, sentence: str
) -> None:
    with pytest.raises(Problem, match=re.escape(sentence)):
        settings(tmp_path, offers)


def test_a_file_without_a_catalogue_has_no_offers_of_ours(tmp_path: Path) -> None:
    assert settings(tmp_path, "").catalogue == ()
    assert [offer.offer_code for offer in config.load().catalogue] == list("01234567")
