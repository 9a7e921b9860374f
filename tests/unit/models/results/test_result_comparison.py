import math

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from inferq.errors import InvalidInputError
from inferq.models.arrays import make_jsonable
from inferq.models.results.result_comparison import compare_results
from inferq.models.results.tensor_result import write_tensors
from inferq.tensors.json_codec import write_arrays
from inferq.tensors.signature import Datatype, Tensor
from tests.unit.tensors.arrays import NUMPY_TYPES

DATATYPES = {np.dtype(code): Datatype(name) for name, code in NUMPY_TYPES.items()}
TOLERANCES = st.sampled_from([0, 1e-6, 1e-3, 0.5, 2])


def write_json(**outputs):
    return orjson.dumps({"outputs": outputs})


def write_array(array, *, is_json):
    if is_json:
        return write_arrays({"outputs": {"scores": make_jsonable(array, "string")}})
    tensor = Tensor(name="scores", datatype=DATATYPES[array.dtype], shape=list(array.shape))
    return write_tensors({"scores": array}, [tensor])


def read_back(form, array):
    """The values that JSON tells of an array: of one of FP32, other doubles than its own."""
    listed = np.array(orjson.loads(form)["outputs"]["scores"], np.object_).reshape(array.size)
    return np.array([float(value) if isinstance(value, str) else value for value in listed], np.longdouble)


def compare(primary, candidate, tolerance=1e-4):
    return compare_results(orjson.dumps(primary), orjson.dumps(candidate), tolerance)


@st.composite
def similar_arrays(draw):
    """Two arrays of one shape, of which the second has some other values."""
    dtype = np.dtype(draw(st.sampled_from(list(NUMPY_TYPES.values()))))
    first = draw(arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_dims=3, max_side=3)))
    second = first.copy()
    for index in draw(st.lists(st.integers(0, first.size - 1), max_size=3)):
        new = draw(arrays.arrays(dtype, ()))
        if dtype.kind == "f" and draw(st.booleans()):
            with np.errstate(all="ignore"):
                new = first.flat[index] * dtype.type(1 + draw(st.sampled_from([1e-7, 1e-5, 1e-2, 1])))
        second.flat[index] = new
    return first, second


@given(similar_arrays(), st.booleans(), st.booleans(), TOLERANCES)
def test_numbers_are_compared_as_numpy_compares_them(pair, is_json, is_other_json, tolerance):
    first, second = pair
    forms = write_array(first, is_json=is_json), write_array(second, is_json=is_other_json)
    found = compare_results(*forms, tolerance)
    a = read_back(forms[0], first) if is_json else first.reshape(-1).astype(np.longdouble)
    b = read_back(forms[1], second) if is_other_json else second.reshape(-1).astype(np.longdouble)
    with np.errstate(all="ignore"):
        differs = ~((a == b) | (np.isnan(a) & np.isnan(b)))
        is_finite = np.isfinite(a) & np.isfinite(b)
        difference = np.abs(a - b)
        scores = difference / np.maximum(np.maximum(np.abs(a), np.abs(b)), 1)
    scores[~is_finite] = np.inf
    scores[~differs] = 0
    if first.dtype.kind != "f":
        scores[differs] = np.inf
    edge = np.abs(scores - tolerance) < 1e-12
    if not edge.any():
        assert found.agrees == bool((scores <= tolerance).all())
    largest = float(difference[differs & is_finite].max(initial=0))
    assert found.absolute == pytest.approx(min(largest, np.finfo(float).max), rel=1e-9)
    assert bool(found.where) == bool(differs.any())
    if differs.any():
        index = tuple(map(int, found.where.removeprefix("scores").replace("[", "").split("]")[:-1]))
        worst = scores.reshape(first.shape)[index]
        assert worst == np.inf or float(worst) == pytest.approx(float(scores.max()), rel=1e-9)


@given(
    arrays.arrays(st.sampled_from([np.dtype("f4"), np.dtype("f8")]), arrays.array_shapes(max_side=3)),
    st.booleans(),
)
def test_a_result_agrees_with_itself_in_either_form(array, is_json):
    other = array.copy()
    form = write_array(array, is_json=is_json)
    assert compare_results(form, write_array(other, is_json=is_json), 0).agrees
    assert compare_results(write_array(array, is_json=True), write_array(array, is_json=False), 1e-6).agrees


def test_the_value_that_differs_most_is_named_with_both_values():
    found = compare_results(
        write_json(scores=[[0.1, 0.2], [0.3, 0.4]], sums=[1000.0]),
        write_json(scores=[[0.1, 0.2], [0.35, 0.4]], sums=[1001.0]),
        1e-4,
    )
    assert not found.agrees
    assert found.where == "scores[1][0]"
    assert (found.primary, found.candidate) == ("0.3", "0.35")
    assert found.absolute == 1
    assert found.relative == pytest.approx(0.05 / 0.35)


