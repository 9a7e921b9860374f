import datetime
import json
from decimal import Decimal

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from inferq.client.encoding import widen_floats, write_json
from inferq.errors import InvalidInputError
from inferq.tensors import json_codec


@pytest.fixture(params=["with orjson", "without orjson"])
def writer(request, monkeypatch):
    if request.param == "without orjson":
        monkeypatch.setattr(json_codec, "orjson", None)


class Array:
    def __init__(self, values):
        self.values = values

    def tolist(self):
        return self.values


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ((1, [2.5, "x", True, None]), b'[1,[2.5,"x",true,null]]'),
        (Array([[1, 2]]), b"[[1,2]]"),
        ({"a": Array([1]), "b": [[2]]}, b'{"a":[1],"b":[[2]]}'),
        ({"a": np.array([1.5]), "b": {"c": np.int8(2)}}, b'{"a":[1.5],"b":{"c":2}}'),
        ([np.array([1, 2]), np.array([3, 4])], b"[[1,2],[3,4]]"),
        ([[np.float32(5.1), np.bool_(True), np.str_("x")]], b'[[5.1,true,"x"]]'),
        (np.array([[1.5]], dtype=np.longdouble), b"[[1.5]]"),
        (np.array([[1, 2], [3, 4]]).T, b"[[1,3],[2,4]]"),
        (np.array([1.5], dtype=">f4"), b"[1.5]"),
        ({"a": np.array(1.5), "b": [np.array(2, dtype="i1")]}, b'{"a":1.5,"b":[2]}'),
        (np.array(["a", "b"]), b'["a","b"]'),
        (np.ma.array([1.5, 2.5], mask=[False, True], dtype="f4"), b"[1.5,null]"),
        ([Decimal("3"), Decimal("3.0"), Decimal("0.1")], b"[3,3.0,0.1]"),
        ([pandas.NA, None], b"[null,null]"),
    ],
)
def test_what_users_hold_becomes_json(writer, value, written):
    assert write_json(value) == written


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, None])
def test_missing_numbers_become_null_and_infinities_words(writer, dtype):
    values = [[1.5, float("nan")], [float("inf"), float("-inf")]]
    value = values if dtype is None else np.array(values, dtype=dtype)
    assert write_json(value) == b'[[1.5,null],["Infinity","-Infinity"]]'
    assert write_json({"x": value[:1]}) == b'{"x":[[1.5,null]]}'


@pytest.mark.parametrize(("dtype", "width"), [(np.float16, 16), (np.float32, 32)])
def test_short_floats_are_written_as_their_own_shortest_decimals(writer, dtype, width):
    values = np.array([5.1, 0.1, -3.5, 1e-4, 12.25, 0.0], dtype=dtype)
    if width == 32:
        values = np.append(values, np.array([1e10, 1.1e-20, 16777217], dtype=dtype))
    assert json.loads(write_json(values)) == [float(str(value)) for value in values]


@given(arrays(np.float32, 8, elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_no_float_is_another_one_for_being_short(values):
    assert np.array_equal(widen_floats(values).astype(np.float32), values)


@given(st.floats(2**-20, 2**40, width=32))
def test_ordinary_floats_are_as_short_as_numpy_prints_them(value):
    assert widen_floats(np.float32(value)) == float(str(np.float32(value)))


def nested(axes):
    value = 1
    for _ in range(axes):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        object(),
        {1, 2},
        b"bytes",
        1j,
        datetime.date(2026, 1, 1),
        np.datetime64(5, "ns"),
        np.array([5], dtype="m8[ns]"),
        np.array([1j]),
        np.zeros(2, dtype=[("a", "f4"), ("b", "f4")]),
        pandas.DataFrame({"a": [1]}),
        nested(50_000),
        10**5000,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_cannot_say_is_refused(value):
    with pytest.raises(InvalidInputError):
        write_json([value])


def test_array_that_is_refused_is_named_with_what_it_is_of():
    with pytest.raises(InvalidInputError, match=r"got ndarray of datetime64\[D\]\. Convert it first"):
        write_json(np.array(["2026-01-01"], "M8[D]"))
