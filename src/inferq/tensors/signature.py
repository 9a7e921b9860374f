"""The signature of a model, its inputs and outputs, as its workers announce it."""

from collections.abc import Sequence
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inferq.errors import InvalidModelError
from inferq.provenance import Provenance
from inferq.rollout import Rollout
from inferq.tensors.media_specs import AudioSpec, DetectionSpec, ImageSpec


class Datatype(StrEnum):
    """Type of a tensor's values, by the names of the Open Inference Protocol, and of ONNX for what it lacks.

    `BYTES` are strings. From `BF16` on NumPy lacks them; `narrow_types` tells how they are written.
    """

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
    BF16 = "BF16"
    FLOAT8E4M3FN = "FLOAT8E4M3FN"
    FLOAT8E4M3FNUZ = "FLOAT8E4M3FNUZ"
    FLOAT8E5M2 = "FLOAT8E5M2"
    FLOAT8E5M2FNUZ = "FLOAT8E5M2FNUZ"
    FLOAT8E8M0 = "FLOAT8E8M0"
    FLOAT4E2M1 = "FLOAT4E2M1"
    INT4 = "INT4"
    UINT4 = "UINT4"
    INT2 = "INT2"
    UINT2 = "UINT2"

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
            high = _FLOAT_LIMITS[self]
            return (1 / high if self is Datatype.FLOAT8E8M0 else -high), high
        bits = int(self.partition("INT")[2])
        return (0, 2**bits - 1) if self.startswith("U") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)

    @property
    def is_in_numpy(self) -> bool:
        """Whether NumPy has such a type."""
        return self not in _NARROW

    @property
    def non_finite_words(self) -> tuple[str, ...]:
        """What its values may be besides numbers, as JSON names it: `NaN`, the infinities."""
        if not self.is_float or self is Datatype.FLOAT4E2M1:
            return ()
        return ("NaN",) if self in _WITHOUT_INFINITIES else ("NaN", "Infinity", "-Infinity")


_FLOAT_LIMITS = {
    Datatype.FP16: 65504.0,
    Datatype.FP32: float.fromhex("0x1.fffffep+127"),
    Datatype.FP64: float.fromhex("0x1.fffffffffffffp+1023"),
    Datatype.BF16: float.fromhex("0x1.fep+127"),
    Datatype.FLOAT8E4M3FN: 448.0,
    Datatype.FLOAT8E4M3FNUZ: 240.0,
    Datatype.FLOAT8E5M2: 57344.0,
    Datatype.FLOAT8E5M2FNUZ: 57344.0,
    Datatype.FLOAT8E8M0: 2.0**127,
    Datatype.FLOAT4E2M1: 6.0,
}
_WITHOUT_INFINITIES = {
    Datatype.FLOAT8E4M3FN,
    Datatype.FLOAT8E4M3FNUZ,
    Datatype.FLOAT8E5M2FNUZ,
    Datatype.FLOAT8E8M0,
}
_NARROW = {*list(Datatype)[list(Datatype).index(Datatype.BF16) :]}


def _is_unset(value: object) -> bool:
    return not value


