import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest

from inferq.errors import InvalidModelError
from inferq.tensors.signature import Datatype, ModelDocument, Tensor


def document(*shapes: list[int]) -> ModelDocument:
    inputs = [Tensor(name=f"x{n}", datatype=Datatype.FP32, shape=shape) for n, shape in enumerate(shapes)]
    return ModelDocument(name="m", version="abc", versions=["abc"], inputs=inputs, outputs=[])


def test_a_document_survives_its_journey_through_json():
    original = document([-1, 4]).model_copy(
        update={"example": {"x0": [[1, 2.5, 3, 4]]}, "class_names": ["花"]}
    )
    assert ModelDocument.from_json(original.to_json()) == original


def test_a_document_with_fields_of_a_later_version_is_read():
    text = document([1]).to_json().replace(b"{", b'{"novelty": 1, ', 1)
    assert ModelDocument.from_json(text) == document([1])


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"name": 1}', b"\xff"])
def test_what_is_no_document_is_refused(text):
    with pytest.raises(InvalidModelError, match="cannot be read"):
        ModelDocument.from_json(text)


@pytest.mark.parametrize(
    ("shapes", "batched"),
    [
        ([[-1, 4]], True),
        ([[-1], [-1, 2]], True),
        ([[1, 4]], False),
        ([[-1], [3]], False),
        ([[]], False),
        ([], False),
    ],
)
def test_a_model_is_batched_if_every_input_has_a_dynamic_first_axis(shapes, batched):
    assert document(*shapes).batched is batched


@pytest.mark.parametrize("datatype", [datatype for datatype in Datatype if datatype.is_integer])
def test_the_limits_of_integers_are_those_of_numpy(datatype):
    info = np.iinfo(datatype.lower()) if datatype.is_in_numpy else ml_dtypes.iinfo(datatype.lower())
    assert datatype.limits == (info.min, info.max)


@pytest.mark.parametrize(("datatype", "dtype"), [("FP16", "f2"), ("FP32", "f4"), ("FP64", "f8")])
def test_the_limits_of_floats_are_those_of_numpy(datatype, dtype):
    info = np.finfo(dtype)
    assert Datatype(datatype).limits == (float(info.min), float(info.max))


def test_signatures_and_forms_need_neither_onnxruntime_nor_numpy_nor_orjson():
    code = (
        "import sys; sys.modules |= dict.fromkeys(('onnxruntime', 'numpy', 'orjson'));"
        "import inferq.tensors.forms, inferq.tensors.unknown_model;"
        "print(inferq.tensors.json_codec.write([float('nan')], non_finite='string'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "b'[\"NaN\"]'\n"