def test_whole_numbers_must_be_the_same_whatever_the_tolerance():
    assert not compare_results(write_json(token=[50000]), write_json(token=[50001]), 0.5).agrees
    assert compare_results(write_json(token=[50000.0]), write_json(token=[50001.0]), 0.5).agrees
    large = compare_results(write_json(token=[2**63 - 1]), write_json(token=[2**63 - 2]), 0)
    assert (large.agrees, large.absolute) == (False, 1)


def test_classes_and_probabilities_are_compared_each_in_its_way():
    primary = {"prediction": 0, "class_name": "setosa", "probabilities": [0.9, 0.1]}
    assert compare(primary, primary | {"probabilities": [0.90001, 0.09999]}).agrees
    found = compare(primary, primary | {"prediction": 1, "class_name": "virginica"})
    assert (found.agrees, found.where, found.absolute) == (False, "prediction", 1)
    found = compare(primary, primary | {"class_name": "virginica"})
    assert (found.where, found.primary, found.candidate) == ("class_name", "setosa", "virginica")


def test_boxes_are_compared_one_by_one_where_there_are_as_many():
    box = {"label": "cat", "score": 0.5, "box": [0.0, 0.0, 10.0, 20.0]}
    moved = box | {"box": [0.0, 0.0, 10.0, 21.0]}
    found = compare({"detections": [box, box]}, {"detections": [box, moved]})
    assert (found.where, found.absolute) == ("detections[1].box[3]", 1)
    found = compare({"detections": [box, box]}, {"detections": [box]})
    assert (found.agrees, found.where) == (False, "detections")
    assert (found.primary, found.candidate) == ("shape [2]", "shape [1]")


@pytest.mark.parametrize(
    ("primary", "candidate", "where"),
    [
        ({"a": 1.0, "b": 2.0}, {"a": 1.0}, "b"),
        ({"a": 1.0}, {"a": 1.0, "b": 2.0}, "b"),
        ([1.0, [2.0, 3.0]], [1.0, [2.0, 4.0]], "[1][1]"),
        ([[1.0], [2.0, 3.0]], [[1.0], [2.0]], "[1]"),
        ([1.0, None], [1.0, 2.0], "[1]"),
        ([1.0, "NaN"], [1.0, "Infinity"], "[1]"),
        (["a", "b"], ["a", "c"], "[1]"),
        (["a", 1.0], ["a", 2.0], "[1]"),
        ([{"a": 0.5}], [{"a": 0.6}], "[0].a"),
        ({"a": 1.0}, [1.0], ""),
        (None, 1.0, ""),
    ],
)
def test_what_differs_in_kind_length_or_text_does_not_agree(primary, candidate, where):
    found = compare(primary, candidate)
    assert (found.agrees, found.where) == (False, where)
    assert math.isfinite(found.absolute)
    assert compare(primary, primary).agrees


@pytest.mark.parametrize("value", [[1.0, "NaN"], [1.0, None], ["a", None], [], [[], []], [1, True], None])
def test_what_is_the_same_agrees(value):
    assert compare({"a": value, "b": 1.0}, {"b": 1.0, "a": value}, 0).agrees


def test_strings_of_tensors_are_compared_though_they_are_no_unicode():
    tensor = Tensor(name="text", datatype=Datatype.BYTES, shape=[2])
    one, other = (
        write_tensors({"text": np.array(texts, np.object_)}, [tensor]) for texts in (["a", "bc"], ["a", "bd"])
    )
    found = compare_results(one, other, 0)
    assert (found.where, found.primary, found.candidate) == ("text[1]", "bc", "bd")
    assert compare_results(one, one.replace(b"bc", b"b\xff"), 0).candidate == "b\ufffd"


def test_values_that_numpy_has_no_type_for_are_compared():
    tensor = Tensor(name="y", datatype=Datatype.BF16, shape=[2])
    one, other = (write_tensors({"y": np.array([1, y], np.float32)}, [tensor]) for y in (2.0, 2.5))
    found = compare_results(one, other, 0.1)
    assert (found.agrees, found.absolute, found.where) == (False, 0.5, "y[1]")


def test_what_is_shown_of_a_value_is_short():
    found = compare({"text": "a" * 1000}, {"text": "b" * 1000})
    assert len(found.primary) < 100


def test_a_damaged_result_is_refused():
    whole = write_array(np.zeros(3), is_json=False)
    with pytest.raises(InvalidInputError, match="promises"):
        compare_results(whole, whole[:-1], 0)
    with pytest.raises(InvalidInputError, match="not JSON"):
        compare_results(whole, b"{", 0)
