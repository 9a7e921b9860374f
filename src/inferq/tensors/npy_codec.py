r"""NumPy's file of one array, `.npy`, in all its versions and without pickle.

    \x93NUMPY  major  minor  u16 or u32 length of the header  header  data

The header is a dictionary as Python writes it. It is read by a pattern for what may stand in it, and is never
evaluated.
"""

import re
import struct
from collections.abc import Sequence
from typing import NoReturn

from inferq.errors import InvalidInputError
from inferq.tensors.raw_tensors import MOST_AXES, check_shape
from inferq.tensors.signature import Datatype
from inferq.tensors.values import Buffer, RawTensor

_MAGIC = b"\x93NUMPY"
_LENGTHS = {1: struct.Struct("<H"), 2: struct.Struct("<I"), 3: struct.Struct("<I")}
_ALIGNMENT = 64
_MOST_HEADER_BYTES = 10_000
"""As NumPy has it: a longer header is one of a structured type, or made to harm."""

_MEMBER = re.compile(
    r"""\s*(['"])(?P<name>\w{1,20})\1\s*:\s*
    (?:(['"])(?P<text>[^'"]*)\3|(?P<flag>True|False)|\((?P<shape>[\d\sL,]*)\)|(?P<list>\[.*\]))
    \s*(?:,\s*|(?=\}))""",
    re.VERBOSE | re.DOTALL,
)
_DATATYPES = {
    "b1": Datatype.BOOL,
    "u1": Datatype.UINT8,
    "u2": Datatype.UINT16,
    "u4": Datatype.UINT32,
    "u8": Datatype.UINT64,
    "i1": Datatype.INT8,
    "i2": Datatype.INT16,
    "i4": Datatype.INT32,
    "i8": Datatype.INT64,
    "f2": Datatype.FP16,
    "f4": Datatype.FP32,
    "f8": Datatype.FP64,
}
_NUMPY_TYPES = {datatype: code for code, datatype in _DATATYPES.items()}
_STRINGS = re.compile(r"[<>|][US][1-9]\d{0,8}")


def read_data(payload: Buffer) -> RawTensor:
    """Reads the data of a job, the value of its only input.

    Raises:
        InvalidInputError: It is damaged, or holds no numbers, booleans or text.
    """
    return read_array(payload, "The job's data")


def read_array(file: Buffer, where: str) -> RawTensor:
    """Reads an array, without a copy of its data.

    Args:
        file: The whole file.
        where: What it is, for errors.

    Raises:
        InvalidInputError: It is damaged, or holds no numbers, booleans or text.
    """
    header, data = _split(memoryview(file), where)
    descr, is_column_major, shape = _read_header(header, where)
    datatype, dtype = _read_type(descr, where)
    tensor = RawTensor(datatype, shape, data, dtype, is_column_major and len(shape) > 1)
    check_shape(shape, tensor.item_bytes or 1, where)
    if len(data) != tensor.expected_bytes:
        raise InvalidInputError(
            f"{where}, a NumPy array, has {len(data):,} bytes of data, but its header promises "
            f"{tensor.expected_bytes:,} ({datatype}, shape {list(shape)}). Save it again, and send all of it."
        )
    return tensor


