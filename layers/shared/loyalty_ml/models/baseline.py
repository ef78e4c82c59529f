"""Who a score is explained against, and the words that reasons are said in."""

import re
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Annotated, Self

from pydantic import Field, model_validator

from loyalty_ml.models.document import Document

MAX_WORDS_CHARACTERS = 200
VALUE = "{value}"
OTHER = "another"
"""What a reason calls a text that is none of its feature's categories."""
Words = Annotated[str, Field(min_length=1, max_length=MAX_WORDS_CHARACTERS)]
GroupName = Annotated[str, Field(min_length=1, max_length=MAX_WORDS_CHARACTERS)]

DEFAULT_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "revenue": "{value} spent in a year",
        "transaction_count": "{value} {purchase|purchases} in a year",
        "days_since_last": "no purchase for {value} {day|days}",
        "avg_transaction_value": "{value} spent in an average purchase",
        "lifetime_value": "{value} spent in all",
        "customer_age_days": "a customer for {value} {day|days}",
        "monthly_revenue": "{value} spent in 30 days",
        "product_count": "{value} different {product|products}",
        "service_count": "{value} different {service|services}",
        "engagement_score": "a purchase in {value} % of 12 weeks",
        "lifetime_transaction_count": "{value} {purchase|purchases} in all",
        "rfm_transaction_count": "{value} {purchase|purchases} in the RFM window",
        "rfm_revenue": "{value} spent in the RFM window",
        "offers_seen": "{value} {offer|offers} seen",
        "offers_taken": "{value} {offer|offers} taken",
        "offer_take_rate": "an offer take rate of {value}",
        "days_since_offer": "the last offer {value} {day|days} ago",
    }
)
"""Of the features that the project defines (docs/features.md), by name."""


def words_of(feature: str) -> str:
    """What a feature is called in a reason where nothing else is configured."""
    return DEFAULT_WORDS.get(feature, f"{feature} is {VALUE}")


_FORMS = re.compile(r"\{([^{}|]*)\|([^{}|]*)\}")


def in_form(words: str, *, is_one: bool) -> str:
    """Words with the form of each noun that the value wants: of "{value} {day|days}" the first one if it is 1."""
    return _FORMS.sub(r"\1" if is_one else r"\2", words)


class Baseline(Document):
    """The median customer of the active base: each feature's median, which is a value that a customer has.

    customers:  how many customers the medians are of; None if they are no medians.
    groups:     features that are one reason, by its name; each other feature is a reason of its own.
    categories: of a text that is read by its categories, by its name, the category that each feature stands for, such
                as {"tier": {"tier_gold": "gold", ...}}. It is one reason, and its values are together the commonest.
                None if there is no such text.
    words:      by feature, or by a text's name, what a reason says of a value, which stands in place of {value};
                {day|days} is the first if the value is 1, and else the second.
    """

    values: dict[str, float] = Field(min_length=1)
    customers: int | None = Field(None, gt=0)
    groups: dict[GroupName, tuple[str, ...]] = Field({})
    categories: dict[str, dict[str, str]] | None = None
    words: dict[str, Words] = Field({})

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if problem := problem_of_groups(self.groups, self.values):
            raise ValueError(problem)
        if problem := problem_of_categories(self.categories or {}, self.groups, self.values):
            raise ValueError(problem)
        if problem := problem_of_words(self.words):
            raise ValueError(problem)
        return self


def problem_of_words(words: Mapping[str, str]) -> str:
    """Why words do not have the value once, or have other braces, without a full stop; empty if all is well."""
    for name, text in words.items():
        rest = _FORMS.sub("", text.replace(VALUE, ""))
        if "{" in rest or "}" in rest:
            return (
                f"the words of {name} have other braces than {VALUE}, and a noun of 1 and of more, such as "
                "{day|days}: correct them"
            )
        if (count := text.count(VALUE)) != 1:
            return f"the words of {name} have {VALUE} {count} times: put it once, where the number belongs"
    return ""


def problem_of_groups(groups: Mapping[str, tuple[str, ...]], features: Collection[str]) -> str:
    """Why groups are none of these features, without a full stop; empty if they are."""
    owners: dict[str, str] = {}
    for group, names in groups.items():
        if not names:
            return f"the group {group} has no features: name some, or remove the group"
        if group in features and group not in names:
            return f"the group {group} is called as a feature outside it: rename the group"
        for name in names:
            if name not in features:
                return f"the group {group} has {name}, but there is no such feature: correct or remove the name"
            if name in owners:
                return f"{name} is in the groups {owners[name]} and {group}: a feature has one group"
            owners[name] = group
    return ""


def problem_of_categories(
    categories: Mapping[str, Mapping[str, str]], groups: Mapping[str, tuple[str, ...]], features: Collection[str]
) -> str:
    """Why these are no texts by their categories, without a full stop; empty if they are."""
    owners: dict[str, str] = {}
    for name, texts in categories.items():
        if name in features:
            return f"{name} is a text and a feature: rename one of them"
        for feature in texts:
            if feature not in features:
                return f"{name} has the category {feature}, but there is no such feature: train again"
            if owners.setdefault(feature, name) != name:
                return f"{feature} is a category of {owners[feature]} and {name}: rename one of them"
    for group, members in groups.items():
        for name, texts in categories.items():
            own = set(texts) & set(members)
            if own and own != set(texts):
                return f"the group {group} has some categories of {name} and not all: name {name} in place of them"
            if group == name and not own:
                return f"the group {group} is called as a feature outside it: rename the group"
    return ""
