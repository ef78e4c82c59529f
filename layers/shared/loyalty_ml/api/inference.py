"""The Open Inference Protocol, version 2: raw features in, the model's own outputs out.

The answers are those of a prediction to the bit: the same checks of the features, the same network. A request is
answered whole or not at all, because the protocol has no error of one row.
"""

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from loyalty_ml import errors
from loyalty_ml.api.inference_contracts import (
    InferenceAnswer,
    InferenceRequest,
    InputTensor,
    ModelMetadata,
    OutputTensor,
    Parameters,
    TensorMetadata,
)
from loyalty_ml.api.reading import parse_body
from loyalty_ml.customers.table import FeatureTable
from loyalty_ml.models.card import Card
from loyalty_ml.models.store import MODEL_OUTPUTS, LoadedModel, ModelSet
from loyalty_ml.scoring.scored import scoring
from loyalty_ml.scoring.scorers import loaded_model, model_scorer
from loyalty_ml.vocabulary import MockMode

FEATURES = "features"
"""The name of the one tensor that holds all features."""
DATA_TYPES: Mapping[str, str] = {"FP32": "<f4", "FP64": "<f8"}
"""The types of inputs, and what NumPy calls them; binary ones are little-endian."""
HEADER_LENGTH = "Inference-Header-Content-Length"
"""The header that says how long the JSON is, where bytes stand behind it."""
BINARY_SIZE = "binary_data_size"
"""The parameter of a tensor whose numbers stand behind the JSON, as Triton's extension has it."""
OTHER_EXTENSIONS = frozenset(
    {"classification", "shared_memory_region", "shared_memory_offset", "shared_memory_byte_size"}
)
"""Parameters of a tensor that Triton's other extensions move its numbers with."""

_LENGTH = re.compile(r"[0-9]{1,10}")


class Inference(NamedTuple):
    """An answer: its JSON, and behind that the bytes of the outputs that were asked for as binary."""

    answer: InferenceAnswer
    binary: bytes


def active_model(models: ModelSet, mock_mode: MockMode, name: str, version: str | None = None) -> LoadedModel:
    """The model of this name that answers now; of a version, only if it is that one.

    Raises ModelVersionNotFound, and ModelUnavailable if nothing of this name is loaded.
    """
    if name not in MODEL_OUTPUTS:
        raise errors.ModelVersionNotFound(f"There is no model with this name: use one of {', '.join(MODEL_OUTPUTS)}.")
    model = loaded_model(name, models, mock_mode)
    if version is not None and version != model.card.version:
        raise errors.ModelVersionNotFound(
            f"Of {name}, only the active version is served, which is {model.card.version}: ask for that one, or leave "
            "the version out."
        )
    return model


def metadata(model: LoadedModel) -> ModelMetadata:
    card = model.card
    features: TensorMetadata = {
        "name": FEATURES,
        "datatype": "FP64",
        "shape": [-1, len(card.features)],
        "parameters": {"names": ",".join(card.features)},
    }
    outputs: list[TensorMetadata] = []
    for output in card.outputs:
        described: TensorMetadata = {"name": output.name, "datatype": "FP32", "shape": [-1, output.width]}
        if card.offers:
            described["parameters"] = {"offer_codes": ",".join(offer.offer_code for offer in card.offers)}
        outputs.append(described)
    return {
        "name": card.name,
        "versions": [card.version],
        "platform": "tflite",
        "inputs": [features],
        "outputs": outputs,
    }


def parse_request(body: bytes, header_bytes: str | None) -> InferenceRequest:
    """header_bytes: how long the body's JSON is, as the header says; None if there is nothing behind it.

    Raises the RequestError that says what is wrong with it.
    """
    if header_bytes is None:
        return parse_body(body, InferenceRequest)
    if not _LENGTH.fullmatch(header_bytes) or not 0 < int(header_bytes) <= len(body):
        raise errors.InvalidRequest.of(
            HEADER_LENGTH, f"must be a whole number from 1 to {len(body):,}, the body's bytes"
        )
    end = int(header_bytes)
    return parse_body(body[:end], InferenceRequest).with_binary(body[end:])


