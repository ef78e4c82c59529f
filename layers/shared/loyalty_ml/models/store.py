"""The model set that is served: fetched from S3, checked, loaded, and looked at again every half minute.

A set changes whole or not at all: a new manifest whose models do not all load leaves the old set serving.
"""

import contextlib
import dataclasses
import hashlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from loyalty_ml.errors import StoreUnavailable, can_pass
from loyalty_ml.models import golden
from loyalty_ml.models.card import Card, card_key, model_key, parse_card
from loyalty_ml.models.document import Refused, check_content, read_object
from loyalty_ml.models.interpreter import Network
from loyalty_ml.models.manifest import (
    FIXED_CUT_POINTS,
    MANIFEST_KEY,
    ActiveModel,
    Manifest,
    RfmCutPoints,
    parse_manifest,
)
from loyalty_ml.telemetry import logger, write_trouble

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MODEL_OUTPUTS = {"churn": "churn_probability", "nbo": "offer_probabilities"}
"""The models that are served, by name, and what each must give."""

REFRESH_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class LoadedModel:
    card: Card
    network: Network


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something published is not served, and what to do; retry: whether the next look can find it well."""

    sentence: str
    retry: bool

    def __str__(self) -> str:
        return self.sentence


@dataclass(frozen=True, slots=True)
class ModelSet:
    """What can be served now.

    loaded:    the models that answer.
    problems:  for a model that is published but not served as published: why, and what to do.
    trouble:   the same for the manifest; then nothing is known of what is published.
    """

    manifest: Manifest | None = None
    loaded: Mapping[str, LoadedModel] = field(default_factory=dict)
    problems: Mapping[str, Problem] = field(default_factory=dict)
    trouble: Problem | None = None

    @property
    def rfm_cut_points(self) -> RfmCutPoints:
        return (self.manifest and self.manifest.rfm) or FIXED_CUT_POINTS


class ModelStore:
    """Holds the current model set for the life of the process."""

    def __init__(
        self,
        s3: "S3Client",
        bucket: str,
        cache: Path,
        refresh_seconds: float = REFRESH_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        *,
        has_measured: Callable[[], bool] = lambda: False,
    ) -> None:
        """has_measured: whether statistics of a model are stored, which there are only if one was published."""
        self._s3 = s3
        self._bucket = bucket
        self._cache = cache
        self._refresh_seconds = refresh_seconds
        self._clock = clock
        self._has_measured = has_measured
        self._set = ModelSet()
        self._etag: str | None = None
        self._next_look: float | None = None

    def current(self) -> ModelSet:
        """The set to serve with. Never raises: what is wrong is in the set, and an older good set stays."""
        if self._next_look is None or self._clock() >= self._next_look:
            self._look()
            # Where nothing serves yet, every request tries again: there is no good answer to delay.
            settled = self._set.loaded or not (self._set.trouble or self._set.problems)
            self._next_look = self._clock() + self._refresh_seconds if settled else None
        return self._set

    def golden_answers(self) -> dict[str, Any]:
        """How the set that is live now answers its golden inputs, loaded anew: what a new version of a function is
        asked before it is called (functions/before_traffic). `problems` is empty if it may be.
        """
        self.look_again()
        current = self.current()
        problems = [*current.problems.values(), *([current.trouble] if current.trouble else [])]
        return {
            "models": {name: golden.facts(model.card, model.network) for name, model in current.loaded.items()},
            "problems": [{"sentence": problem.sentence, "retry": problem.retry} for problem in problems],
        }

    def look_again(self) -> None:
        """Has the next call of `current` read the manifest, however short a time ago it was read."""
        self._next_look = None

    def _look(self) -> None:
        try:
            found = self._read_manifest()
        except (Refused, ClientError, BotoCoreError) as error:
            self._keep(_problem(f"{MANIFEST_KEY} cannot be used", error))
            return
        except StoreUnavailable as error:
            sentence = f"Whether a model was ever published is not known. {error.message}"
            self._keep(Problem(sentence, error.retry))
            return
        if found is None:
            self._set = dataclasses.replace(self._set, trouble=None)
            return
        manifest, etag = found
        if not manifest.models and not _is_first_advice(manifest):
            self._keep(Problem(f"{MANIFEST_KEY} names no model: publish a model set, or roll back.", retry=False))
            if not self._set.loaded:  # its cut points are good all the same
                self._set = dataclasses.replace(self._set, manifest=manifest)
            return
        new = self.load(manifest)
        lost = [name for name in new.problems if name in self._set.loaded]
        if lost:
            reasons = [new.problems[name] for name in lost]
            sentence = f"the model set of {manifest.created.isoformat()} is refused: {' '.join(map(str, reasons))}"
            self._keep(Problem(sentence, any(reason.retry for reason in reasons)), new.problems)
            return
        for name, problem in new.problems.items():
            logger.error("A published model cannot be served", model=name, problem=str(problem))
            write_trouble("models", {"ModelProblems": 1}, model=name)
        self._set = new
        # With a problem left, the same manifest is read again at the next look: S3 may only have been slow.
        self._etag = None if new.problems else etag
        logger.info(
            "Model set loaded", models={name: model.card.version for name, model in new.loaded.items()}, etag=etag
        )

    def _keep(self, trouble: Problem, problems: Mapping[str, Problem] | None = None) -> None:
        logger.error("The model set was not replaced", problem=str(trouble), serving=sorted(self._set.loaded))
        write_trouble("models", {"ModelProblems": 1})
        self._etag = None
        self._set = dataclasses.replace(self._set, trouble=trouble, problems=problems or self._set.problems)

    def _read_manifest(self) -> tuple[Manifest, str] | None:
        """The manifest and its ETag; None where there is nothing new, or none was ever published."""
        try:
            if self._etag:
                answer = self._s3.get_object(Bucket=self._bucket, Key=MANIFEST_KEY, IfNoneMatch=self._etag)
            else:
                answer = self._s3.get_object(Bucket=self._bucket, Key=MANIFEST_KEY)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in ("304", "NotModified"):
                return None
            if code != "NoSuchKey":
                raise
            if sign := self._sign_of_a_loss():
                raise Refused(
                    f"it is missing, but was published once, as {sign} shows: publish a model set, promote a version, "
                    "or restore the object."
                ) from error
            return None
        return parse_manifest(read_object(answer, MANIFEST_KEY)), answer["ETag"]

    def _sign_of_a_loss(self) -> str | None:
        """What tells that the manifest was there; None if nothing does. Raises StoreUnavailable, botocore's errors."""
        if self._set.manifest is not None:
            return "this function's memory of it"
        found = self._s3.list_object_versions(Bucket=self._bucket, Prefix="models/", MaxKeys=1)
        if found.get("Versions") or found.get("DeleteMarkers"):
            return "what is or was below models/"
        return "a segment's stored statistics" if self._has_measured() else None

    def load(self, manifest: Manifest) -> ModelSet:
        """The models that a manifest names, fetched and checked; those that cannot be served are among the problems."""
        loaded, problems = {}, {}
        for name in MODEL_OUTPUTS.keys() & manifest.models.keys():
            active = manifest.models[name]
            try:
                loaded[name] = self._reuse(name, active) or load_model(name, active, self._fetch)
            except (Refused, ClientError, BotoCoreError, OSError) as error:
                problems[name] = _problem(f"{name} {active.version} cannot be served", error)
        return ModelSet(manifest, loaded, problems)

    def _reuse(self, name: str, active: ActiveModel) -> LoadedModel | None:
        before = self._set.manifest
        return self._set.loaded.get(name) if before and before.models.get(name) == active else None

    def _fetch(self, key: str, sha256: str) -> bytes:
        """An immutable object, from /tmp where an earlier process of this instance left it whole."""
        path = self._cache / key
        with contextlib.suppress(OSError):  # it is not there, or the disk fails
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() == sha256:
                return content
        content = read_object(self._s3.get_object(Bucket=self._bucket, Key=key), key)
        partial = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(content)
            partial.replace(path)
        except OSError as error:  # such as a disk that a snapshot has filled: the model is served from memory
            logger.warning("A model could not be kept on disk", key=key, cause=error.strerror)
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
        return content


