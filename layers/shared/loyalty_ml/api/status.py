"""What is loaded, for the status route: which models answer, which do not and why, and how fresh the features are."""

from collections.abc import Callable
from importlib.metadata import version

from loyalty_ml.api.contracts import FeaturesStatus, ModelStatus, StatusAnswer
from loyalty_ml.customers.snapshot import SnapshotCard, SnapshotUnavailable
from loyalty_ml.models.card import model_key
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
    problem = models.problems.get(name) or models.trouble
    if problem:
        answer["message"] = f"{problem} Meanwhile the version named here answers." if loaded else str(problem)
    elif not published:
        answer["message"] = (
            f"No {name} model is published, so requests for it fail: publish one."
            if mock_mode == "false"
            else f"No {name} model is published, so answers are mock data: publish one."
        )
    return answer


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
