"""The reasons of an answer in the business's words, by what each prediction type answers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.customers.table import model_matrix
from loyalty_ml.errors import NoBaseline
from loyalty_ml.models.baseline import OTHER, VALUE, Baseline, in_form, words_of
from loyalty_ml.models.card import Card, Offer
from loyalty_ml.models.manifest import RfmCutPoints
from loyalty_ml.scoring import reasons, rfm
from loyalty_ml.scoring.explained_contracts import Explained, FeatureReason, Reason
from loyalty_ml.scoring.rfm import RfmScores
from loyalty_ml.scoring.scores import ChurnScores, Network, OfferScores

SHOWN_IN_FILES = 3
"""Columns of reasons in a results file."""


class Explanation(NamedTuple):
    """Why a customer has a score; `reasons` are the largest first, of equal ones as the features are in the card."""

    explained: Explained
    reasons: list[Reason]


Explain = Callable[[NDArray[np.float64], Any, int | None], list[Explanation | None]]
"""What a scorer reads of n customers, who are answered, their columns, and the most reasons to give of each (None for
all), to their reasons; None where what the features add does not add up to the score."""


class Game(NamedTuple):
    """What is explained of one customer.

    of:        what the score is, for people.
    score:     float32 (k, f) to the score of each row, float64 (k,).
    answered:  the score that the customer was answered with.
    """

    of: str
    score: reasons.Score
    answered: float


class _Model:
    """Explains what a model answers: `game` gives the score of a customer, by the columns and the customer's row."""

    def __init__(self, card: Card, game: Callable[[Any, int], Game]) -> None:
        """Raises NoBaseline."""
        baseline = card.baseline
        if baseline is None:
            raise NoBaseline.of_set(card.name)
        values = [baseline.values[name] for name in card.features]
        self._baseline = baseline
        self._features = card.features
        self._row = np.array(values, np.float32)
        # A text by its categories is one thing: each of them alone would be explained beside customers of no category,
        # or of two, who do not exist.
        groups = {name: text for text, names in (baseline.categories or {}).items() for name in names}
        groups |= {name: group for group, names in baseline.groups.items() for name in names}
        players: dict[str, list[int]] = {}
        for place, name in enumerate(card.features):
            players.setdefault(groups.get(name, name), []).append(place)
        self._names, self._places = list(players), list(players.values())
        self._sayings = Sayings(baseline)
        self._game = game

    def __call__(self, values: NDArray[np.float64], scores: Any, most: int | None) -> list[Explanation | None]:
        own = values[:, : len(self._features)]  # behind them is what only the active rule reads
        pairs = zip(model_matrix(own), own.tolist(), strict=True)
        return [self._one(row, of_row, self._game(scores, number), most) for number, (row, of_row) in enumerate(pairs)]

    def _one(
        self, row: NDArray[np.float32], of_row: Sequence[float], game: Game, most: int | None
    ) -> Explanation | None:
        try:
            found = reasons.contributions(row, self._row, self._places, game.score, game.answered)
        except reasons.NotAdditive:
            return None
        values, errors = found.values.tolist(), found.standard_errors
        told: list[Reason] = []
        for place in sorted(range(len(values)), key=lambda player: -abs(values[player]))[:most]:
            reason = self._reason(place, of_row, values[place])
            if errors is not None:
                reason["standard_error"] = float(errors[place])
            told.append(reason)
        explained: Explained = {
            "of": game.of,
            "score": found.score,
            "baseline_score": found.baseline_score,
            "method": "exact" if errors is None else "sampled",
        }
        return Explanation(explained, told)

    def _reason(self, player: int, row: Sequence[float], contribution: float) -> Reason:
        name, places = self._names[player], self._places[player]
        is_group = name in self._baseline.groups
        if not is_group and name not in (self._baseline.categories or {}):
            return self._sayings.of_feature(name, row[places[0]], contribution)
        own = {self._features[place]: row[place] for place in places}
        say = self._sayings.of_group if is_group else self._sayings.of_text
        return say(name, own, contribution)


