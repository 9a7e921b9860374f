import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferq.errors import InvalidInputError
from inferq.models.model import Model
from inferq.models.results.encoders import TensorEncoder
from inferq.tensors.data_validator import DataValidator
from inferq.tensors.signature import Datatype, ModelDocument
from inferq.tensors.unknown_model import check_unknown_model_data
from tests.tensors import narrow_dtype
from tests.unit.tensors.strategies import fitting, json_values, make_document, signatures

FLOWER = [5.1, 3.5, 1.4, 0.2]
FEATURES = ["sepal length", "sepal width", "petal length", "petal width"]


def decoder(document: ModelDocument) -> Model:
    return Model(document, None, TensorEncoder())


def refusal(document: ModelDocument, data: object, max_rows: int | None = None) -> str:
    with pytest.raises(InvalidInputError) as caught:
        DataValidator(document, max_rows).validate(data)
    caught.value.message.encode()
    return caught.value.message


IRIS = make_document(("FP32", [-1, 4]), feature_names=FEATURES, example=[FLOWER])


# --- properties


def wrong_values(datatype: Datatype) -> list[object]:
    wrong: list[object] = [None, {}, {"a": 1}, [], [1], 10**400]
    if datatype is not Datatype.BOOL:
        wrong += [True]
    if datatype.non_finite_words:
        wrong.remove(None)
    elif datatype is not Datatype.BYTES:
        wrong += ["NaN", math.nan, math.inf, -math.inf]
    if datatype is not Datatype.BYTES:
        wrong += ["1", "nan", "+Infinity", "", "\ud800"]
    if datatype in (Datatype.BOOL, Datatype.BYTES) or datatype.is_integer:
        wrong += [1.0, 0.5]
    if datatype.is_integer or datatype in (Datatype.FP16, Datatype.FP32):
        wrong += [datatype.limits[0] * 2 - 1, datatype.limits[1] * 2]
    return wrong


@st.composite
def mutated(draw: st.DrawFn) -> tuple[ModelDocument, Any]:
    """Valid data with one thing made wrong: a value, a length, or the depth."""
    document, data = draw(fitting(shortest=1))
    tensor = document.inputs[0]
    holder: list[Any] = [data]
    array, index = holder, 0
    depth = 0
    stop = draw(st.integers(0, len(tensor.shape)))
    while depth < stop:
        array, index = array[index], draw(st.integers(0, len(array[index]) - 1))
        depth += 1
    if depth == len(tensor.shape):
        array[index] = draw(st.sampled_from([*wrong_values(tensor.datatype), [array[index]]]))
    elif tensor.shape[depth] >= 0:
        array[index] = draw(st.sampled_from([array[index] + array[index][:1], array[index][1:], None, 0]))
    elif depth and len(array) > 1:  # ragged: longer than its neighbour
        array[index] = draw(st.sampled_from([array[index] + array[index][:1], [], {}]))
    else:
        array[index] = draw(st.sampled_from([{"0": 1}, None, 0]))
    return document, holder[0]


@given(fitting())
def test_data_that_fits_passes_and_decodes_to_the_same_numbers(case):
    document, data = case
    tensor = document.inputs[0]
    rows = DataValidator(document, max_rows=100).validate(data)
    [array] = decoder(document).decode(json.dumps(data).encode()).inputs.values()
    assert rows == (len(data) if tensor.shape[:1] == [-1] else 1)
    is_rounded = tensor.datatype.is_float and not tensor.datatype.is_in_numpy
    dtype = narrow_dtype(tensor.datatype) if is_rounded else array.dtype
    with np.errstate(all="ignore"):
        expected = np.array(data, dtype=float if is_rounded else dtype).astype(dtype).astype(array.dtype)
    np.testing.assert_array_equal(array, expected.reshape(array.shape))
    assert len(array.shape) == len(tensor.shape)
    written = list(np.shape(np.array(data, dtype=object)))
    assert list(array.shape) == written + [max(0, size) for size in tensor.shape[len(written) :]]


@given(mutated())
def test_data_with_one_thing_wrong_is_refused_by_validator_and_decoder(case):
    document, data = case
    refusal(document, data)
    with pytest.raises(InvalidInputError):
        decoder(document).decode(json.dumps(data).encode())


