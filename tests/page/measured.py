"""A card with figures, for models that were measured, and what its tests count by."""

from typing import Any


def ranged(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": value, "low": low, "high": high}


def group(name: str, customers: int, happened: int, predicted: float) -> dict[str, Any]:
    share = happened / customers
    return {
        "name": name,
        "customers": customers,
        "happened": happened,
        "predicted": predicted,
        "share": ranged(share, max(0.0, share - 0.04), min(1.0, share + 0.04)),
    }


CHURN_QUALITY: dict[str, Any] = {
    "customers": 2000,
    "left": 420,
    "lists": [
        {
            "share": share,
            "customers": customers,
            "found": ranged(found, found - 9, found + 9),
            "rule": ranged(rule, rule - 9, rule + 9),
            "rule_days": 45,
            "chance": ranged(chance, chance - 6, chance + 6),
            "word": "useful",
            "sentence": f"Of {customers} that you can write to, this finds {found}, your 45-day rule {rule}, chance "
            f"{chance}.",
        }
        for share, customers, found, rule, chance in ((0.05, 100, 71, 58, 21), (0.1, 200, 131, 104, 42))
    ],
    "bands": [group("high", 200, 131, 0.64), group("medium", 400, 120, 0.31), group("low", 1400, 169, 0.11)],
    "tenths": [
        group(str(place + 1), 200, max(4, 131 - 15 * place), max(0.03, 0.64 - 0.07 * place)) for place in range(10)
    ],
}


def active_in(each: dict[str, Any]) -> int:
    """The members in a bin of risk who have not lapsed."""
    return sum(members for band, members in each["by_risk"].items() if band != "lapsed")
