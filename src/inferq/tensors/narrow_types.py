"""Numbers of the datatypes that NumPy lacks: bfloat16, floats of 8 and 4 bits, integers of 4 and 2.

A float is sign, exponent and mantissa, as IEEE 754 has them; the formats differ in what is beside the
numbers (see ONNX's pages "Float stored in 8 bits" and "Float stored in 4 bits").
`models.narrow_arrays` does the same for arrays.
"""

import math
import struct
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from inferq.tensors.signature import Datatype
from inferq.tensors.values import PACKED, Buffer


class FloatFormat(NamedTuple):
    """How a float is written.

    Attributes:
        bits: How many it has.
        mantissa_bits: How many of them are its mantissa.
        bias: What is subtracted from the exponent.
        nan: The code of NaN that has the smallest number; None where there is none.
        is_signed: Whether its first bit is a sign.
    """

    bits: int
    mantissa_bits: int
    bias: int
    nan: int | None
    is_signed: bool = True

    @property
    def least_exponent(self) -> int:
        """By which power of two the numbers next to 0 differ."""
        return 1 - self.bias - self.mantissa_bits


FORMATS = {
    Datatype.BF16: FloatFormat(16, 7, 127, 0x7FC0),
    Datatype.FLOAT8E4M3FN: FloatFormat(8, 3, 7, 0x7F),
    Datatype.FLOAT8E4M3FNUZ: FloatFormat(8, 3, 8, 0x80),
    Datatype.FLOAT8E5M2: FloatFormat(8, 2, 15, 0x7E),
    Datatype.FLOAT8E5M2FNUZ: FloatFormat(8, 2, 16, 0x80),
    Datatype.FLOAT8E8M0: FloatFormat(8, 0, 127, 0xFF, is_signed=False),
    Datatype.FLOAT4E2M1: FloatFormat(4, 1, 1, None),
}


@cache
def list_numbers(datatype: Datatype) -> tuple[float, ...]:
    """Returns the number of each code of a float that has at most 8 bits."""
    return tuple(_decode(datatype, code) for code in range(2 ** FORMATS[datatype].bits))


def _decode(datatype: Datatype, code: int) -> float:
    form = FORMATS[datatype]
    if not form.is_signed:
        return math.nan if code == form.nan else math.ldexp(1.0, code - form.bias)
    sign = -1.0 if code >> (form.bits - 1) else 1.0
    magnitude = code & (2 ** (form.bits - 1) - 1)
    exponent, mantissa = magnitude >> form.mantissa_bits, magnitude & (2**form.mantissa_bits - 1)
    if sign < 0 and not magnitude and form.nan == code:
        return math.nan
    number = math.ldexp(mantissa, form.least_exponent)
    if exponent:
        number = math.ldexp(mantissa + 2**form.mantissa_bits, exponent - 1 + form.least_exponent)
    if number > datatype.limits[1]:
        has_infinity = "Infinity" in datatype.non_finite_words
        number = math.inf if has_infinity and not mantissa else math.nan
    return math.copysign(number, sign)


def read_numbers(datatype: Datatype, data: Buffer, count: int) -> list[Any]:
    """Returns the values of a raw tensor of one of these datatypes.

    Args:
        datatype: Theirs.
        data: Their codes.
        count: How many there are.
    """
    if datatype is Datatype.BF16:
        wide = bytearray(4 * count)  # the upper half of FP32
        wide[2::4], wide[3::4] = bytes(data)[::2], bytes(data)[1::2]
        return list(struct.unpack(f"<{count}f", wide))
    codes = unpack(data, datatype)[:count]
    if datatype.is_float:
        return [*map(list_numbers(datatype).__getitem__, codes)]
    low, high = datatype.limits
    return [code if code <= high else code + 2 * int(low) for code in codes]


def write_numbers(datatype: Datatype, values: Sequence[float]) -> bytes:
    """Returns values as a raw tensor has them, floats rounded to the nearest that there is.

    Raises:
        OverflowError: One is out of range.
        TypeError: One is no whole number, where the datatype wants it.
    """
    if datatype.is_float:
        codes = [encode_number(datatype, value) for value in values]
        return struct.pack(f"<{len(codes)}H", *codes) if datatype is Datatype.BF16 else pack(codes, datatype)
    low, high = datatype.limits
    for value in values:
        if type(value) is not int:
            raise TypeError("no whole number")
        if not low <= value <= high:
            raise OverflowError("out of range")
    return pack([int(value) % (int(high - low) + 1) for value in values], datatype)


def encode_number(datatype: Datatype, value: float) -> int:
    """Returns the code of a number, rounded to the nearest: of two to the even one, of FLOAT8E8M0 the larger.

    Raises:
        OverflowError: It is larger than the largest.
    """
    form, (low, high) = FORMATS[datatype], datatype.limits
    sign = 1 << (form.bits - 1) if form.is_signed and math.copysign(1.0, value) < 0 else 0
    if math.isnan(value):
        if form.nan is None:
            raise OverflowError("no NaN")
        has_both = form.nan < 1 << (form.bits - 1)
        return form.nan + (sign if has_both else 0)
    if math.isinf(value) and "Infinity" in datatype.non_finite_words:
        return sign | ((1 << (form.bits - 1)) - (1 << form.mantissa_bits))
    if not low <= value <= high:
        raise OverflowError("out of range")
    if not value:
        return 0 if form.nan == sign else sign
    number = abs(value)
    exponent = math.frexp(number)[1] - 1
    if not form.is_signed:  # powers of two alone
        return form.bias + exponent + int(math.ldexp(number, -exponent) >= 1.5)
    exponent = max(exponent - form.mantissa_bits, form.least_exponent)
    code: int = round(math.ldexp(number, -exponent))
    code += (exponent - form.least_exponent) * 2**form.mantissa_bits
    return code if not code and form.nan == sign else code | sign


def pack(codes: Sequence[int], datatype: Datatype) -> bytes:
    """Returns codes of at most 8 bits as they share bytes."""
    each = PACKED.get(datatype, 1)
    bits, padded = 8 // each, [*codes, *[0] * (-len(codes) % each)]
    return bytes(
        sum(code << (bits * index) for index, code in enumerate(padded[start : start + each]))
        for start in range(0, len(padded), each)
    )


def unpack(data: Buffer, datatype: Datatype) -> list[int]:
    """Returns the codes that share bytes, with those that fill up the last one."""
    each = PACKED.get(datatype, 1)
    bits = 8 // each
    mask = 2**bits - 1
    return [(byte >> (bits * index)) & mask for byte in bytes(data) for index in range(each)]
