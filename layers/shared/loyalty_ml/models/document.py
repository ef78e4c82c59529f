"""Documents of the model bucket: how one is read, written, checked and refused."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from loyalty_ml.vocabulary import problem_in

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

API_VERSION = 1
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")]
Version = Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]{0,80}$")]  # a path segment: no slash, no '..'
Share = Annotated[float, Field(ge=0, le=1)]
MAX_DOCUMENT_BYTES = 16 * 1024**2
"""Of a manifest or a card, which have kilobytes; also of a snapshot's card."""
MAX_MODEL_BYTES = 64 * 1024**2
"""Of a model, which is in memory twice while it is loaded."""
PUBLISH_AGAIN = "publish the model set again, from a whole copy of it."


class Refused(ValueError):
    """A manifest, card or model that must not be used; the message says which, why, and what to do."""


class TooNew(Refused):
    """A manifest or card written by newer code: it may be good, so it is neither used nor replaced."""


class Document(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


DocumentT = TypeVar("DocumentT", bound=Document)


def path_in(folder: Path, key: str) -> Path:
    """Where an object of the bucket lies in a model folder, which stands for what is below `models/`."""
    return folder / key.removeprefix("models/")


def to_json(document: Document) -> bytes:
    """A document as it is stored, and as its hash is taken."""
    return (document.model_dump_json(indent=2, exclude_none=True) + "\n").encode()


def read_object(answer: "GetObjectOutputTypeDef", key: str) -> bytes:
    """An object of the bucket, whole. Raises Refused, before it is read, for what would fill a function's memory."""
    size, most = answer["ContentLength"], MAX_MODEL_BYTES if key.endswith(".tflite") else MAX_DOCUMENT_BYTES
    if size > most:
        answer["Body"].close()
        raise Refused(f"{key} has {size:,} bytes, and {most:,} is the most: {PUBLISH_AGAIN}")
    return answer["Body"].read()


def check_content(content: bytes, key: str, sha256: str, size: int | None = None) -> None:
    """Raises Refused where content is not what was published: truncated, or changed since."""
    if size is not None and len(content) != size:
        raise Refused(f"{key} has {len(content)} bytes, but {size} were published: {PUBLISH_AGAIN}")
    if hashlib.sha256(content).hexdigest() != sha256:
        raise Refused(f"{key} is not the file that was published (sha256 differs): {PUBLISH_AGAIN}")


def parse(kind: type[DocumentT], text: bytes, key: str) -> DocumentT:
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise _refusal(text, key, error) from error


def _refusal(text: bytes, key: str, error: ValidationError) -> Refused:
    try:
        fields: Any = json.loads(text)
    except (ValueError, RecursionError) as not_json:
        return Refused(f"{key} is not JSON ({not_json}): {PUBLISH_AGAIN}")
    if not isinstance(fields, dict):
        return Refused(f"{key} is not a JSON object: {PUBLISH_AGAIN}")
    api_version = fields.get("api_version")
    if isinstance(api_version, int) and api_version > API_VERSION:
        return TooNew(
            f"{key} has api_version {api_version} but this code reads {API_VERSION}: "
            "deploy the newer functions, or roll the model set back."
        )
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"])) or "it"
    return Refused(f"{key} is not valid ({where}: {problem_in(first)}): {PUBLISH_AGAIN}")
