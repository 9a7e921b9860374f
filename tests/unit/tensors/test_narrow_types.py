import math

import ml_dtypes
import numpy as np
import pytest

from inferq.tensors.narrow_types import FORMATS, read_numbers, write_numbers
from inferq.tensors.signature import Datatype
from tests.tensors import narrow_dtype, pack_array

NARROW = [datatype for datatype in Datatype if not datatype.is_in_numpy]
FLOATS = [*FORMATS]


def list_codes(datatype):
    """An array of each code that the datatype has."""
    bits = FORMATS[datatype].bits if datatype in FORMATS else int(datatype[-1])
    codes = np.arange(2**bits, dtype=np.uint16 if bits == 16 else np.uint8)
    return codes.view(narrow_dtype(datatype))


@pytest.mark.parametrize("datatype", NARROW)
def test_every_code_is_the_number_that_ml_dtypes_says(datatype):
    array = list_codes(datatype)
    found = read_numbers(datatype, pack_array(array), array.size)
    np.testing.assert_array_equal(np.array(found, np.float32), array.astype(np.float32))


@pytest.mark.parametrize("datatype", NARROW)
def test_every_number_gets_its_code_back(datatype):
    codes = list_codes(datatype)
    numbers = codes[np.isfinite(codes)].astype(np.float32) if datatype.is_float else codes.astype(np.float32)
    values = numbers.tolist() if datatype.is_float else numbers.astype(int).tolist()
    found = read_numbers(datatype, write_numbers(datatype, values), len(values))
    np.testing.assert_array_equal(np.array(found, np.float32), numbers)
    no_zero = ("UZ", "E8M0")  # without a sign
    assert datatype.endswith(no_zero) or [math.copysign(1, one) for one in found] == [
        math.copysign(1, one) for one in values
    ]


@pytest.mark.parametrize("datatype", FLOATS)
def test_floats_are_rounded_to_the_nearest_as_ml_dtypes_does(datatype):
    rng, (low, high) = np.random.default_rng(0), datatype.limits
    codes = list_codes(datatype)
    numbers = codes[np.isfinite(codes)].astype(np.float64)
    between = (numbers[:-1] + numbers[1:]) / 2
    values = np.concatenate([between, rng.normal(size=500) * 2.0 ** rng.integers(-12, 3, 500)])
    values = np.clip(np.abs(values) if low > 0 else values, low, high)
    found = read_numbers(datatype, write_numbers(datatype, values.tolist()), values.size)
    expected = values.astype(narrow_dtype(datatype)).astype(np.float32)
    np.testing.assert_array_equal(np.array(found, np.float32), expected)


@pytest.mark.parametrize("datatype", FLOATS)
def test_what_is_no_number_is_kept_where_the_datatype_has_it(datatype):
    for word in ("NaN", "Infinity", "-Infinity"):
        if word in datatype.non_finite_words:
            [found] = read_numbers(datatype, write_numbers(datatype, [float(word)]), 1)
            assert str(found) == str(float(word))
        else:
            with pytest.raises(OverflowError):
                write_numbers(datatype, [float(word)])


@pytest.mark.parametrize("datatype", NARROW)
def test_what_is_out_of_range_is_refused(datatype):
    with pytest.raises(OverflowError):
        write_numbers(datatype, [2 * int(datatype.limits[1])])


@pytest.mark.parametrize("datatype", FLOATS)
def test_limits_are_those_that_ml_dtypes_has(datatype):
    about = ml_dtypes.finfo(narrow_dtype(datatype))
    low = float(about.smallest_normal) if datatype is Datatype.FLOAT8E8M0 else float(about.min)
    assert datatype.limits == (low, float(about.max))
