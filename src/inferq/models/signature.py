"""The signature of a model: what goes in and what comes out, as its workers announce it."""

from enum import StrEnum
from functools import cached_property
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from inferq.jobs import InvalidModelError


class Datatype(StrEnum):
    """Type of a tensor's values, by the names of the Open Inference Protocol. `BYTES` are strings (UTF-8)."""

    BOOL = "BOOL"
    UINT8 = "UINT8"
    UINT16 = "UINT16"
    UINT32 = "UINT32"
    UINT64 = "UINT64"
    INT8 = "INT8"
    INT16 = "INT16"
    INT32 = "INT32"
    INT64 = "INT64"
    FP16 = "FP16"
    FP32 = "FP32"
    FP64 = "FP64"
    BYTES = "BYTES"

    @property
    def is_float(self) -> bool:
        """Whether values are floating-point numbers."""
        return self in _FLOAT_LIMITS

    @property
    def is_integer(self) -> bool:
        """Whether values are whole numbers."""
        return "INT" in self

    @property
    def limits(self) -> tuple[float, float]:
        """Smallest and largest finite value (ints for integers); only for numbers."""
        if self.is_float:
            return -_FLOAT_LIMITS[self], _FLOAT_LIMITS[self]
        bits = int(self.partition("INT")[2])
        return (0, 2**bits - 1) if self.startswith("U") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


_FLOAT_LIMITS = {
    Datatype.FP16: 65504.0,
    Datatype.FP32: float.fromhex("0x1.fffffep+127"),
    Datatype.FP64: float.fromhex("0x1.fffffffffffffp+1023"),
}


class Tensor(BaseModel):
    """One input or output of a model.

    Attributes:
        name: Name in the ONNX graph.
        datatype: Type of its values.
        shape: Length of each axis, -1 where any length fits; empty for a single value. ONNX Runtime shows an
            output of unknown rank as empty too.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    datatype: Datatype
    shape: list[int]

    def __str__(self) -> str:
        return f"{self.name!r} ({self.datatype}, shape {self.shape})"


class ModelDocument(BaseModel):
    """A model as its workers announce it in Redis, and as the API shows it.

    It is the model metadata of the Open Inference Protocol (`name`, `versions`, `platform`, `inputs`,
    `outputs`), and what a person asks next.

    Attributes:
        name: Name of its folder in the model repository.
        version: First 12 hex digits of a SHA-256 over the ONNX file and its external data.
        versions: That version alone.
        platform: Always `onnxruntime_onnx`.
        description: What the model does, in a person's words; may be empty.
        inputs: Input tensors, at least one.
        outputs: Output tensors.
        class_names: Names of a classifier's classes, by class index.
        feature_names: Names along the last axis of the model's only input.
        example: A value of `data` that the model accepts.
        timeout_seconds: Longest run of a job that does not say otherwise; None for the worker's setting.
        batch: Whether jobs may share a run, as far as model.toml and the names of axes are concerned.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    version: str
    versions: list[str]
    platform: str = "onnxruntime_onnx"
    description: str = ""
    inputs: list[Tensor]
    outputs: list[Tensor]
    class_names: list[str] | None = None
    feature_names: list[str] | None = None
    example: Any = None
    timeout_seconds: float | None = None
    batch: bool = True

    @cached_property
    def batched(self) -> bool:
        """Whether every input's first axis is dynamic, so that rows of several jobs may share one run."""
        return self.batch and bool(self.inputs) and all(tensor.shape[:1] == [-1] for tensor in self.inputs)

    def to_json(self) -> bytes:
        """Returns the document as JSON."""
        return self.model_dump_json().encode()

    @classmethod
    def from_json(cls, text: bytes | str) -> Self:
        """Reads a document; fields it does not know are ignored, so that a newer worker's can be read.

        Raises:
            InvalidModelError: It is not the JSON of a model document.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the document"
            raise InvalidModelError(
                f"A model document in Redis cannot be read: {where}: {first['msg']}. Expected what an "
                "inferq worker announces; delete the entry and restart the workers."
            ) from error