def write_header(datatype: Datatype, shape: Sequence[int], width: int = 0) -> bytes:
    """Returns a file but for its data, which is to follow, row-major and little-endian.

    Args:
        datatype: Type of the values.
        shape: Length of each axis.
        width: How many characters each value has, in UTF-32; only for BYTES.
    """
    code = _NUMPY_TYPES.get(datatype, f"U{width}")
    order = "|" if code in ("b1", "u1", "i1") else "<"
    axes = "".join(f"{size}, " for size in shape)
    header = f"{{'descr': '{order}{code}', 'fortran_order': False, 'shape': ({axes}), }}".encode()
    start = len(_MAGIC) + 2 + _LENGTHS[1].size
    length = -(-(start + len(header) + 1) // _ALIGNMENT) * _ALIGNMENT - start
    return _MAGIC + b"\1\0" + _LENGTHS[1].pack(length) + header.ljust(length - 1) + b"\n"


def write_text(texts: Sequence[str], shape: Sequence[int]) -> bytes:
    """Returns a file of strings, each as long as the longest one, in UTF-32."""
    width = max(1, max(map(len, texts), default=1))
    data = "".join(text.ljust(width, "\0") for text in texts).encode("utf-32-le")
    return write_header(Datatype.BYTES, shape, width) + data


def _split(file: memoryview, where: str) -> tuple[str, memoryview]:
    start = len(_MAGIC) + 2
    size = _LENGTHS.get(file[len(_MAGIC)]) if len(file) > start and file[: len(_MAGIC)] == _MAGIC else None
    if size is None:
        _refuse(where, "it is none of the versions 1 to 3 of that format")
    try:
        [length] = size.unpack_from(file, start)
    except struct.error:
        _refuse(where, "it ends within its header")
    end = start + size.size + length
    if length > _MOST_HEADER_BYTES:
        _refuse(where, f"its header has {length:,} bytes, more than {_MOST_HEADER_BYTES:,}")
    if end > len(file):
        _refuse(where, "it ends within its header")
    return str(file[start + size.size : end], "utf-8", "replace"), file[end:]


def _read_header(header: str, where: str) -> tuple[str, bool, tuple[int, ...]]:
    text = header.strip()
    members, position = {}, 1
    while found := _MEMBER.match(text, position):
        members[found["name"]] = found
        position = found.end()
    if (
        text[:1] != "{"
        or text[position:].strip() != "}"
        or members.keys()
        != {
            "descr",
            "fortran_order",
            "shape",
        }
    ):
        _refuse(where, "its header is no dictionary of 'descr', 'fortran_order' and 'shape'")
    descr, order, shape = members["descr"], members["fortran_order"], members["shape"]
    if descr["list"] is not None:
        raise InvalidInputError(
            f"{where} is a structured NumPy array, with a type for each field. Send an array of one type, "
            "or each field as an input of its own."
        )
    if descr["text"] is None or order["flag"] is None or shape["shape"] is None:
        _refuse(where, "its header has members of other types than NumPy writes")
    return descr["text"], order["flag"] == "True", _read_axes(shape["shape"], where)


def _read_axes(text: str, where: str) -> tuple[int, ...]:
    axes = [axis.strip().removesuffix("L") for axis in text.split(",")]
    if axes and not axes[-1]:
        axes.pop()
    if not all(axis.isascii() and axis.isdigit() and len(axis) < 20 for axis in axes):
        _refuse(where, "its shape is none")
    if len(axes) > MOST_AXES:
        _refuse(where, f"it has {len(axes)} axes, more than {MOST_AXES}")
    return tuple(map(int, axes))


def _read_type(descr: str, where: str) -> tuple[Datatype, str]:
    order, code = descr[:1], descr[1:]
    if code.startswith("O"):
        raise InvalidInputError(
            f"{where} is a NumPy array of Python objects, which would have to be unpickled. Send "
            'an array of numbers, booleans or text, such as x.astype("float32") or x.astype("str").'
        )
    if _STRINGS.fullmatch(descr):
        return Datatype.BYTES, descr
    if order not in ("<", ">", "|") or code not in _DATATYPES:
        raise InvalidInputError(
            f"{where} is a NumPy array of the type {descr[:40]!r}, which no input has. Send numbers (8 to 64 "
            'bits), booleans or text, such as x.astype("float32"); types that NumPy lacks, such as '
            "bfloat16, as JSON numbers or a raw tensor."
        )
    return _DATATYPES[code], descr if order == ">" and code[1] != "1" else ""


def _refuse(where: str, reason: str) -> NoReturn:
    raise InvalidInputError(
        f"{where}, a NumPy array, cannot be read: {reason}. Save it again with numpy.save."
    )