def infer(model: LoadedModel, request: InferenceRequest) -> Inference:
    """The outputs for the request's rows. Raises InvalidRequest, and InvalidFeatures for the first wrong row."""
    card = model.card
    chosen = _chosen_outputs(card, request)
    values = _values(card, request.inputs, request.binary)
    numbers = _score(model, values)
    answer: InferenceAnswer = {"model_name": card.name, "model_version": card.version, "outputs": []}
    if request.id is not None:
        answer["id"] = request.id
    tail = b""
    begins = np.cumsum([0, *(output.width for output in card.outputs)]).tolist()
    places = {
        output.name: slice(start, start + output.width) for output, start in zip(card.outputs, begins, strict=False)
    }
    for name, is_binary in chosen.items():
        columns = np.ascontiguousarray(numbers[:, places[name]], "<f4")
        output: OutputTensor = {"name": name, "shape": list(columns.shape), "datatype": "FP32"}
        if is_binary:
            output["parameters"] = {BINARY_SIZE: columns.nbytes}
            tail += columns.tobytes()
        else:
            output["data"] = columns.ravel().tolist()  # float32 to Python's float is exact
        answer["outputs"].append(output)
    return Inference(answer, tail)


def _chosen_outputs(card: Card, request: InferenceRequest) -> dict[str, bool]:
    """The names of the outputs to give, and whether each is wanted as binary."""
    known = [output.name for output in card.outputs]
    all_binary = _truth("parameters", request.parameters, "binary_data_output", default=False)
    if not request.outputs:
        return dict.fromkeys(known, all_binary)
    chosen: dict[str, bool] = {}
    for place, output in enumerate(request.outputs):
        if output.name not in known:
            raise errors.InvalidRequest.of(
                f"outputs.{place}.name", f"is no output of {card.name}: use {' or '.join(known)}"
            )
        if output.name in chosen:
            raise errors.InvalidRequest.of(f"outputs.{place}.name", "is given twice: leave one out")
        at = f"outputs.{place}.parameters"
        _refuse_extensions(at, output.parameters)
        chosen[output.name] = _truth(at, output.parameters, "binary_data", default=all_binary)
    return chosen


def _truth(at: str, parameters: Parameters | None, name: str, *, default: bool) -> bool:
    value = (parameters or {}).get(name, default)
    if not isinstance(value, bool):  # "false" is no no
        raise errors.InvalidRequest.of(f"{at}.{name}", "must be true or false")
    return value


def _refuse_extensions(at: str, parameters: Parameters | None) -> None:
    """Other parameters may be ignored; without these the numbers would be elsewhere than the client takes them from."""
    for name in sorted((parameters or {}).keys() & OTHER_EXTENSIONS):
        raise errors.InvalidRequest.of(f"{at}.{name}", "is of an extension that this server has not: leave it out")


def _values(card: Card, inputs: Sequence[InputTensor], binary: bytes) -> NDArray[np.float64]:
    """Float64 (n, features) in the card's order."""
    read: dict[str, NDArray[np.float64]] = {}
    offset = 0
    for place, tensor in enumerate(inputs):
        if tensor.name in read:
            raise _wrong(place, "name", "is given twice: leave one out")
        if tensor.datatype not in DATA_TYPES:
            raise _wrong(place, "datatype", f"must be {' or '.join(DATA_TYPES)}")
        _refuse_extensions(f"inputs.{place}.parameters", tensor.parameters)
        size = _binary_size(place, tensor.parameters)
        if size is None:
            numbers = _listed(place, tensor)
        else:
            numbers = _binary(place, tensor, binary[offset : offset + size], size)
            offset += size
        read[tensor.name] = numbers
    if offset != len(binary):
        raise errors.InvalidRequest.of(
            "body", f"has {len(binary):,} bytes behind its JSON, but the inputs say {offset:,}: correct {BINARY_SIZE}"
        )
    if inputs[0].name == FEATURES and FEATURES not in card.features:
        if len(inputs) > 1:
            raise _wrong(1, "name", f"stands beside {FEATURES}, which has all features: leave one of the two out")
        values = read[FEATURES]
        if values.ndim != 2 or values.shape[1] != len(card.features):
            raise _wrong(
                0, "shape", f"must be [n, {len(card.features)}], a column for each of {', '.join(card.features)}"
            )
    else:
        values = _named(card, inputs, read)
    if not len(values):
        raise _wrong(0, "shape", "has no rows: send at least one")
    return values