class Tensor(BaseModel):
    """One input or output of a model.

    Rare fields are left out of its JSON where they are not set.

    Attributes:
        name: Name in the ONNX graph.
        datatype: Type of its values; of a sequence or a map, of the values in it.
        shape: Length of each axis, -1 where any length fits (a dynamic axis); empty for a single value. A
            sequence has the shape [-1]; a sequence of maps, as ZipMap gives it, has an entry for each row.
        onnx_type: ONNX's type of what is no tensor, such as `seq(tensor(float))`, `optional(tensor(float))`,
            or `seq(map(int64,tensor(float)))`.
        is_unranked: Whether the file leaves the number of axes open, so that any array fits; `shape` is then
            empty.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    datatype: Datatype
    shape: list[int]
    onnx_type: str | None = Field(default=None, exclude_if=_is_unset)
    is_unranked: bool = Field(default=False, exclude_if=_is_unset)

    @property
    def is_optional(self) -> bool:
        """Whether it may be absent."""
        return (self.onnx_type or "").startswith("optional(")

    @property
    def is_sequence(self) -> bool:
        """Whether it is a sequence of tensors."""
        return (self.onnx_type or "").removeprefix("optional(").startswith("seq(tensor(")

    @property
    def map_keys(self) -> Datatype | None:
        """Type of the keys of a map; None for everything else."""
        kind = (self.onnx_type or "").partition(",")[0]
        return {"map(int64": Datatype.INT64, "map(string": Datatype.BYTES}.get(kind)

    def takes_shape(self, shape: Sequence[int]) -> bool:
        """Whether an array of this shape fits."""
        return self.is_unranked or shape_fits(shape, self.shape)

    def make_zeros(self, shape: Sequence[int] | None = None) -> Any:  # noqa: ANN401 - nested lists, or a value
        """Returns zeros (false, empty strings; ones where there is no zero) as `data` has them.

        Args:
            shape: Length of each axis; by default each dynamic axis has one entry.
        """
        zeros: Any = {"BOOL": False, "BYTES": "", "FLOAT8E8M0": 1}.get(self.datatype, 0)
        if self.map_keys is not None:
            return {"0": zeros}
        if self.is_sequence:
            return [[zeros]]
        for size in reversed([abs(size) for size in self.shape] if shape is None else shape):
            zeros = [zeros] * size
        return zeros

    def __str__(self) -> str:
        shape = "any shape" if self.is_unranked else f"shape {self.shape}"
        return f"{self.name!r} ({self.onnx_type or self.datatype}, {shape})"


def shape_fits(shape: Sequence[int], expected: Sequence[int]) -> bool:
    """Whether an array of this shape is one of the expected shape, in which -1 stands for any length."""
    return len(shape) == len(expected) and all(
        size in (-1, length) for size, length in zip(expected, shape, strict=True)
    )


def _is_null(value: object) -> bool:
    return value == "null"


type NonFinite = Literal["null", "string"]
type Activation = Literal["softmax"]


class ModelDocument(BaseModel):
    """A model as its workers announce it in Redis, and as the API shows it.

    It is the model metadata of the Open Inference Protocol (`name`, `versions`, `platform`, `inputs`,
    `outputs`), and more that helps to use the model.

    Attributes:
        name: Name of its folder in the model repository.
        version: Name of its version's folder; of a model without such folders, the first 12 hex digits of the
            digest.
        versions: All versions that are served.
        platform: Always `onnxruntime_onnx`.
        digest: SHA-256 over the ONNX file and its external data, in hex; empty if its worker does not tell.
        runtime: What runs it, such as `onnxruntime-1.32.0`; empty likewise.
        providers: ONNX Runtime's names of the execution providers that it runs on, the preferred first.
        rollout: Which of the versions take which jobs, as it is applied; None where nothing is said of it.
        provider_problem: Why an execution provider that was wanted for it is not used; empty if all are.
        description: What the model does, for people; may be empty.
        inputs: Inputs that every job has; none for a model that only computes constants.
        optional_inputs: Inputs with a default value in the file, which a job may leave out.
        outputs: Outputs.
        class_names: Names of a classifier's classes, by class index.
        class_labels: The model's own label of each class, by class index; None where it is the index or the
            name.
        feature_names: Names along the last axis of the model's only input.
        example: A value of `data` that the model accepts.
        sample_shape: Shapes of inputs that the model accepts, by name, where there is no example.
        non_finite: How NaN and infinities are written in results: as null, or as strings.
        image: For which input it takes pictures, and what becomes of them; None where it takes none.
        image_problem: Why it takes none although there is a description of how pictures are prepared.
        audio: For which input it takes sound, and what becomes of it; None where it takes none.
        detections: Which of its outputs holds boxes around objects; None where none does.
        activation: What makes probabilities of a classifier's output before it is shown.
        timeout_seconds: Longest run of a job without a timeout of its own; None for the worker's setting.
        forms: Forms of data that the worker reads, by their media types; none by a worker that knows JSON
            alone.
        batch: Whether model.toml and the names of axes let jobs share a run.
    """

    # JSON has no NaN: in an example it is written as `data` takes it
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    name: str
    version: str
    versions: list[str]
    platform: str = "onnxruntime_onnx"
    digest: str = Field(default="", exclude_if=_is_unset)
    runtime: str = Field(default="", exclude_if=_is_unset)
    providers: list[str] = Field(default=[], exclude_if=_is_unset)
    rollout: Rollout | None = Field(default=None, exclude_if=_is_unset)
    provider_problem: str = Field(default="", exclude_if=_is_unset)
    description: str = ""
    inputs: list[Tensor]
    optional_inputs: list[Tensor] = Field(default=[], exclude_if=_is_unset)
    outputs: list[Tensor]
    class_names: list[str] | None = None
    class_labels: list[int | str] | None = Field(default=None, exclude_if=_is_unset)
    feature_names: list[str] | None = None
    example: Any = None
    sample_shape: dict[str, list[int]] | None = Field(default=None, exclude_if=_is_unset)
    non_finite: NonFinite = Field(default="null", exclude_if=_is_null)
    image: ImageSpec | None = Field(default=None, exclude_if=_is_unset)
    image_problem: str = Field(default="", exclude_if=_is_unset)
    audio: AudioSpec | None = Field(default=None, exclude_if=_is_unset)
    detections: DetectionSpec | None = Field(default=None, exclude_if=_is_unset)
    activation: Activation | None = Field(default=None, exclude_if=_is_unset)
    timeout_seconds: float | None = None
    forms: list[str] = Field(default=[], exclude_if=_is_unset)
    batch: bool = True

    @cached_property
    def batched(self) -> bool:
        """Whether every input's first axis is dynamic, so that rows of several jobs may share one run."""
        return (
            self.batch
            and bool(self.inputs)
            and all(tensor.onnx_type is None and tensor.shape[:1] == [-1] for tensor in self.inputs)
        )

    @property
    def provenance(self) -> Provenance:
        """What makes its results."""
        return Provenance(self.version, self.digest[:12], self.runtime, next(iter(self.providers), ""))

    def make_data(self) -> Any:  # noqa: ANN401 - any JSON value
        """Returns data that the model accepts: its example, or zeros of its sample shape; else None."""
        if self.example is not None or (self.inputs and not self.sample_shape):
            return self.example
        shapes = self.sample_shape or {}
        return {tensor.name: tensor.make_zeros(shapes.get(tensor.name)) for tensor in self.inputs}

    def to_json(self) -> bytes:
        """Returns the document as JSON."""
        return self.model_dump_json().encode()

    @classmethod
    def from_json(cls, text: bytes | str) -> Self:
        """Reads a document; unknown fields are ignored, so that one of a newer worker can be read.

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
