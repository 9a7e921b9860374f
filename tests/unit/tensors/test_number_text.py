import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferq.errors import InvalidInputError
from inferq.models.arrays import make_array
from inferq.tensors import number_text
from inferq.tensors.data_validator import DataValidator
from inferq.tensors.forms import read_inputs
from inferq.tensors.number_text import read_numbers
from inferq.tensors.signature import Datatype, ModelDocument, Tensor

NUMBERS = [one for one in Datatype if one.is_float or one.is_integer]
SHAPES = [[], [-1], [2], [-1, 2], [-1, -1], [2, -1, 3]]
SCALARS = st.one_of(
    st.integers(-3, 300),
    st.integers(),
    st.floats(),
    st.sampled_from([2**63, 2**64, 10**30, 65504, 65520, 3.5e38, 1e308, -0.0, 5e-324]),
)
TOKENS = st.one_of(
    SCALARS.map(json.dumps),
    st.sampled_from(
        ["1e5", "1E+2", "-0", "01", "1.", ".5", "+1", "1e999", "null", "true", '"NaN"', '"x"', "{}"]
    ),
)


@st.composite
def texts(draw):
    """JSON of nested arrays, mostly well shaped, sometimes of odd values, ragged or cut."""
    shape = draw(st.sampled_from([(), (1,), (2,), (3, 2), (2, 1, 3), (0,), (2, 0)]))
    values = draw(st.one_of(st.just(SCALARS.map(json.dumps)), st.just(TOKENS)))
    comma = draw(st.sampled_from([",", ", ", " ,\n"]))

    def write(axes):
        if not axes:
            return draw(values)
        length = axes[0] + draw(st.sampled_from([0] * 20 + [1]))
        return "[" + comma.join(write(axes[1:]) for _ in range(length)) + "]"

    return (write(shape) + draw(st.sampled_from([""] * 20 + [" ", "]", "x", "\0"]))).encode()


def read(text, validator, tensor):
    """The array that a text becomes, or the words of the refusal."""
    try:
        [value] = read_inputs(text, validator).values()
    except InvalidInputError as error:
        return error.message
    array = make_array(value, tensor)
    return array.dtype, array.shape, array.tobytes()


@given(
    texts(),
    st.sampled_from(list(Datatype)),
    st.sampled_from(SHAPES),
    st.sampled_from([None, 2]),
    st.sampled_from([0, 99]),
)
def test_numbers_are_read_as_by_the_parser(text, datatype, shape, max_rows, least_innermost):
    tensor = Tensor(name="x", datatype=datatype, shape=shape)
    document = ModelDocument(name="m", version="1", versions=["1"], inputs=[tensor], outputs=[])
    validator = DataValidator(document, max_rows)
    with pytest.MonkeyPatch.context() as patch, np.errstate(all="ignore"):
        expected = read(text, validator, tensor)
        patch.setattr("inferq.tensors.data_validator.LEAST_BYTES", 0)
        patch.setattr(number_text, "_LEAST_INNERMOST", least_innermost)
        assert read(text, validator, tensor) == expected


@pytest.mark.parametrize("datatype", NUMBERS)
def test_numbers_in_range_need_no_objects(datatype):
    low, high = datatype.limits
    if datatype is Datatype.FP32:
        low, high = -1e30, 1e30
    for width in (2, 64):
        tensor = read_numbers(json.dumps([[low, high] * width, [high, 1] * width]).encode(), datatype)
        assert tensor is not None
        assert tensor.shape == (2, 2 * width)


def test_ragged_arrays_that_promise_more_than_any_memory_are_left_to_the_parser():
    text = b"[[" + b"1," * 1_000_000 + b"1]" + b",1" * 1_000_000 + b"]"
    assert read_numbers(text, Datatype.FP32) is None


def test_numbers_are_parsed_where_the_fast_reader_is_not_installed(monkeypatch):
    monkeypatch.setattr(number_text, "simdjson", None)
    assert read_numbers(b"[1, 2]", Datatype.FP32) is None
