"""A model set on disk: checked on the serving interpreter, and laid out as in the bucket below its `models/` prefix."""

import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.customers.table import model_matrix
from loyalty_ml.models.card import Card, Golden, ModelFile, card_key, model_key
from loyalty_ml.models.document import Refused, path_in, to_json
from loyalty_ml.models.interpreter import Network
from loyalty_ml.models.manifest import MANIFEST_KEY, ActiveModel, Manifest, RfmCutPoints, advice_after, parse_manifest
from loyalty_ml.models.store import LoadedModel
from loyalty_ml.registry import activation

SAME_ANSWER = 1e-5
"""How far the converted model may be from the trained one: some roundings of float32, far below what anyone sees."""

SAME_FOR_EVERYONE = 0.04
"""Answers whose log-odds are all this near are one answer: .50 and .51, or .0100 and .0104.

A model of rare events whose probabilities are .001 to .005 tells customers apart by 1.6.
"""

_FILE_DESCRIPTOR_2 = threading.Lock()
"""It is the process's: of two threads that put it aside at once, the second would put back what the first put there."""


class TrainedModel(NamedTuple):
    card: Card
    model: bytes


def serving_network(name: str, model: bytes, features: int, outputs: int) -> Network:
    """The model as the functions run it. Raises Refused where they could not load it."""
    try:
        with _native_notes_hidden():
            return Network(model, features, outputs)
    except Refused as error:
        raise Refused(f"The {name} model cannot be served: {error}.") from error


def load_served(name: str, active: ActiveModel, read: Callable[[str], bytes]) -> LoadedModel:
    """A model as the functions load and check it, from wherever `read` finds its files by their key in the bucket.

    Raises Refused where they would not serve it, and what `read` raises.
    """
    with _native_notes_hidden():
        return activation.load_served(name, active, read)


def check_answers(name: str, served: NDArray[np.floating], trained: NDArray[np.floating]) -> None:
    """Raises Refused for a model that must not be served: both are its answers for the same customers, (n, k)."""
    check_numbers(name, served)
    difference = float(np.abs(served - trained).max())
    if difference > SAME_ANSWER:
        raise Refused(
            f"The {name} model answers otherwise in TFLite than in Keras (by {difference:.1e}, where {SAME_ANSWER:.0e} "
            "is allowed): it was not written."
        )
    if float(np.max(np.ptp(log_odds(served), axis=0))) < SAME_FOR_EVERYONE:
        raise Refused(f"The {name} model gives every customer the same answer: it was not written; try another seed.")


def log_odds(probability: NDArray[np.floating]) -> NDArray[np.float64]:
    """ln(p / (1 - p)) of probabilities of any shape, of 1e-7 and 1 - 1e-7 at most: a float32 knows no nearer to 1."""
    bounded = np.clip(probability.astype(np.float64), 1e-7, 1 - 1e-7)
    odds: NDArray[np.float64] = np.log(bounded / (1 - bounded))
    return odds


def check_numbers(name: str, answers: NDArray[np.floating]) -> None:
    """Raises Refused for a model of whose answers, of any shape, one is not a finite number."""
    if not np.isfinite(answers).all():
        raise Refused(f"The {name} model gives some customers no number: it was not written.")


def golden(name: str, network: Network, customers: NDArray[np.float64]) -> Golden:
    """What the model answers for six of the customers, smallest to largest, and for two that no shop has.

    customers: float64 (n, f), raw values. Raises Refused where an answer is not a number.
    """
    ordered = customers[np.argsort(customers[:, 0], kind="stable")]
    chosen = ordered[np.linspace(0, len(ordered) - 1, 6).astype(int)]
    features = customers.shape[1]
    inputs = np.vstack([chosen, np.zeros((1, features)), np.full((1, features), np.finfo(np.float32).max)])
    outputs = network(model_matrix(inputs))
    check_numbers(name, outputs)
    # The shortest decimals that read back as the same float32.
    written = tuple(tuple(float(str(value)) for value in row) for row in outputs)
    return Golden(inputs=tuple(map(tuple, inputs.tolist())), outputs=written)


def model_file(model: bytes) -> ModelFile:
    return ModelFile(size=len(model), sha256=sha256(model).hexdigest())


def model_path(directory: Path, card: Card) -> Path:
    return path_in(directory, model_key(card.name, card.version))


def check_writable(directory: Path, names: Iterable[str]) -> None:
    """Raises OSError where a set of models with these names could not be written: better before training than after."""
    for name in names:
        (directory / name).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory / name):
            pass


def write_model_set(
    directory: Path,
    models: Sequence[TrainedModel],
    created: datetime,
    rfm: RfmCutPoints | None = None,
    advice: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Makes these models the active ones, all or none: the manifest changes last, and at once.

    Before that each is read back and checked as the functions do, golden answers and all. Raises Refused, OSError.
    Models and cut points that are not given stay active as they are. Versions that are there already are left alone,
    and so can be returned to.

    advice: by model, what to do in place of one that was not good enough to be among them.
    """
    before = _manifest(directory)
    active = dict(before.models) if before else {}
    for card, model in models:
        described = to_json(card)
        model_path(directory, card).parent.mkdir(parents=True, exist_ok=True)
        model_path(directory, card).write_bytes(model)
        path_in(directory, card_key(card.name, card.version)).write_bytes(described)
        active[card.name] = ActiveModel(version=card.version, card_sha256=sha256(described).hexdigest())
        load_served(card.name, active[card.name], lambda key: path_in(directory, key).read_bytes())
    after = Manifest(
        created=created,
        models=active,
        rfm=rfm or (before.rfm if before else None),
        advice=advice_after(before, [model.card.name for model in models], advice),
    )
    manifest = path_in(directory, MANIFEST_KEY)
    unfinished = manifest.with_suffix(".unfinished")
    manifest.parent.mkdir(parents=True, exist_ok=True)
    try:
        unfinished.write_bytes(to_json(after))
        unfinished.replace(manifest)
    finally:
        unfinished.unlink(missing_ok=True)


def _manifest(directory: Path) -> Manifest | None:
    """None where there is none, or none that can be read: then nothing of it can be served either."""
    try:
        return parse_manifest(path_in(directory, MANIFEST_KEY).read_bytes())
    except (FileNotFoundError, Refused):
        return None


@contextmanager
def _native_notes_hidden() -> Iterator[None]:
    """The interpreter notes on file descriptor 2, past Python, which delegate it has created; errors are exceptions."""
    with _FILE_DESCRIPTOR_2:
        terminal, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        try:
            yield
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            os.close(nowhere)