def _named(card: Card, inputs: Sequence[InputTensor], read: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    rows = read[inputs[0].name].shape[:1]
    for place, tensor in enumerate(inputs):
        if tensor.name not in card.features:
            raise _wrong(
                place, "name", f"is no feature of {card.name}: use {FEATURES} for all, or {', '.join(card.features)}"
            )
        shape = read[tensor.name].shape
        if shape not in (rows, (*rows, 1)):
            raise _wrong(place, "shape", "must be [n] or [n, 1], with the same n in each input")
    if missing := [name for name in card.features if name not in read]:
        raise errors.InvalidRequest.of("inputs", f"lack {', '.join(missing)}: send an input for each feature")
    return np.column_stack([read[name].reshape(-1) for name in card.features])


def _wrong(place: int, field: str, problem: str) -> errors.InvalidRequest:
    return errors.InvalidRequest.of(f"inputs.{place}.{field}", problem)


def _binary_size(place: int, parameters: Parameters | None) -> int | None:
    size = (parameters or {}).get(BINARY_SIZE)
    if size is None:
        return None
    if isinstance(size, bool | str) or not 0 <= size < math.inf or size != int(size):
        raise _wrong(place, f"parameters.{BINARY_SIZE}", "must be a whole number, 0 or more")
    return int(size)


def _binary(place: int, tensor: InputTensor, content: bytes, size: int) -> NDArray[np.float64]:
    dtype = np.dtype(DATA_TYPES[tensor.datatype])
    if tensor.data is not None:
        raise _wrong(place, "data", f"is given beside {BINARY_SIZE}: leave one of the two out")
    wanted = dtype.itemsize * _count(tensor.shape)
    if size != wanted or len(content) != wanted:
        raise _wrong(place, f"parameters.{BINARY_SIZE}", f"must be {wanted:,}, and as many bytes must follow the JSON")
    return np.frombuffer(content, dtype).astype(np.float64).reshape(tensor.shape)


def _listed(place: int, tensor: InputTensor) -> NDArray[np.float64]:
    data = tensor.data
    if not isinstance(data, list):
        raise _wrong(place, "data", "must be a list of numbers")
    if data and all(isinstance(row, list) for row in data):
        if [len(data), *{len(row) for row in data}] != tensor.shape:
            raise _wrong(place, "data", "has not the rows and columns of its shape")
        data = [number for row in data for number in row]
    if any(type(number) not in (int, float) for number in data):
        raise _wrong(place, "data", "must be numbers: no null, no text and no further lists")
    if len(data) != _count(tensor.shape):
        raise _wrong(place, "data", f"has {len(data):,} numbers, but its shape says {_count(tensor.shape):,}")
    try:
        numbers = np.array(data, np.float64)
    except OverflowError as error:
        raise _wrong(place, "data", "has a number that no float64 holds") from error
    if tensor.datatype == "FP32":
        with np.errstate(over="ignore"):  # infinite, and so refused with its row
            numbers = numbers.astype(np.float32).astype(np.float64)
    return numbers.reshape(tensor.shape)


def _count(shape: Sequence[int]) -> int:
    count = 1
    for length in shape:
        count *= length
    return count


def _score(model: LoadedModel, values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Float32 (n, outputs): what the network gives, if it may be asked about every row."""
    card = model.card
    scorer = dataclasses.replace(
        model_scorer(model),
        features=card.features,
        score=lambda _, matrix: (model.network(matrix),),
        needs_ids=False,
        domains={name: domain for name, domain in (card.domains or {}).items() if name in card.features},
    )
    table = FeatureTable((), card.features, values, absent=None, found=None, as_of=None)
    scored = scoring([scorer], card.features)(table, lambda _: ())
    if scored.answered is not None:
        row = int(np.argmin(scored.answered))
        problem = scored.problem(row)
        raise errors.InvalidFeatures(
            (problem.details or {}).get("features", []), f"Row {row:,} of the inputs", [problem.message]
        )
    numbers: NDArray[np.float32] = scored.scores[0][0]
    return numbers
