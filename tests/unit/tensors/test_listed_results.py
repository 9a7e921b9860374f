import json

import numpy as np
import pytest

from inferq.errors import NotAcceptableError
from inferq.tensors.listed_results import read_listed_result
from inferq.tensors.signature import Datatype, Tensor
from tests.unit.tensors.arrays import make_numpy_array


def read(value, datatype=None, exact=(), shape=(-1,)):
    result = json.dumps({"outputs": {"y": value}}).encode()
    known = {"y": Tensor(name="y", datatype=datatype, shape=list(shape))} if datatype else {}
    return read_listed_result(result, known, exact)["y"]


@pytest.mark.parametrize(
    ("value", "datatype", "expected"),
    [
        ([[1, 2], [3, 4]], None, "INT64"),
        ([[1, 2], [3, 4]], Datatype.UINT8, "UINT8"),
        ([1, 2.5, None], None, "FP64"),
        ([1.5, "NaN", "-Infinity"], Datatype.FP32, "FP32"),
        (["NaN", None], None, "FP64"),
        ([True, False], None, "BOOL"),
        (["a", "é"], None, "BYTES"),
        ([["NaN"]], Datatype.BYTES, "BYTES"),
        (3, None, "INT64"),
        ([], Datatype.FP32, "FP32"),
    ],
)
def test_nested_arrays_become_the_tensor_that_they_describe(value, datatype, expected):
    raw = read(value, datatype)
    assert raw.datatype == expected
    assert raw.shape == np.array(value, object).shape
    listed = make_numpy_array(raw).tolist()
    flat, found = (np.array(one, object).reshape(-1).tolist() for one in (value, listed))
    assert [
        str(float(one if one is not None else "nan")) if raw.datatype.is_float else one for one in flat
    ] == [str(one) if raw.datatype.is_float else one for one in found]


@pytest.mark.parametrize(
    ("value", "shape", "expected"),
    [
        ([], [-1, 2], (0, 2)),
        ([[], []], [-1, -1, 3], (2, 0, 3)),
        ([], [-1], (0,)),
        ([[]], [-1, 2], (1, 0)),
        ([[1, 2]], [-1, -1, 3], (1, 2)),
    ],
)
def test_axes_below_an_empty_one_are_those_of_the_model(value, shape, expected):
    assert read(value, Datatype.FP32, shape=shape).shape == expected


@pytest.mark.parametrize(
    "value",
    [
        [{"a": 1}],
        {"a": 1},
        None,
        [[1], [2, 3]],
        [1, "a"],
        [True, 1],
        [2**64],
        [1.5, [1]],
    ],
)
def test_output_that_is_no_tensor_is_refused(value):
    if value is None:
        assert read(value).datatype == "FP64"
        return
    with pytest.raises(NotAcceptableError, match="The output 'y' is no array of one type and shape"):
        read(value)


@pytest.mark.parametrize(
    ("value", "datatype"),
    [([300], "UINT8"), ([1.5], "INT64"), ([1e300], "FP32"), ([1], "BOOL"), ([1], "BYTES")],
)
def test_value_that_the_datatype_does_not_have_is_refused(value, datatype):
    with pytest.raises(NotAcceptableError):
        read(value, Datatype(datatype))


@pytest.mark.parametrize(
    "result",
    [
        b'{"prediction":1}',
        b"[1]",
        b'{"outputs":{},"more":1}',
        b'{"outputs":[1]}',
        b"{",
        b'{"outputs":{"y":NaN}}',
    ],
)
def test_result_that_is_not_of_arrays_alone_is_refused(result):
    with pytest.raises(NotAcceptableError, match=r"The result is not"):
        read_listed_result(result, {})


@pytest.mark.parametrize("datatype", [None, Datatype.FP32])
def test_null_is_refused_where_it_would_pass_for_nan_though_it_may_be_an_infinity(datatype):
    for exact in (None, ["y"]):
        assert read([[1.5, "Infinity"]], datatype, exact).shape == (1, 2)
        with pytest.raises(NotAcceptableError, match=r"'y' has null, .* send data as arrays"):
            read([[1.5, None]], datatype, exact)
    assert np.isnan(make_numpy_array(read([None], datatype, ["x"]))).all()
