"""A model's card: what the model is, wants and gives.

models/{name}/{version}/card.json        immutable: what the model is
models/{name}/{version}/{name}.tflite    immutable: the model
"""

import hashlib
import itertools
import math
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, Field, JsonValue, model_validator
from typing_extensions import TypedDict

from loyalty_ml.models.baseline import Baseline
from loyalty_ml.models.document import (
    PUBLISH_AGAIN,
    Document,
    Name,
    Refused,
    Sha256,
    Share,
    Version,
    check_content,
    parse,
)
from loyalty_ml.models.domain import Domain
from loyalty_ml.models.quality import ChurnQuality, OfferQuality


class Thresholds(Document):
    """Churn risk is `high` at a probability >= high, `medium` at >= medium, else `low`."""

    high: float = Field(0.7, gt=0, le=1, description="From this probability on the risk is `high`.")
    medium: float = Field(0.4, gt=0, le=1, description="From this one on it is `medium`, else `low`.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.medium > self.high:
            raise ValueError("the medium threshold is above the high one")
        return self


class ActiveRule(Document):
    """Who counts as a customer to lose: whose `feature` is at most `days`. The others have lapsed."""

    feature: str = Field(min_length=1)
    days: float = Field(gt=0)


Evidence = Literal["learnt", "too_few"]
MAX_OFFERS = 200
EXPLORE_TOLERANCE = 1e-9
"""Ten shares of 0.1 are 1, however floats round."""
MAX_CODE_CHARACTERS = 200


class Offer(Document):
    """One offer of the catalogue.

    offer_code:  what the company calls it; two models that know the same code know the same offer.
    offer_id:    its place in the model's output, which the next model may give to another offer.
    evidence:    `learnt` if enough is known of it to recommend it, else `too_few`; None where nobody looked, and then
                 it may be recommended.
    explore:     the share of customers, always the same ones, who are given the offer although too little is known.
    Cards written before there were codes have none: the code is then the id.
    """

    offer_id: int = Field(ge=0, description="0 for the first, then 1, 2 and so on.")
    offer_code: str = Field(min_length=1, max_length=MAX_CODE_CHARACTERS, description="The company's own code.")
    offer_name: str = Field(min_length=1, description="For people.")
    category: str = Field(min_length=1, description="The kind of offer.")
    evidence: Evidence | None = Field(None, description="Whether enough was learnt of the offer to recommend it.")
    explore: float | None = Field(None, gt=0, le=1, description="The share of customers who are given it all the same.")

    @model_validator(mode="before")
    @classmethod
    def _code_of_id(cls, fields: Any) -> Any:
        if isinstance(fields, dict) and "offer_code" not in fields and "offer_id" in fields:
            return {**fields, "offer_code": str(fields["offer_id"])}
        return fields


DEFAULT_OFFERS = tuple(
    Offer(offer_id=offer_id, offer_code=str(offer_id), offer_name=name, category=category)
    for offer_id, (name, category) in enumerate(
        [
            ("Double Points Weekend", "points"),
            ("Free Shipping", "shipping"),
            ("10% Discount", "discount"),
            ("Exclusive VIP Access", "access"),
            ("Birthday Bonus", "special"),
            ("Referral Reward", "referral"),
            ("Flash Sale", "sale"),
            ("Loyalty Tier Upgrade", "tier"),
        ]
    )
)


class Training(Document):
    """What a model learnt from."""

    data: str
    rows: int = Field(ge=0)
    start: AwareDatetime | None = None
    end: AwareDatetime | None = None
    objective: str | None = None


class Histogram(Document):
    """The shares of training rows by the value of a feature or a score: bin i holds edges[i - 1] <= value < edges[i].

    edges:   k inner ones, ascending; each a float64 as it stands, or for a score a float32, so that a value on an edge
             falls on the same side of it wherever it is counted.
    shares:  k + 1 of them, the first of what is below every edge.
    """

    edges: tuple[float, ...] = Field(min_length=1, max_length=100)
    shares: tuple[Share, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if any(edge >= following for edge, following in itertools.pairwise(self.edges)):
            raise ValueError("the edges do not ascend")
        if len(self.shares) != len(self.edges) + 1:
            raise ValueError("there is not one share more than there are edges")
        _check_whole(self.shares)
        return self


class Distribution(Document):
    """What the rows that a model learnt from look like: drift is how far customers have moved from it.

    rows:      how many rows the shares are of.
    features:  by name, of the raw values.
    score:     of a churn model its probability's histogram; of an offer model, by offer id, the shares of rows to which
               each offer is recommended.
    weights:   by feature, 0..1, what it does to the score beside the feature that does most; 0 for what time alone
               moves. None in cards of before there were any.
    """

    rows: int = Field(gt=0)
    features: dict[str, Histogram]
    score: Histogram | tuple[Share, ...]
    weights: dict[str, Share] | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not isinstance(self.score, Histogram):
            _check_whole(self.score)
        return self


def _check_whole(shares: tuple[float, ...]) -> None:
    if not math.isclose(sum(shares), 1, abs_tol=1e-6):
        raise ValueError("the shares do not add up to 1")


class Golden(Document):
    """Inputs (k, features) and the outputs (k, outputs) that the model must give for them, within `tolerance`."""

    inputs: tuple[tuple[float, ...], ...] = Field(min_length=1, max_length=100)
    outputs: tuple[tuple[float, ...], ...]
    tolerance: float = Field(1e-5, gt=0, le=1e-2)


class ModelFile(Document):
    size: int = Field(gt=0)
    sha256: Sha256


class Output(Document):
    """What a graph gives for a customer: one number, or one for each class.

    kind:           `probabilities` is one number for each of `classes`; the others are one number.
    unit:           such as "EUR"; None for a number without one.
    range:          the least and the most that it can be.
    compared_with:  what a reader holds it against.
    """

    name: Name
    kind: Literal["probability", "probabilities", "number"]
    unit: str | None = None
    range: tuple[float, float] | None = None
    classes: tuple[str, ...] = ()
    compared_with: str | None = None

    @property
    def width(self) -> int:
        """How many numbers it is."""
        return len(self.classes) if self.kind == "probabilities" else 1


class Card(Document):
    """What a model is, wants and gives. The features are raw values in this order: scaling is in the graph.

    domains:       by feature that is read, the values that it may have; None in cards of before there were any.
    output:        names the scorer that makes answers of the outputs.
    outputs:       what the graph gives, from left to right; cards written before there was this are filled in.
    metrics:       the few figures that tell two versions apart.
    evaluation:    all that was measured, for whoever asks how good the model is.
    feature_definitions: what makes each feature that is read, as in training; None in cards of before there were any.
    forced:        why a model that failed a gate was written all the same; None where it passed them all.
    distribution:  what drift is measured from; None in cards of before there was one.
    baseline:      who a score is explained against; None in cards of before there was one.
    active:        of a churn model, who counts as a customer to lose; None in cards of before there was such a rule.
    churn_quality, offer_quality: what it is worth, of the type that it is; None where that was not measured.
    """

    api_version: Literal[1] = 1
    name: Name
    version: Version
    created: AwareDatetime
    placeholder: bool
    features: tuple[str, ...] = Field(min_length=1, max_length=1000)
    feature_definitions: dict[str, str] | None = None
    domains: dict[str, Domain] | None = None
    output: Name
    outputs: tuple[Output, ...] = ()
    thresholds: Thresholds = Thresholds()
    offers: tuple[Offer, ...] = ()
    training: Training
    metrics: dict[str, float] = Field({})
    evaluation: dict[str, JsonValue] = Field({})
    forced: str | None = Field(None, min_length=1)
    distribution: Distribution | None = None
    baseline: Baseline | None = None
    active: ActiveRule | None = None
    churn_quality: ChurnQuality | None = None
    offer_quality: OfferQuality | None = None
    golden: Golden
    file: ModelFile
    op_versions: dict[str, int]

    @property
    def reads(self) -> tuple[str, ...]:
        """What is read of a customer: the features, and behind them that of the active rule if it is none of them."""
        if self.active is None or self.active.feature in self.features:
            return self.features
        return (*self.features, self.active.feature)

    @property
    def width(self) -> int:
        """How many numbers the model gives for a customer."""
        return sum(output.width for output in self.outputs)

    @model_validator(mode="before")
    @classmethod
    def _describe_outputs(cls, fields: Any) -> Any:
        if not isinstance(fields, dict) or "outputs" in fields:
            return fields
        if fields.get("output") == "churn_probability":
            output = {"kind": "probability", "range": (0, 1), "compared_with": "the thresholds"}
        elif fields.get("output") == "offer_probabilities":
            offers = fields.get("offers")
            names = [_offer_name(offer) for offer in offers] if isinstance(offers, list | tuple) else []
            output = {"kind": "probabilities", "range": (0, 1), "classes": names, "compared_with": "the other offers"}
        else:
            return fields
        return {**fields, "outputs": [{"name": fields["output"], **output}]}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.features)) != len(self.features):
            raise ValueError("a feature is named twice")
        if others := (self.domains or {}).keys() - set(self.reads):
            raise ValueError(f"there is a domain of {min(others)}, which is not read")
        if not self.outputs:
            raise ValueError("its outputs are not described")
        if self.output not in {output.name for output in self.outputs}:
            raise ValueError(f"its outputs are described without {self.output}")
        if any(output.kind == "probabilities" and not output.classes for output in self.outputs):
            raise ValueError("an offer model needs its catalogue of offers")
        if self.offers or self.output == "offer_probabilities":
            self._check_offers()
        if self.output == "churn_probability" and [output.kind for output in self.outputs] != ["probability"]:
            raise ValueError("a churn model gives one probability and nothing else")
        self._check_kind()
        if len(self.golden.inputs) != len(self.golden.outputs):
            raise ValueError("there are not as many golden outputs as inputs")
        if any(len(row) != len(self.features) for row in self.golden.inputs):
            raise ValueError("a golden input has not one value a feature")
        if any(len(row) != self.width for row in self.golden.outputs):
            raise ValueError("a golden output has not one value an output")
        if self.distribution:
            self._check_distribution(self.distribution)
        if self.baseline and self.baseline.values.keys() != set(self.features):
            raise ValueError("the baseline is not of the card's features")
        return self

    def _check_kind(self) -> None:
        """What only a model of one kind has."""
        if self.active and self.output != "churn_probability":
            raise ValueError("only a churn model has an active rule")
        if self.churn_quality and self.output != "churn_probability":
            raise ValueError("only a churn model has a churn_quality")
        if self.offer_quality and self.output != "offer_probabilities":
            raise ValueError("only an offer model has an offer_quality")
        if self.offer_quality and self.offer_quality.best_offer not in {offer.offer_code for offer in self.offers}:
            raise ValueError("the best_offer of its offer_quality is none of its offers")

    def _check_offers(self) -> None:
        names = tuple(offer.offer_name for offer in self.offers)
        if [output.classes for output in self.outputs] != [names]:
            raise ValueError("the classes of its output are not the offers' names in the catalogue's order")
        if [offer.offer_id for offer in self.offers] != list(range(len(self.offers))):
            raise ValueError("the offers' ids are not 0, 1, 2, ... in order")
        if len({offer.offer_code for offer in self.offers}) != len(self.offers):
            raise ValueError("two offers have the same code")
        if self.offers and all(offer.evidence == "too_few" for offer in self.offers):
            raise ValueError("too little is known of every offer, so that none could be recommended")
        if math.fsum(offer.explore or 0 for offer in self.offers) > 1 + EXPLORE_TOLERANCE:
            raise ValueError("the explore shares of its offers add up to more than 1")
        if len(self.offers) > MAX_OFFERS:
            raise ValueError(f"there are more than {MAX_OFFERS} offers")

    def _check_distribution(self, distribution: Distribution) -> None:
        if distribution.features.keys() != set(self.features):
            raise ValueError("the distribution is not of the card's features")
        if distribution.weights is not None and distribution.weights.keys() != set(self.features):
            raise ValueError("the weights of the distribution are not of the card's features")
        score, output = distribution.score, self.outputs[0]
        if output.kind != "probabilities" and not isinstance(score, Histogram):
            raise ValueError(f"the distribution of a {self.name} model's score is not a histogram")
        if output.kind == "probabilities" and (isinstance(score, Histogram) or len(score) != output.width):
            raise ValueError("the distribution of an offer model's score has not one share an offer")


