"""Arrays of the datatypes that NumPy lacks: floats as FP32, integers as INT8 and UINT8, which hold them.

So they are stacked, split, compared and shown like all others, and have their own bits only in raw tensors
and in ONNX Runtime's values. `narrow_types` does the same without NumPy.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from inferq.tensors.narrow_types import FORMATS, list_numbers
from inferq.tensors.signature import Datatype
from inferq.tensors.values import PACKED, Buffer

type _Array = npt.NDArray[Any]


def round_numbers(array: _Array, datatype: Datatype) -> _Array:
    """Returns floats as the nearest that there are of a datatype, as FP32.

    Args:
        array: Numbers within its range, FP64 or FP32.
        datatype: A float that NumPy lacks.
    """
    form = FORMATS[datatype]
    _, exponents = np.frexp(array)
    exponents = exponents - 1 - form.mantissa_bits
    if form.is_signed:
        exponents = np.maximum(exponents, form.least_exponent)
    with np.errstate(all="ignore"):  # of NaN and infinities
        rounded = np.ldexp(np.rint(np.ldexp(array.astype(np.float64), -exponents)), exponents)
        return rounded.astype(np.float32)


def widen(data: Buffer, datatype: Datatype, shape: Sequence[int]) -> _Array:
    """Returns the values of a raw tensor as an array."""
    if datatype is Datatype.BF16:
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32).reshape(shape)
    codes = np.frombuffer(data, np.uint8)
    if each := PACKED.get(datatype):
        bits = 8 // each
        offsets = np.arange(0, 8, bits, dtype=np.uint8)
        codes = (codes[:, None] >> offsets & (2**bits - 1)).reshape(-1)[: math.prod(shape)]
    if datatype.is_float:
        return np.take(_list_wide(datatype), codes).reshape(shape)
    low, high = datatype.limits
    if not low:
        return codes.reshape(shape)
    return np.where(codes > high, codes + np.uint8(256 + 2 * low), codes).view(np.int8).reshape(shape)


def narrow(array: _Array, datatype: Datatype) -> _Array:
    """Returns the codes of numbers, those that share bytes in one axis.

    Args:
        array: The numbers; of one that the datatype lacks the code is that of a neighbour.
        datatype: One that NumPy lacks.
    """
    if datatype is Datatype.BF16:
        codes = np.asarray(array, np.float32, order="C").view(np.uint32) >> 16
        is_lost = np.isnan(array) & (codes & 0x7F == 0)  # what makes it NaN may be in the other half
        return np.where(is_lost, codes | 0x40, codes).astype(np.uint16)
    codes = _find_codes(array, datatype) if datatype.is_float else array.view(np.uint8)
    if datatype not in PACKED:
        return codes
    each = PACKED[datatype]
    bits = 8 // each
    flat = np.zeros((-(-codes.size // each), each), np.uint8)
    flat.reshape(-1)[: codes.size] = codes.reshape(-1) & (2**bits - 1)
    packed: _Array = np.bitwise_or.reduce(flat << np.arange(0, 8, bits, dtype=np.uint8), axis=1)
    return packed


def _find_codes(array: _Array, datatype: Datatype) -> _Array:
    form, table = FORMATS[datatype], _list_wide(datatype)
    order, numbers = _sort_numbers(datatype)
    sizes = np.abs(array) if form.is_signed else array
    found = np.minimum(np.searchsorted(numbers, sizes), len(numbers) - 1)
    codes = order[found]
    is_negative = np.signbit(array)
    if form.is_signed:
        sign = np.uint8(2 ** (form.bits - 1))
        codes = np.where(is_negative, codes | sign, codes)
        if form.nan == sign:
            codes = np.where(codes == sign, 0, codes)
    if form.nan is not None:
        # one NaN in either sign, where there is room for two
        keeps_sign = np.isnan(table[-1]) and form.is_signed
        nan = np.where(is_negative, form.nan | 2 ** (form.bits - 1), form.nan) if keeps_sign else form.nan
        codes = np.where(np.isnan(array), nan, codes)
    return codes.astype(np.uint8)


@cache
def _list_wide(datatype: Datatype) -> _Array:
    return np.array(list_numbers(datatype), np.float32)


@cache
def _sort_numbers(datatype: Datatype) -> tuple[_Array, _Array]:
    """Returns the codes from 0 up that have a number, and these, which grow with them."""
    numbers = _list_wide(datatype)
    count = len(numbers) // 2 if FORMATS[datatype].is_signed else len(numbers)
    codes = np.arange(count, dtype=np.uint8)[~np.isnan(numbers[:count])]
    return codes, numbers[codes]
