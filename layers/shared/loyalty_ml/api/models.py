"""The model registry over HTTP: what lies in the bucket, what is active, and how that is changed."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from loyalty_ml import errors
from loyalty_ml.aws.errors import asking
from loyalty_ml.customers.snapshot import SnapshotCard, SnapshotUnavailable
from loyalty_ml.models.card import Distribution, Training
from loyalty_ml.models.document import Refused
from loyalty_ml.models.manifest import PublishedSet
from loyalty_ml.models.store import MODEL_OUTPUTS
from loyalty_ml.registry import activation
from loyalty_ml.registry.activation import Change, CheckInputs, NothingToReturnTo
from loyalty_ml.registry.bucket import ModelBucket, NoSuchObject, PublishConflict, RegistryProblem, StoredManifest
from loyalty_ml.registry.contracts import (
    ModelCardAnswer,
    ModelChangeAnswer,
    ModelListAnswer,
    ModelSetAnswer,
    ModelVersion,
    PromoteRequest,
    RollbackRequest,
    TrainingData,
)
from loyalty_ml.registry.inputs import ModelInputs, fit
from loyalty_ml.registry.listing import Version, cut_points, list_versions, read_card
from loyalty_ml.vocabulary import rfc3339

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_OF_THE_FUNCTIONS = {"api_version", "feature_definitions", "output", "outputs", "distribution", "golden", "file"}
"""What a card has that only the functions read."""


class ModelRegistry:
    """The models of one deployment. What is raised is what a caller is answered with."""

    def __init__(self, s3: "S3Client", bucket: str, read_snapshot_card: Callable[[], SnapshotCard | None]) -> None:
        """read_snapshot_card: of the current feature snapshot, None if there is none; see snapshot.read_current."""
        self._place = ModelBucket(s3, bucket)
        self._read_snapshot_card = read_snapshot_card

    def listing(self, newest: int) -> ModelListAnswer:
        """Of each model the newest versions, and those that are active or can be returned to.

        Raises ModelUnavailable where the manifest cannot be used, StoreUnavailable.
        """
        with _published_as_it_should_be(), asking("models", "The models cannot be listed"):
            found = list_versions(self._place, newest)
        active = found.manifest.models if found.manifest else {}
        answer: ModelListAnswer = {
            "revision": _revision(found.stored),
            "active": _set(found.manifest) if found.manifest else None,
            "previous": [_set(previous) for previous in found.manifest.previous] if found.manifest else [],
            "models": {
                name: {
                    "active": active[name].version if name in active else None,
                    "total": found.totals.get(name, 0),
                    "versions": [],
                }
                for name in sorted(MODEL_OUTPUTS.keys() | found.totals.keys() | active.keys())
            },
        }
        for version in found.versions:
            of_model = answer["models"][version.name]
            of_model["versions"].append(_version(version, active=version.version == of_model["active"]))
        return answer

    def card(self, name: str, version: str) -> ModelCardAnswer:
        """Raises ModelVersionNotFound, ModelUnavailable for a card that cannot be used, StoreUnavailable."""
        with _published_as_it_should_be(), asking("models", "The model's card cannot be read"):
            card = read_card(self._place.stored_manifest().parsed(), name, version, self._place.read)
        fields: Any = card.model_dump(mode="json", exclude=_OF_THE_FUNCTIONS | {"created", "training", "op_versions"})
        return cast(
            "ModelCardAnswer",
            {
                **fields,
                "created": rfc3339(card.created),
                "training": _training(card.training),
                "usual_ranges": _usual_ranges(card.distribution),
            },
        )

    def promote(self, request: PromoteRequest) -> ModelChangeAnswer:
        """Raises ModelsChanged, ModelVersionNotFound, ModelRefused, FeatureStoreUnavailable, StoreUnavailable."""

        def change(stored: StoredManifest, check: CheckInputs) -> Change:
            return activation.promote(self._place, request.versions, check, stored=stored)

        return self._change(change, request)

    def rollback(self, request: RollbackRequest) -> ModelChangeAnswer:
        """Raises what promote raises."""

        def change(stored: StoredManifest, check: CheckInputs) -> Change:
            return activation.rollback(self._place, check, stored=stored)

        return self._change(change, request)

    def _change(
        self, change: Callable[[StoredManifest, CheckInputs], Change], request: PromoteRequest | RollbackRequest
    ) -> ModelChangeAnswer:
        not_compared: list[str] = []

        def check(models: Sequence[ModelInputs]) -> str | None:
            return self._check_snapshot(models, request.force, not_compared)

        with _told_to_the_caller(), asking("models", "The active set was not changed"):
            stored = self._place.stored_manifest()
            if request.revision is not None and request.revision != _revision(stored):
                raise errors.ModelsChanged
            done = change(stored, check)
            now = self._place.stored_manifest()
        answer: ModelChangeAnswer = {
            "changed": done.after is not done.before,
            "revision": _revision(now),
            "active": _set(done.after),
            "before": _set(done.before) if done.before else None,
        }
        if not_compared:
            answer["not_compared"] = not_compared
        return answer

    def _check_snapshot(self, models: Sequence[ModelInputs], force: str | None, not_compared: list[str]) -> str | None:
        """`force` if it was needed. Raises ModelRefused if the snapshot does not fit the models and there is none."""
        try:
            snapshot = self._read_snapshot_card()
        except SnapshotUnavailable as error:
            raise errors.FeatureStoreUnavailable(str(error), retry=error.retry) from error
        if snapshot is None:
            not_compared.append("There is no feature snapshot yet, with which the models could be compared.")
            return None
        found = fit(models, snapshot.features, snapshot.feature_definitions, f"snapshot of {snapshot.as_of:%Y-%m-%d}")
        not_compared.extend(found.not_compared)
        if found.problems and force is None:
            raise errors.ModelRefused(
                f"{'; '.join(found.problems)}. Nothing was changed: write a snapshot that fits (loyalty materialize) "
                "first, or say in `force` why this set must become active all the same."
            )
        return force if found.problems else None


@contextmanager
def _published_as_it_should_be() -> Iterator[None]:
    """Raises what a caller is told where something that was published cannot be used."""
    try:
        yield
    except NoSuchObject as error:
        raise _no_such_version(error) from error
    except Refused as error:
        raise errors.ModelUnavailable(str(error), retry=False) from error


@contextmanager
def _told_to_the_caller() -> Iterator[None]:
    """Raises what a caller is told where the active set could not be changed."""
    try:
        yield
    except NoSuchObject as error:
        raise _no_such_version(error) from error
    except Refused as error:
        raise errors.ModelRefused(str(error)) from error
    except NothingToReturnTo as error:
        raise errors.ModelVersionNotFound(
            "There is no set before the active one: promote a version instead; GET /models lists them."
        ) from error
    except PublishConflict as error:
        raise errors.ModelsChanged from error
    except RegistryProblem as error:
        raise errors.StoreUnavailable(
            "models",
            "S3's answer got lost, and with it whether the set is active: read GET /models before another try.",
        ) from error


def _no_such_version(error: NoSuchObject) -> errors.ModelVersionNotFound:
    return errors.ModelVersionNotFound(f"There is no {error.key} in the model bucket: GET /models lists all versions.")


def _revision(stored: StoredManifest) -> str | None:
    return stored.etag.strip('"') if stored.etag else None


def _set(published: PublishedSet) -> ModelSetAnswer:
    points = cut_points(published)
    return {
        "created": rfc3339(published.created),
        "models": {name: model.version for name, model in sorted(published.models.items())},
        "rfm": {
            "version": points.version,
            "features": list(points.features),
            "recency": list(points.recency),
            "frequency": list(points.frequency),
            "monetary": list(points.monetary),
        },
        "forced": published.forced,
    }


def _version(version: Version, *, active: bool) -> ModelVersion:
    card = version.card
    return {
        "version": version.version,
        "active": active,
        "created": rfc3339(card.created) if card else None,
        "placeholder": card.placeholder if card else None,
        "metrics": card.metrics if card else {},
        "training": _training(card.training) if card else None,
        "forced": card.forced if card else None,
        "problem": version.problem,
    }


def _training(training: Training) -> TrainingData:
    return {
        "data": training.data,
        "rows": training.rows,
        "start": rfc3339(training.start) if training.start else None,
        "end": rfc3339(training.end) if training.end else None,
        "objective": training.objective,
    }


def _usual_ranges(distribution: Distribution | None) -> dict[str, tuple[float, float]] | None:
    """By feature the outermost of the edges that part its training rows."""
    if distribution is None:
        return None
    return {name: (found.edges[0], found.edges[-1]) for name, found in distribution.features.items()}
