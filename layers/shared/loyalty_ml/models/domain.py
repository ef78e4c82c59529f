"""What values a feature may have: a count is whole and not negative, a score is from 0 to 100.

A value outside its domain is a mistake of whoever wrote it, such as a number with its decimal comma lost. It is
refused, in every mode alike, because a model answers anything with a plausible number.
"""

import math
from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Self

from pydantic import Field, model_validator

from loyalty_ml.models.document import Document


class Domain(Document):
    """The values of one feature. A bound that is left out does not bound; without any key every number is good."""

    least: float | None = Field(None, description="The least value.")
    above: float | None = Field(None, description="In place of `least`: values are above this one.")
    most: float | None = Field(None, description="The greatest value.")
    below: float | None = Field(None, description="In place of `most`: values are below this one.")
    whole: bool = Field(False, description="Whether values are whole numbers.")

    @model_validator(mode="after")
    def _has_values(self) -> Self:
        for one, other in (("least", "above"), ("most", "below")):
            if getattr(self, one) is not None and getattr(self, other) is not None:
                raise ValueError(f"{one} and {other} are both given: remove one")
        low, high = self.bounds
        if low > high or (self.whole and math.isfinite(low) and math.ceil(low) > high):
            raise ValueError(f"{self} does not exist: correct the bounds")
        return self

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """The least and the greatest float64 that are in it; infinite where it has no bound."""
        low = -math.inf if self.least is None else self.least
        high = math.inf if self.most is None else self.most
        if self.above is not None:
            low = math.nextafter(self.above, math.inf)
        if self.below is not None:
            high = math.nextafter(self.below, -math.inf)
        return low, high

    def holds(self, value: float) -> bool:
        """Whether a value is in it; NaN is not."""
        low, high = self.bounds
        return low <= value <= high and (not self.whole or not math.isfinite(value) or value == math.floor(value))

    def __str__(self) -> str:
        """What a value must be, such as "a whole number, at least 0 and below 100,000"."""
        bounds = {"at least": self.least, "above": self.above, "at most": self.most, "below": self.below}
        said = " and ".join(f"{word} {shown(bound)}" for word, bound in bounds.items() if bound is not None)
        kind = "a whole number" if self.whole else "a number"
        return f"{kind}, {said}" if said else kind


def shown(value: float) -> str:
    """A value for people: 250 and 1,000,000, but 2.5 and 1e+16."""
    return f"{int(value):,}" if abs(value) < _EXACT and value == int(value) else repr(value)


_EXACT = 2.0**53
"""From here on not every whole number is a float64."""

_COUNT = Domain(least=0, whole=True)
_DAYS = Domain(least=0, below=100_000, whole=True)
_MONEY = Domain(above=-1e12, below=1e12)  # returns make it negative

DEFAULT_DOMAINS: Mapping[str, Domain] = MappingProxyType(
    {
        "revenue": _MONEY,
        "transaction_count": _COUNT,
        "days_since_last": _DAYS,
        "avg_transaction_value": _MONEY,
        "lifetime_value": _MONEY,
        "customer_age_days": _DAYS,
        "monthly_revenue": _MONEY,
        "product_count": _COUNT,
        "service_count": _COUNT,
        "engagement_score": Domain(least=0, most=100),
        "lifetime_transaction_count": _COUNT,
        "rfm_transaction_count": _COUNT,
        "rfm_revenue": _MONEY,
        "offers_seen": _COUNT,
        "offers_taken": _COUNT,
        "offer_take_rate": Domain(least=0, most=1),
        "days_since_offer": _DAYS,
    }
)
"""Of the features that the project defines (docs/features.md), by name."""