@given(signatures(), json_values)
def test_validator_and_decoder_agree_about_any_json(document, data):
    text = json.dumps(data).encode()

    def accepts(check: Any, argument: object) -> bool:
        try:
            check(argument)
        except InvalidInputError:
            return False
        return True

    validated = accepts(DataValidator(document).validate, json.loads(text))
    assert validated == accepts(decoder(document).decode, text)


# --- what the messages say


def test_a_wrong_number_of_features_names_both_numbers_and_the_features():
    message = refusal(IRIS, [FLOWER, FLOWER[:3]])
    assert "data[1] has 3 values" in message
    assert "expects 4 (sepal length, sepal width, petal length, petal width)" in message
    assert "An example of data: [[5.1, 3.5, 1.4, 0.2]]" in message


def test_a_single_row_without_its_brackets_is_told_what_is_expected():
    message = refusal(IRIS, FLOWER)
    assert "data[0] must be an array of 4 values" in message
    assert "got the number 5.1" in message


def test_a_wrong_value_is_located_by_row_column_and_feature():
    assert 'data[1][2] (petal length) must be a number, null or "NaN" (FP32), got true' in refusal(
        IRIS, [FLOWER, [1, None, True, 4]]
    )


def test_a_number_too_large_for_the_datatype_is_told_its_range():
    assert "between -65504 and 65504 (FP16), got the number 70000" in refusal(
        make_document(("FP16", [-1])), [70000]
    )


def test_a_whole_number_written_as_a_float_is_refused_with_the_remedy():
    assert "got the number 3.0. Write it without a decimal point" in refusal(
        make_document(("INT64", [-1])), [3.0]
    )


def test_too_many_rows_name_the_limit_and_its_setting():
    message = refusal(IRIS, [FLOWER] * 3, max_rows=2)
    assert "data has 3 rows" in message
    assert "at most 2 (INFERQ_MAX_ROWS)" in message


def test_a_ragged_row_is_located():
    assert "data[0][1] has 1 values, but others have 2" in refusal(
        make_document(("FP32", [-1, -1, -1])), [[[1, 2], [1]]]
    )


def test_feature_names_fix_the_length_of_a_dynamic_last_axis():
    document = make_document(("FP32", [-1, -1]), feature_names=["a", "b"])
    assert DataValidator(document).validate([[1, 2]]) == 1
    assert "expects 2 (a, b)" in refusal(document, [[1, 2, 3]])


def test_half_a_surrogate_pair_is_refused_inside_and_outside_of_arrays():
    for shape, data in (([], "\ud800"), ([-1], ["a", "\ud800"])):
        assert "surrogate" in refusal(make_document(("BYTES", shape)), data)
    with pytest.raises(InvalidInputError, match="surrogate"):
        check_unknown_model_data(["\ud800"])


def test_values_that_python_cannot_print_or_encode_are_still_described():
    assert "more than 128 bits" in refusal(make_document(("INT64", [1])), [10**5000])
    assert '"?"' in refusal(make_document(("INT64", [1])), ["\ud800"])
    assert "…" in refusal(make_document(("INT64", [1])), ["a" * 1000])


# --- several inputs


TWO = make_document(("FP32", [-1, 2]), ("INT64", [-1]))


def test_named_inputs_of_equal_rows_pass():
    assert DataValidator(TWO).validate({"x1": [1, 2, 3], "x0": [[1, 2]] * 3}) == 3


def test_a_single_input_may_be_named():
    assert DataValidator(IRIS).validate({"x0": [FLOWER]}) == 1


def test_an_array_for_several_inputs_lists_their_names():
    assert "data must be an object with the inputs 'x0' (FP32, shape [-1, 2]), 'x1'" in refusal(TWO, [[1, 2]])


def test_a_missing_input_is_named():
    assert "data lacks the input 'x1'" in refusal(TWO, {"x0": [[1, 2]]})


def test_an_unknown_input_is_named():
    assert 'data names "x2", which is no input' in refusal(TWO, {"x0": [[1, 2]], "x1": [1], "x2": 1})


def test_inputs_with_different_rows_are_counted():
    assert "'x0' has 1, 'x1' has 2" in refusal(TWO, {"x0": [[1, 2]], "x1": [1, 2]})


def test_a_wrong_value_is_located_by_its_input():
    assert 'data["x0"][0][1] must be a number' in refusal(TWO, {"x0": [[1, "a"]], "x1": [1]})


def test_a_model_with_a_fixed_batch_counts_one_row():
    assert DataValidator(make_document(("FP32", [2, 1])), max_rows=2).validate([[1], [2]]) == 1
