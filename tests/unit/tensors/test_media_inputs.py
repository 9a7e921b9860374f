import tomllib

import pytest

from inferq.errors import InvalidInputError
from inferq.tensors.data_validator import DataValidator
from inferq.tensors.media_inputs import check_media_input, find_media_input
from inferq.tensors.media_specs import AudioSpec, ImageSpec
from inferq.tensors.signature import Datatype, ModelDocument, Tensor

JPEG, WAV = "image/jpeg", "audio/wav"


def make_document(*inputs, **fields):
    tensors = [Tensor(name=name, datatype=datatype, shape=shape) for name, datatype, shape in inputs]
    return ModelDocument(name="m", version="a", versions=["a"], inputs=tensors, outputs=[], **fields)


def explain(document, name=None, media_type=JPEG):
    with pytest.raises(InvalidInputError) as caught:
        check_media_input(document, name, media_type) if name else find_media_input(document, media_type)
    return caught.value.message


def test_file_goes_to_the_input_that_takes_its_kind():
    inputs = [("x", Datatype.FP32, [-1, 3, 8, 8])]
    document = make_document(*inputs, image=ImageSpec(source="model.toml", input="x"))
    assert find_media_input(document, JPEG) == "x"
    check_media_input(document, "x", "image/png")
    sound = make_document(("t", Datatype.FP32, [-1, -1]), audio=AudioSpec(source="model.toml", input="t"))
    assert find_media_input(sound, WAV) == "t"


def test_file_alone_is_refused_where_the_model_needs_more():
    spec = ImageSpec(source="model.toml", input="x")
    document = make_document(("x", Datatype.FP32, [-1, 3, 8, 8]), ("scale", Datatype.FP32, [-1]), image=spec)
    assert "'scale' too. Name each input." in explain(document)
    assert "takes no pictures for its input 'scale', but for 'x'." in explain(document, "scale")


@pytest.mark.parametrize(
    ("datatype", "shape", "expected"),
    [
        (
            Datatype.FP32,
            [-1, 3, 224, 160],
            {
                "size": [224, 160],
                "resize": "stretch",
                "layout": "NCHW",
                "color": "RGB",
                "scale": "1/255",
                "mean": [0.0] * 3,
                "std": [1.0] * 3,
            },
        ),
        (Datatype.UINT8, [1, -1, -1, 1], {"resize": "none", "layout": "NHWC", "color": "grey"}),
    ],
)
def test_nothing_is_guessed_but_the_lines_to_write_are_filled_in_from_the_signature(
    datatype, shape, expected
):
    message = explain(make_document(("x", datatype, shape)))
    assert "takes no pictures: nothing says how to prepare them for its input." in message
    assert "workers read it every INFERQ_MODELS_POLL_SECONDS" in message
    assert tomllib.loads(message[message.index("[image]") :]) == {"image": expected}


def test_lines_name_the_input_where_there_are_several():
    document = make_document(("scale", Datatype.FP32, [-1]), ("x", Datatype.FP32, [-1, 3, 8, 8]))
    assert 'input = "x"' in explain(document, "x")


def test_reason_found_at_the_load_is_told():
    document = make_document(("x", Datatype.FP32, [-1, 3, 8, 8]), image_problem="It flips pictures.")
    assert explain(document) == "The model 'm' takes no pictures: It flips pictures."


def test_model_that_is_not_for_pictures_says_what_it_takes():
    document = make_document(("features", Datatype.FP32, [-1, 4]))
    assert "Send its inputs as arrays: 'features' (FP32, shape [-1, 4])." in explain(document)
    assert "takes no sound. Send its inputs as arrays: 'features'" in explain(document, media_type=WAV)
    [features] = document.inputs
    document = make_document(optional_inputs=[features])
    assert "Send its inputs as arrays: 'features' (FP32, shape [-1, 4])." in explain(document)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [([-1, -1], {"sampling_rate": 16000}), ([-1, 2, -1], {"sampling_rate": 16000, "layout": "NCT"})],
)
def test_model_that_may_be_for_sound_is_told_the_lines_to_write(shape, expected):
    message = explain(make_document(("x", Datatype.FP32, shape)), media_type=WAV)
    assert tomllib.loads(message[message.index("[audio]") :]) == {"audio": expected}
    document = make_document(("x", Datatype.FP32, shape), ("rate", Datatype.INT64, []))
    assert 'input = "x"' in explain(document, "x", WAV)
    heard = make_document(
        ("x", Datatype.FP32, shape),
        ("y", Datatype.FP32, [1]),
        audio=AudioSpec(source="model.toml", input="x"),
    )
    assert explain(heard, "y", WAV) == "The model 'm' takes no sound for its input 'y', but for 'x'."


def test_name_of_a_file_in_place_of_the_file_is_told_what_to_send():
    spec = ImageSpec(source="model.toml", input="x")
    validator = DataValidator(make_document(("x", Datatype.FP32, [-1, 3, 8, 8]), image=spec))
    with pytest.raises(InvalidInputError, match="A file is sent as its bytes, not by its name"):
        validator.validate("cat.jpg")