def load_model(name: str, active: ActiveModel, read: Callable[[str, str], bytes]) -> LoadedModel:
    """The model that a manifest names, with all that is checked before it serves; read(key, sha256) gives an object.

    Raises Refused, and what `read` raises.
    """
    key = card_key(name, active.version)
    card = parse_card(read(key, active.card_sha256), name, active.version, active.card_sha256)
    if card.output != MODEL_OUTPUTS[name]:
        raise Refused(
            f"its card names the output {card.output}, but it must be {MODEL_OUTPUTS[name]}: publish it again."
        )
    key = model_key(name, active.version)
    model = read(key, card.file.sha256)
    check_content(model, key, card.file.sha256, card.file.size)
    try:
        network = Network(model, len(card.features), card.width)
        golden.check(card, network)
    except Refused as error:
        raise Refused(f"{key}: {error}: publish a model that passes, or roll back.") from error
    return LoadedModel(card, network)


def _is_first_advice(manifest: Manifest) -> bool:
    """Whether training has only advised so far: no set had a model yet, so that none is lost."""
    return bool(manifest.advice) and not any(known.models for known in manifest.previous)


def _problem(what: str, error: Exception) -> Problem:
    if isinstance(error, ClientError):
        code = error.response["Error"]["Code"]
        remedy = "check that it exists and that the function may read it."
        return Problem(f"{what}: S3 answered {code} for the model bucket: {remedy}", can_pass(code))
    if isinstance(error, BotoCoreError):
        name = type(error).__name__
        return Problem(f"{what}: S3 cannot be reached ({name}): the function tries again by itself.", can_pass(name))
    return Problem(f"{what}: {error}", retry=False)
