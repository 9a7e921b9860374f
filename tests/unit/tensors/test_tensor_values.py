import json
import math
import struct

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from inferq.tensors.nested_arrays import nest
from inferq.tensors.signature import Datatype
from inferq.tensors.tensor_values import list_all_values, list_values
from inferq.tensors.values import RawTensor
from tests.unit.tensors.arrays import arrays_of_any_layout, make_raw_tensor


@given(arrays_of_any_layout())
def test_values_are_those_that_numpy_lists(array):
    raw = make_raw_tensor(array)
    nested = nest(list_all_values(raw), raw.shape)
    np.testing.assert_array_equal(np.array(nested, array.dtype).reshape(array.shape), array)
    assert np.array(nested).shape == array.shape or 0 in array.shape


@given(arrays.arrays("f4", 20, elements=st.floats(width=32, allow_subnormal=False, allow_nan=False)))
def test_floats_print_as_the_same_short_decimals_as_a_worker_writes(array):
    found = list_values(Datatype.FP32, array.tobytes())
    written = json.loads(orjson.dumps(array, option=orjson.OPT_SERIALIZE_NUMPY))
    assert [value for value in found if math.isfinite(value)] == [
        value for value in written if value is not None
    ]


@given(arrays.arrays("f2", 20))
def test_halves_print_with_five_digits_at_most(array):
    found = list_values(Datatype.FP16, array.tobytes())
    np.testing.assert_array_equal(np.array(found, "f2"), array)
    assert found == [float(f"{value:.5g}") for value in found] or not np.isfinite(array).all()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.0, 3.4028234663852886e38, 1e-45, 0.1])
def test_special_floats_stay_what_they_are(value):
    data = struct.pack("<f", value)
    [found] = list_values(Datatype.FP32, data)
    assert struct.pack("<f", found) == data


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=3), min_size=2, max_size=2))
def test_strings_are_listed(texts):
    data = b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in texts)
    assert list_all_values(RawTensor(Datatype.BYTES, (2,), data)) == texts


@pytest.mark.parametrize(
    ("shape", "nested"), [((), 1), ((0,), []), ((2, 0), [[], []]), ((2, 0, 3), [[], []]), ((0, 2), [])]
)
def test_nothing_is_nested_behind_an_empty_axis(shape, nested):
    assert nest([] if 0 in shape else [1], shape) == nested
