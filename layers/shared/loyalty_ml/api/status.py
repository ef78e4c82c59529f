"""What is loaded, for the status route: which models answer, which do not and why, and how fresh the features are."""

from collections.abc import Callable
from importlib.metadata import version
from typing import get_args

from loyalty_ml.api.contracts import FeaturesStatus, ModelStatus, StatusAnswer
from loyalty_ml.customers.snapshot import SnapshotCard, SnapshotUnavailable
from loyalty_ml.models.card import Card, Evidence, model_key
from loyalty_ml.models.interpreter import RUNTIME_PACKAGE
from loyalty_ml.models.store import MODEL_OUTPUTS, ModelSet
from loyalty_ml.vocabulary import MockMode, rfc3339


def status_answer(
    mock_mode: MockMode, models: ModelSet, read_snapshot_card: Callable[[], SnapshotCard | None]
) -> StatusAnswer:
    """Never fails: what cannot be read is said in a `message`."""
    return {
        "mock_mode": mock_mode,
        "runtime": {"library": RUNTIME_PACKAGE, "version": version(RUNTIME_PACKAGE)},
        "models": {name: _model_status(name, models, mock_mode) for name in MODEL_OUTPUTS},
        "features": _features_status(read_snapshot_card),
    }


def _model_status(name: str, models: ModelSet, mock_mode: MockMode) -> ModelStatus:
    published = models.manifest.models.get(name) if models.manifest else None
    loaded = models.loaded.get(name)
    answer: ModelStatus = {
        "path": model_key(name, published.version) if published else None,
        "exists": published is not None,
        "loaded": loaded is not None,
        "version": published.version if published else None,
        "sha256": loaded.card.file.sha256 if loaded else None,
        "placeholder": loaded.card.placeholder if loaded else None,
        "metrics": loaded.card.metrics if loaded else {},
    }
    advice = models.manifest.advice.get(name) if models.manifest else None
    if advice:
        answer["advice"] = advice
    if loaded:
        _add_knowledge(answer, loaded.card)
    problem = models.problems.get(name) or models.trouble
    if problem:
        answer["message"] = f"{problem} Meanwhile the version named here answers." if loaded else str(problem)
    elif not published:
        what = "requests for it fail" if mock_mode == "false" else "answers are mock data"
        remedy = f": publish one. Training says meanwhile: {advice}" if advice else ": publish one."
        answer["message"] = f"No {name} model is published, so {what}{remedy}"
    elif loaded and (unknown := _unknown(loaded.card)):
        answer["message"] = f"The {name} model {unknown}, and publish it."
    return answer


def _add_knowledge(answer: ModelStatus, card: Card) -> None:
    """What the model knows of itself."""
    if card.output == MODEL_OUTPUTS["churn"]:
        rule = card.active
        answer["active"] = {"feature": rule.feature, "days": rule.days} if rule else "unknown"
        answer["quality"] = [each.sentence for each in card.churn_quality.lists] if card.churn_quality else []
        return
    learnt, too_few = (
        [offer.offer_code for offer in card.offers if offer.evidence == evidence] for evidence in get_args(Evidence)
    )
    answer["evidence"] = {"learnt": learnt, "too_few": too_few} if learnt or too_few else "unknown"
    answer["quality"] = [card.offer_quality.sentence] if card.offer_quality else []


_TRAIN_AGAIN = "train it again with 'loyalty train'"


def _unknown(card: Card) -> str | None:
    """What a trained model does not know of itself, and what to do; None if it knows all.

    It was made before models knew, or, of offers, from exposures that converted alone.
    """
    if card.placeholder:
        return None
    if card.output == MODEL_OUTPUTS["churn"]:
        return None if card.active else f"does not say which customers have lapsed, so nobody has: {_TRAIN_AGAIN}"
    known = all(offer.evidence for offer in card.offers)
    if known:
        return None
    told = "does not say of which offers too little is known, so that any may be recommended"
    return f"{told}: {_TRAIN_AGAIN}, on exposures that did not convert too"


def _features_status(read_snapshot_card: Callable[[], SnapshotCard | None]) -> FeaturesStatus:
    try:
        card = read_snapshot_card()
    except SnapshotUnavailable as error:
        return {"as_of": None, "customers": None, "message": str(error)}
    if card is None:
        return {
            "as_of": None,
            "customers": None,
            "message": "There is no feature snapshot yet: write one (loyalty materialize).",
        }
    return {"as_of": rfc3339(card.as_of), "customers": card.customers}