def churn(card: Card, network: Network) -> Explain:
    """Raises NoBaseline."""

    def score(matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        return network(matrix)[:, 0].astype(np.float64)

    def game(scores: ChurnScores, number: int) -> Game:
        return Game("churn_probability", score, float(scores.probability[number]))

    return _Model(card, game)


def offers(card: Card, network: Network) -> Explain:
    """Of the probability of the recommended offer less the mean of the other learnt ones. Raises NoBaseline."""

    def game(scores: OfferScores, number: int) -> Game:
        best = int(scores.best[number])
        weights = beside_others(card.offers, best)
        of = f"the probability of {card.offers[best].offer_name}"
        if np.count_nonzero(weights) > 1:
            of += ", less the mean of the other offers that were learnt"
        return Game(
            of,
            lambda matrix: network(matrix).astype(np.float64) @ weights,
            float(scores.probabilities[number].astype(np.float64) @ weights),
        )

    return _Model(card, game)


def beside_others(catalogue: Sequence[Offer], best: int) -> NDArray[np.float64]:
    """What each offer's probability counts for, float64 (k,): 1 for the best, together -1 for the other learnt ones."""
    others = [offer.offer_id for offer in catalogue if offer.evidence != "too_few" and offer.offer_id != best]
    weights = np.zeros(len(catalogue))
    weights[others] = -1 / len(others) if others else 0
    weights[best] = 1
    return weights


def rfm_scores(cut_points: RfmCutPoints) -> Explain:
    """Of the sum of the three scores, which are each of one feature: so each adds just what its score is more than the
    baseline's. Raises NoBaseline.
    """
    baseline = cut_points.baseline
    if baseline is None:
        raise NoBaseline.of_set("rfm")
    names, sayings = cut_points.features, Sayings(baseline)
    typical = rfm.score_rfm(np.array([[baseline.values[name] for name in names]]), cut_points)
    least = [int(score[0]) for score in typical[3:]]

    def one(values: Sequence[float], own: Sequence[int], most: int | None) -> Explanation:
        added = [score - of_typical for score, of_typical in zip(own, least, strict=True)]
        largest = sorted(range(len(added)), key=lambda place: -abs(added[place]))[:most]
        told = [sayings.of_feature(names[place], values[place], added[place]) for place in largest]
        explained: Explained = {
            "of": "r_score + f_score + m_score",
            "score": sum(own),
            "baseline_score": sum(least),
            "method": "exact",
        }
        return Explanation(explained, told)

    def explain(values: NDArray[np.float64], scores: RfmScores, most: int | None) -> list[Explanation | None]:
        own = np.column_stack(scores[3:]).tolist()
        return [one(*both, most) for both in zip(values.tolist(), own, strict=True)]

    return explain


class Sayings:
    """Reasons with their words, such as "no purchase for 74 days, typical 12: +0.21".

    What is the same for every customer is put together once: it is half of the time.
    """

    def __init__(self, baseline: Baseline) -> None:
        self._typical = baseline.values
        self._typical_words = {name: number_in_words(value) for name, value in baseline.values.items()}
        self._of_one, self._of_several = self._parts(baseline, is_one=True), self._parts(baseline, is_one=False)
        self._categories = baseline.categories or {}
        self._text_of = {feature: text for text, features in self._categories.items() for feature in features}
        self._text_words = {text: baseline.words.get(text) or words_of(text) for text in self._categories}
        self._typical_text = {text: self._category(text, baseline.values) for text in self._categories}

    def _parts(self, baseline: Baseline, *, is_one: bool) -> dict[str, tuple[str, str, str]]:
        """By feature, what stands before its value and behind it, and the latter with what is typical."""
        parts = {}
        for name, typical in self._typical_words.items():
            words = in_form(baseline.words.get(name) or words_of(name), is_one=is_one)
            before, _, after = words.partition(VALUE)
            parts[name] = before, after, f"{after}, typical {typical}: "
        return parts

    def of_feature(self, feature: str, value: float, contribution: float) -> Reason:
        number = number_in_words(value)
        before, _, after = (self._of_one if number == "1" else self._of_several)[feature]
        return {
            "feature": feature,
            "value": value,
            "typical": self._typical[feature],
            "contribution": contribution,
            "words": f"{before}{number}{after}{amount_in_words(contribution)}",
        }

    def of_group(self, group: str, values: Mapping[str, float], contribution: float) -> Reason:
        clauses: dict[str, str] = {}  # by feature, and by text
        for feature, value in values.items():
            if (text := self._text_of.get(feature)) is not None:
                clauses[text] = f"{self._of_category(text, values)} (typical {self._typical_text[text]})"
                continue
            number = number_in_words(value)
            before, after, _ = (self._of_one if number == "1" else self._of_several)[feature]
            clauses[feature] = f"{before}{number}{after} (typical {self._typical_words[feature]})"
        words = f"{group}: {'; '.join(clauses.values())}: {amount_in_words(contribution)}"
        return self._of_several_features(group, values, contribution, words)

    def of_text(self, text: str, values: Mapping[str, float], contribution: float) -> Reason:
        """values: of all the features that stand for a category of the text."""
        said = f"{self._of_category(text, values)}, typical {self._typical_text[text]}"
        return self._of_several_features(text, values, contribution, f"{said}: {amount_in_words(contribution)}")

    def _of_several_features(self, name: str, values: Mapping[str, float], contribution: float, words: str) -> Reason:
        said: list[FeatureReason] = [
            {"feature": feature, "value": value, "typical": self._typical[feature]} for feature, value in values.items()
        ]
        return {"group": name, "features": said, "contribution": contribution, "words": words}

    def _of_category(self, text: str, values: Mapping[str, float]) -> str:
        category = self._category(text, values)
        return in_form(self._text_words[text], is_one=category == "1").replace(VALUE, category)

    def _category(self, text: str, values: Mapping[str, float]) -> str:
        """The category that a customer has; of who brings features of their own it may be several."""
        own = [category for feature, category in self._categories[text].items() if values[feature]]
        return " and ".join(own) or OTHER


def amount_in_words(contribution: float) -> str:
    """With its sign and two digits behind the point, of small ones four; without a sign if that is nothing."""
    if isinstance(contribution, int):
        return f"{contribution:+d}" if contribution else "0"
    if abs(contribution) >= 0.005:
        return f"{contribution:+.2f}"
    return f"{contribution:+.4f}" if abs(contribution) >= 0.00005 else "0.00"


def number_in_words(value: float) -> str:
    """A value as people say it: 1,234 and 12.5, of small ones three digits."""
    if value.is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 1e15 or abs(value) < 0.01:
        return f"{value:.3g}"
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def texts_for_files(explanations: Sequence[Explanation]) -> list[list[str]]:
    """The words of the SHOWN_IN_FILES largest reasons of n customers: as many lists of n, empty for nothing added."""
    return [
        [
            explanation.reasons[place]["words"]
            if place < len(explanation.reasons) and explanation.reasons[place]["contribution"]
            else ""
            for explanation in explanations
        ]
        for place in range(SHOWN_IN_FILES)
    ]
