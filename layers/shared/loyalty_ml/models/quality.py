"""What a model is worth, as its card says it: counted on customers and exposures that were held out from training."""

from typing import Literal, Self

from pydantic import Field, model_validator

from loyalty_ml.models.document import Document, Share


class Ranged(Document):
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError("the range ends below where it begins")
        return self


class GroupQuality(Document):
    """Held-out customers of one band or one tenth of the score: what was predicted, and what happened.

    name:       `high`, `medium`, `low`, `lapsed`; of tenths "1" for the likeliest to "10". Of offers: of confidence.
    happened:   how many of `customers` it happened to.
    predicted:  the mean of their probabilities.
    share:      happened / customers, with its range.
    """

    name: str
    customers: int = Field(ge=0)
    happened: int = Field(ge=0)
    predicted: Share | None
    share: Ranged | None

    @model_validator(mode="after")
    def _no_more_than_all(self) -> Self:
        if self.happened > self.customers:
            raise ValueError("it happened to more customers than there are")
        return self


class ListQuality(Document):
    """A list of the active customers that are the likeliest to leave, held out: how many of it left.

    share:      of the active customers who are on the list; customers: how many that are.
    found:      how many of those on the list left, with its range.
    rule:       the same of a list by the rule "no purchase for rule_days days", the days that find most.
    chance:     the same of a list drawn at random.
    word:       what the list is worth beside the rule.
    sentence:   all this for people.
    """

    share: float = Field(gt=0, le=1)
    customers: int = Field(ge=0)
    found: Ranged
    rule: Ranged
    rule_days: float
    chance: Ranged
    word: Literal["no better than the rule", "useful", "strong"]
    sentence: str = Field(min_length=1)


class ChurnQuality(Document):
    """What a churn model is worth, in customers, measured on active customers who were held out.

    customers:  how many these are, and `left` how many of them left.
    bands:      of all held out, the lapsed too; tenths: of the active, by probability, the likeliest first.
    """

    customers: int = Field(ge=0)
    left: int = Field(ge=0)
    lists: tuple[ListQuality, ...]
    bands: tuple[GroupQuality, ...]
    tenths: tuple[GroupQuality, ...]

    @model_validator(mode="after")
    def _no_more_than_all(self) -> Self:
        if self.left > self.customers:
            raise ValueError("more customers left than there are")
        return self


class OfferQuality(Document):
    """What the recommendation is worth: conversions a held-out exposure, by the doubly robust estimator.

    exposures:         how many were held out; clipped: of how many the propensity was below the least that is used.
    recommended:       if each customer were sent what the model recommends.
    shown:             what was sent.
    best_single:       if everyone were sent the one offer that is best for all, best_offer (its code).
    over_shown, over_best_single: the differences, each with its own interval.
    confidence:        tenths of exposures that were shown what is recommended: predicted and converted.
    sentence:          all this for people.
    """

    exposures: int = Field(ge=0)
    clipped: int = Field(ge=0)
    recommended: Ranged
    shown: Ranged
    best_single: Ranged
    best_offer: str
    over_shown: Ranged
    over_best_single: Ranged
    confidence: tuple[GroupQuality, ...] = ()
    sentence: str = Field(min_length=1)

    @model_validator(mode="after")
    def _no_more_than_all(self) -> Self:
        if self.clipped > self.exposures:
            raise ValueError("more exposures are clipped than there are")
        return self