def _offer_name(offer: Any) -> Any:
    return offer.get("offer_name") if isinstance(offer, dict) else getattr(offer, "offer_name", None)


class ModelInfo(TypedDict):
    """What an answer says of the model that made it."""

    name: str
    version: Annotated[
        str, Field(description="`mock` if the answer is mock data; for RFM, the version of the cut points")
    ]
    placeholder: Annotated[bool, Field(description="True for a model trained on generated data")]


def card_key(name: str, version: str) -> str:
    return f"models/{name}/{version}/card.json"


def model_key(name: str, version: str) -> str:
    return f"models/{name}/{version}/{name}.tflite"


def new_version(created: datetime, model: bytes) -> str:
    """A version that sorts by time and never names two different files, such as 20261122T093000Z-1a2b3c4d."""
    return f"{created.astimezone(UTC):%Y%m%dT%H%M%SZ}-{hashlib.sha256(model).hexdigest()[:8]}"


def parse_card(text: bytes, name: str, version: str, sha256: str) -> Card:
    """Raises Refused, also where the card is not the one that the manifest names."""
    key = card_key(name, version)
    check_content(text, key, sha256)
    card = parse(Card, text, key)
    if (card.name, card.version) != (name, version):
        raise Refused(f"{key} describes {card.name} {card.version}: {PUBLISH_AGAIN}")
    return card
