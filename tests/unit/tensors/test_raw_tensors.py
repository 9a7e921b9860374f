import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferq.errors import InvalidInputError
from inferq.tensors.data_validator import DataValidator
from inferq.tensors.raw_tensors import check_tensor, name_numpy_type, read_strings
from inferq.tensors.signature import Datatype
from inferq.tensors.unknown_model import check_unknown_model_data
from inferq.tensors.values import MediaFile, RawTensor
from tests.unit.tensors.arrays import arrays_of_any_layout, make_raw_tensor
from tests.unit.tensors.strategies import make_document

IRIS = make_document(("FP32", [-1, 4]), feature_names=["a", "b", "c", "d"])


def pack(*texts: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def refusal(data: object, document=IRIS, max_rows: int | None = None) -> str:
    with pytest.raises(InvalidInputError) as caught:
        DataValidator(document, max_rows).validate(data)
    return caught.value.message


@given(arrays_of_any_layout(), st.data())
def test_tensor_of_the_datatype_and_a_fitting_shape_is_accepted(array, data):
    raw = make_raw_tensor(array)
    shape = [data.draw(st.sampled_from([-1, size])) for size in array.shape]
    document = make_document((raw.datatype, shape))
    assert DataValidator(document).validate_inputs(raw) == {"x0": raw}
    assert DataValidator(document).validate({"x0": raw}) == (array.shape[0] if shape[:1] == [-1] else 1)
    check_unknown_model_data(raw)


@pytest.mark.parametrize("datatype", [one for one in Datatype if one.is_in_numpy])
def test_remedy_names_a_type_that_numpy_knows(datatype):
    assert np.zeros(1).astype(name_numpy_type(datatype)).dtype.kind in "bufiU"


def test_other_datatype_is_refused_with_the_cast_that_helps():
    message = refusal(make_raw_tensor(np.zeros((1, 4))))
    assert message.startswith(
        "data is FP64, but model 'm' expects FP32. Nothing is converted silently: send "
    )
    assert 'x.astype("float32")' in message


def test_other_shape_is_refused_with_what_is_expected():
    message = refusal({"x0": make_raw_tensor(np.zeros((1, 3), "f4"))})
    assert message == (
        "data[\"x0\"] has the shape [1, 3], but model 'm' expects [-1, 4] (a, b, c, d), -1 for any length."
    )
    assert refusal(make_raw_tensor(np.zeros(4, "f4"))).endswith("Add the axis of rows, such as x[None].")


@pytest.mark.parametrize("size", [0, 15, 17])
def test_other_number_of_bytes_is_refused(size):
    assert f"data has {size} bytes, but FP32 of shape [1, 4] has 16." in refusal(
        RawTensor(Datatype.FP32, (1, 4), bytes(size))
    )


def test_more_rows_than_allowed_are_refused():
    assert "data has 3 rows, but one job may have at most 2" in refusal(
        make_raw_tensor(np.zeros((3, 4), "f4")), max_rows=2
    )


def test_inputs_need_the_same_number_of_rows_in_whatever_form():
    document = make_document(("FP32", [-1, 2]), ("FP32", [-1]))
    validator = DataValidator(document)
    rows = make_raw_tensor(np.zeros((2, 2), "f4"))
    assert validator.validate({"x0": rows, "x1": [1, 2]}) == 2
    assert "'x0' has 2, 'x1' has 1" in refusal({"x0": rows, "x1": [1]}, document)


def test_several_inputs_need_names():
    message = refusal(make_raw_tensor(np.zeros(2, "f4")), make_document(("FP32", [2]), ("FP32", [2])))
    assert "got a tensor (FP32, shape [2]). Name each input." in message
    assert "Send an .npz archive or multipart/form-data, with each input under its name." in message


def test_input_of_any_rank_takes_up_to_32_axes():
    document = make_document(("FP32", []))
    tensor = document.inputs[0].model_copy(update={"is_unranked": True})
    document = document.model_copy(update={"inputs": [tensor]})
    DataValidator(document).validate(make_raw_tensor(np.zeros([1] * 32, "f4")))
    assert "has 33 axes" in refusal(make_raw_tensor(np.zeros([1] * 33, "f4")), document)


def test_booleans_are_bytes_0_and_1():
    check_tensor(RawTensor(Datatype.BOOL, (2,), b"\0\1"), "x")
    with pytest.raises(InvalidInputError, match="x must hold bytes 0 and 1"):
        check_tensor(RawTensor(Datatype.BOOL, (2,), b"\0\2"), "x")


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=5), max_size=5))
def test_strings_stand_behind_their_lengths(texts):
    raw = RawTensor(Datatype.BYTES, (len(texts),), pack(*(text.encode() for text in texts)))
    check_tensor(raw, "x")
    assert read_strings(raw, "x") == texts


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (pack(b"a"), "does not hold 2 values"),
        (pack(b"a", b"b", b"c"), "does not hold 2 values"),
        (pack(b"a", b"b")[:-1], "does not hold 2 values"),
        (pack(b"a", b"\xc3\xa9")[:-1], "does not hold 2 values"),
        (pack(b"a") + b"\xff\xff\xff\xff", "does not hold 2 values"),
    ],
)
def test_strings_that_are_cut_are_refused(data, reason):
    with pytest.raises(InvalidInputError) as caught:
        check_tensor(RawTensor(Datatype.BYTES, (2,), data), "x")
    assert reason in caught.value.message


def test_strings_that_are_no_text_are_bytes_that_cannot_be_read_as_text():
    tensor = RawTensor(Datatype.BYTES, (2,), pack(b"a", b"\xff"))
    check_tensor(tensor, "x")
    with pytest.raises(InvalidInputError, match=r"not UTF-8, the 2\. in row-major order"):
        read_strings(tensor, "x")


def test_strings_of_a_shape_without_end_are_refused_at_once():
    with pytest.raises(InvalidInputError, match="does not hold 1,000,000,000,000 values"):
        check_tensor(RawTensor(Datatype.BYTES, (10**12,), b""), "x")


def test_file_for_a_model_that_takes_none_is_refused():
    message = refusal(MediaFile("image/jpeg", b""))
    assert message.startswith("The model 'm' takes no pictures.")
    check_unknown_model_data(MediaFile("image/jpeg", b""))


@pytest.mark.parametrize("shape", [(3,), (3, 10**18)])
def test_tensor_for_a_model_that_is_not_known_is_checked_by_itself(shape):
    with pytest.raises(InvalidInputError):
        check_unknown_model_data({"x": RawTensor(Datatype.FP32, shape, b"")})
    with pytest.raises(InvalidInputError, match="at most 2"):
        check_unknown_model_data(make_raw_tensor(np.zeros(3, "f4")), max_rows=2)
