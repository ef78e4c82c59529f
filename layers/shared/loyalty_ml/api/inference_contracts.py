"""What goes in and out of the Open Inference Protocol, version 2, as the protocol describes it."""

from typing import Annotated, Any, Literal, NotRequired, Self

from pydantic import Field, PrivateAttr
from typing_extensions import TypedDict

from loyalty_ml.vocabulary import Request

Parameters = Annotated[
    dict[str, str | float | bool],
    Field(description="What the protocol leaves to client and server, by name"),
]
DataType = Annotated[str, Field(examples=["FP64"], description="The protocol's name of the type of the numbers")]


class InputTensor(Request):
    """All features as one tensor, or one feature."""

    name: Annotated[
        str, Field(description="`features` for a tensor of all, in the order of the model's metadata; or one's name")
    ]
    shape: Annotated[
        list[Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)]],
        Field(description="[n, features]; of one feature [n] or [n, 1]", min_length=1, max_length=2),
    ]
    datatype: DataType
    parameters: Parameters | None = None
    data: Annotated[
        Any, Field(description="The numbers, row by row, as one list or a list for each row; not if they are binary")
    ] = None


class OutputRequest(Request):
    """An output that is asked for."""

    name: str
    parameters: Parameters | None = None


class InferenceRequest(Request):
    """Features of n customers, raw as the warehouse has them."""

    id: Annotated[str | None, Field(description="Your own name of the request; the answer has it")] = None
    parameters: Parameters | None = None
    inputs: Annotated[list[InputTensor], Field(min_length=1, max_length=1000)]
    outputs: Annotated[
        list[OutputRequest] | None, Field(max_length=1000, description="The outputs to give; all if it is left out")
    ] = None
    _binary: bytes = PrivateAttr(b"")

    @property
    def binary(self) -> bytes:
        """What stands behind the JSON."""
        return self._binary

    def with_binary(self, content: bytes) -> Self:
        """This request, with what stands behind its JSON."""
        self._binary = content
        return self


class OutputTensor(TypedDict):
    name: str
    shape: Annotated[list[int], Field(description="[n, numbers for each customer]")]
    datatype: Literal["FP32"]
    parameters: NotRequired[Parameters]
    data: NotRequired[Annotated[list[float], Field(description="Row by row; not if they are binary")]]


class InferenceAnswer(TypedDict):
    model_name: str
    model_version: str
    id: NotRequired[str]
    outputs: list[OutputTensor]


class TensorMetadata(TypedDict):
    name: str
    datatype: DataType
    shape: Annotated[list[int], Field(description="-1 stands for any number of customers")]
    parameters: NotRequired[Parameters]


class ModelMetadata(TypedDict):
    name: str
    versions: Annotated[list[str], Field(description="The active one, which alone is served")]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ServerMetadata(TypedDict):
    name: str
    version: str
    extensions: list[str]


class ServerLive(TypedDict):
    live: bool


class ServerReady(TypedDict):
    ready: bool


class ModelReady(TypedDict):
    name: str
    ready: bool


class InferenceError(TypedDict):
    error: Annotated[str, Field(description="What is wrong, and what to do")]
