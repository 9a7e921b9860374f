"""Values of inputs and outputs that are not nested lists: raw tensors, files, and what stands for a file."""

from math import prod
from typing import Any, NamedTuple

from inferq.tensors.signature import Datatype

type Buffer = bytes | bytearray | memoryview

ITEM_BYTES = {
    Datatype.BOOL: 1,
    Datatype.UINT8: 1,
    Datatype.UINT16: 2,
    Datatype.UINT32: 4,
    Datatype.UINT64: 8,
    Datatype.INT8: 1,
    Datatype.INT16: 2,
    Datatype.INT32: 4,
    Datatype.INT64: 8,
    Datatype.FP16: 2,
    Datatype.FP32: 4,
    Datatype.FP64: 8,
    Datatype.BF16: 2,
    Datatype.FLOAT8E4M3FN: 1,
    Datatype.FLOAT8E4M3FNUZ: 1,
    Datatype.FLOAT8E5M2: 1,
    Datatype.FLOAT8E5M2FNUZ: 1,
    Datatype.FLOAT8E8M0: 1,
}
"""How many bytes one value has in a raw tensor; BYTES, whose values differ in length, is not among them."""
PACKED = {
    Datatype.FLOAT4E2M1: 2,
    Datatype.INT4: 2,
    Datatype.UINT4: 2,
    Datatype.INT2: 4,
    Datatype.UINT2: 4,
}
"""How many values share a byte, the first in its lowest bits; what the last byte has left is 0."""


def count_bytes(datatype: Datatype, count: int) -> int | None:
    """Returns how many bytes so many values have in a raw tensor; None for BYTES."""
    if datatype in PACKED:
        return -(-count // PACKED[datatype])
    item = ITEM_BYTES.get(datatype)
    return None if item is None else count * item


class RawTensor(NamedTuple):
    """A tensor as bytes.

    Attributes:
        datatype: Type of its values.
        shape: Length of each axis, none of them negative.
        data: Its values as the Open Inference Protocol has them: row-major, little-endian; BOOL in one byte;
            of BYTES each value behind its length, a u32.
        dtype: NumPy's type string of `data`, such as `>f4` or `<U7`, where that is not so; else empty.
        is_column_major: Whether the first axis changes fastest, as in Fortran.
    """

    datatype: Datatype
    shape: tuple[int, ...]
    data: Buffer
    dtype: str = ""
    is_column_major: bool = False

    @property
    def item_bytes(self) -> int | None:
        """How many bytes each value has; None where they differ, or share bytes."""
        if self.dtype:
            return int(self.dtype[2:]) * (4 if self.dtype[1] == "U" else 1)
        return ITEM_BYTES.get(self.datatype)

    @property
    def expected_bytes(self) -> int | None:
        """How long `data` has to be for the shape; None where only the values tell."""
        if self.dtype:
            return prod(self.shape) * (self.item_bytes or 1)
        return count_bytes(self.datatype, prod(self.shape))

    def __str__(self) -> str:
        return f"a tensor ({self.datatype}, shape {list(self.shape)})"


class ListedTensor(NamedTuple):
    """A tensor whose values are listed in JSON, as the Open Inference Protocol has it.

    Attributes:
        datatype: Type of its values.
        shape: Length of each axis, none of them negative.
        data: Its values, nested or in one list, row-major; not yet checked.
    """

    datatype: Datatype
    shape: tuple[int, ...]
    data: Any

    def __str__(self) -> str:
        return f"a tensor ({self.datatype}, shape {list(self.shape)})"


class MediaFile(NamedTuple):
    """A file of a picture or of sound, as it came.

    Attributes:
        media_type: What it is, such as `image/jpeg`.
        data: The whole file.
    """

    media_type: str
    data: Buffer

    def __str__(self) -> str:
        return f"a file ({self.media_type})"


class RemoteFile(NamedTuple):
    """A file that lies elsewhere, and is fetched before the value is used.

    Attributes:
        url: Where it is.
        where: The path of the value, for errors.
        datatype: Type of its values, if it is a raw tensor; None: its first bytes tell what it is.
        shape: Length of each axis, likewise.
    """

    url: str
    where: str
    datatype: Datatype | None = None
    shape: tuple[int, ...] | None = None

    def __str__(self) -> str:
        return "a file that is fetched"


def count_rows(value: Any) -> int:  # noqa: ANN401 - the value of an input
    """Returns how many rows the value of an input has: its first axis, or 1 for a file."""
    if isinstance(value, MediaFile):
        return 1
    if isinstance(value, RemoteFile):
        return value.shape[0] if value.shape else 1
    return int(value.shape[0]) if isinstance(value, RawTensor) else len(value)
