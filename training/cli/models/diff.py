"""loyalty models diff: the metrics of two versions of a model, side by side, and their offers."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from training.cli import options
from training.cli.command import Command
from training.table import table

if TYPE_CHECKING:
    from loyalty_ml.models.card import Card


def _add_arguments(parser: ArgumentParser) -> None:
    parser.usage = "%(prog)s [-h] --bucket BUCKET MODEL [VERSION [VERSION]]"
    options.add_model_bucket(parser)
    parser.add_argument("model", choices=options.MODELS, metavar="MODEL", help="churn or nbo")
    parser.add_argument("versions", nargs="*", metavar="VERSION", help="at most two; 'loyalty models list' has them")


def _mistake(chosen: Namespace) -> str:
    return "two versions are compared, not more" if len(chosen.versions) > 2 else ""


def _diff(chosen: Namespace) -> None:
    import boto3

    from training import registry

    pair = registry.diff(boto3.client("s3"), chosen.bucket, chosen.model, chosen.versions)
    first, second = pair
    rows: list[tuple[str, ...]] = [
        (chosen.model, first.version, second.version, "difference"),
        ("created", *(f"{card.created:%Y-%m-%d %H:%M}" for card in pair), ""),
        ("trained on", *(_trained_on(card) for card in pair), ""),
        ("forced", *(card.forced or "no" for card in pair), ""),
    ]
    if any(card.active for card in pair):
        rows.append(("lapsed", *(_lapsed(card) for card in pair), ""))
    for metric in dict.fromkeys([*first.metrics, *second.metrics]):
        old, new = first.metrics.get(metric), second.metrics.get(metric)
        difference = "" if old is None or new is None else f"{new - old:+.4g}"
        rows.append((metric, _number(old), _number(new), difference))
    print(table(rows))
    for line in _offers(first, second):
        print(line)


def _offers(first: "Card", second: "Card") -> list[str]:
    """The offers that only one of the two has, and those of which more or less is known now, by their codes."""
    from loyalty_ml.models.catalogue import listed

    old, new = ({offer.offer_code: offer.evidence for offer in card.offers} for card in (first, second))
    found = {
        "offers that are new": [offer for offer in second.offers if offer.offer_code not in old],
        "offers that are gone": [offer for offer in first.offers if offer.offer_code not in new],
    }
    for title, evidence in (("offers that are learnt now", "learnt"), ("offers with too few data now", "too_few")):
        found[title] = [
            offer
            for offer in second.offers
            if offer.evidence == evidence and old.get(offer.offer_code, evidence) != evidence
        ]
    return [f"{title}: {listed(offers)}" for title, offers in found.items() if offers]


def _lapsed(card: "Card") -> str:
    return f"{card.active.feature} over {card.active.days:g}" if card.active else "unknown"


def _trained_on(card: "Card") -> str:
    return f"{card.training.rows:,} rows{', PLACEHOLDER' if card.placeholder else ''}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"


COMMAND = Command(
    name="diff",
    summary="the metrics of two versions, side by side",
    description="Shows the metrics of two versions side by side, and what the second has more or less. With one "
    "version: the active one, and it. With none: the one that was active before, and the active one.",
    example="--bucket my-models churn",
    add_arguments=_add_arguments,
    work=_diff,
    when_stopped=lambda _: "nothing was changed.",
    place=lambda chosen: f"the bucket {chosen.bucket}",
    mistake=_mistake,
)
