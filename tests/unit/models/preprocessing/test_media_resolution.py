import base64
import json
import sys

import numpy as np
import orjson
import pytest

from inferq.errors import InvalidInputError, InvalidModelError
from inferq.models.repository.model_folder import load_model
from inferq.tensors.envelope import read_envelope
from tests import picture_models
from tests.onnx_models import UINT8
from tests.pictures import encode, make_gradient
from tests.wav_files import make_wav

RED = encode(np.full((4, 4, 3), (255, 0, 0)))


def predict(folder, file):
    """What `GET /job/{id}` shows of the result for a file."""
    model = load_model(folder)
    head = read_envelope(model.predict_together([model.decode(file)])[0]).head
    return head["result"] if "result" in head else head["outputs"]


def read_array(folder, file):
    """The values of the only output, and its shape."""
    model = load_model(folder)
    envelope = read_envelope(model.predict_together([model.decode(file)])[0])
    [output] = envelope.head["outputs"]
    dtype = {"FP32": "<f4", "UINT8": "u1"}[output["datatype"]]
    return np.frombuffer(envelope.data, dtype).reshape(output["shape"])


def refuse(folder, file=RED):
    with pytest.raises(InvalidInputError) as caught:
        load_model(folder).decode(file)
    return caught.value.message


def test_nothing_known_is_refused_with_the_lines_to_write(tmp_path):
    folder = picture_models.write_color_mean(tmp_path / "m", ["n", 3, 8, 8])
    assert load_model(folder).document.image is None
    message = refuse(folder)
    assert "[image]\nsize = [8, 8]" in message
    (folder / "model.toml").write_text(message[message.index("[image]") :])
    assert load_model(folder).document.image.source == "model.toml"
    assert predict(folder, RED)[0]["shape"] == [1, 3]


def test_table_of_model_toml_says_how(tmp_path):
    folder = picture_models.write_color_mean(tmp_path / "m", ["n", 3, 8, 8])
    (folder / "model.toml").write_text(
        'class_names = ["red", "green", "blue"]\nactivation = "softmax"\n'
        '[image]\nresize = "stretch"\nscale = "1/255"\nmean = 0.5\nstd = 0.25'
    )
    document = load_model(folder).document
    assert document.image.model_dump()["preprocessing"]["size"] == (8, 8)
    assert document.activation == "softmax"
    result = predict(folder, RED)
    assert result["class_name"] == "red"
    logits = np.array([2.0, -2.0, -2.0])
    np.testing.assert_allclose(result["probabilities"], np.exp(logits) / np.exp(logits).sum(), atol=1e-6)


def test_huggingface_files_beside_it_say_how_and_name_the_classes(tmp_path):
    folder = picture_models.write_color_mean(tmp_path / "m", ["n", "channels", "height", "width"])
    picture_models.write_processor(folder)
    picture_models.write_labels(folder, ["red", "green", "blue"])
    document = load_model(folder).document
    assert document.image.source == "preprocessor_config.json"
    assert document.image.preprocessing.scale == pytest.approx(1 / 255)
    assert (document.class_names, document.activation) == (["red", "green", "blue"], "softmax")
    assert document.sample_shape == {"pixel_values": [1, 3, 8, 8]}  # which lets jobs share a run
    assert predict(folder, RED)["class_name"] == "red"


def test_model_with_an_example_is_tried_with_that(tmp_path):
    folder = picture_models.write_color_mean(tmp_path / "m", ["n", 3, "height", "width"])
    picture_models.write_processor(folder)
    assert load_model(folder).document.sample_shape == {"pixel_values": [1, 3, 8, 8]}
    (folder / "model.toml").write_text("example = [[[[1]], [[2]], [[3]]]]")
    assert load_model(folder).document.sample_shape is None
    picture_models.write_processor(folder, size={"height": 4000, "width": 4000})
    (folder / "model.toml").unlink()
    assert load_model(folder).document.sample_shape is None  # too long for JSON


def test_processor_for_sound_is_no_reason(tmp_path):
    folder = picture_models.write_identity(tmp_path / "m", ["n", 1, 80, "frames"])
    picture_models.write_processor(folder, image_processor_type=None, sampling_rate=16_000)
    assert load_model(folder).document.image_problem == ""


def test_huggingface_key_that_is_not_known_is_a_reason_and_arrays_are_still_taken(tmp_path):
    folder = picture_models.write_color_mean(tmp_path / "m")
    picture_models.write_processor(folder, do_thumbnail=True)
    model = load_model(folder)
    assert model.document.image is None
    assert "preprocessor_config.json cannot be followed: it has 'do_thumbnail' (True)" in refuse(folder)
    data = orjson.dumps(np.zeros((1, 3, 2, 2)).tolist())
    assert model.predict_together([model.decode(data)]) == [b'{"outputs":{"logits":[[0.0,0.0,0.0]]}}']


def test_table_of_model_toml_comes_before_the_files_beside_it(tmp_path):
    folder = picture_models.write_color_mean(tmp_path / "m")
    picture_models.write_processor(folder, do_thumbnail=True)
    (folder / "model.toml").write_text('[image]\nresize = "none"\nscale = 1')
    document = load_model(folder).document
    assert (document.image.source, document.image_problem) == ("model.toml", "")


@pytest.mark.parametrize("text", ["{", "[]", "\udcff"])
def test_file_that_is_no_json_object_is_a_reason(tmp_path, text):
    folder = picture_models.write_color_mean(tmp_path / "m")
    (folder / "preprocessor_config.json").write_bytes(text.encode(errors="surrogateescape"))
    assert "preprocessor_config.json cannot be followed" in load_model(folder).document.image_problem


def test_class_names_that_do_not_fit_the_outputs_are_left_out(tmp_path):
    folder = picture_models.write_color_mean(tmp_path / "m")
    picture_models.write_labels(folder, ["cat", "dog"])
    assert load_model(folder).document.class_names is None


@pytest.mark.parametrize(
    "keys", [{"architectures": ["ViTForMaskedImageModeling"]}, {"problem_type": "multi_label_classification"}]
)
def test_only_a_classifier_of_one_class_gets_names(tmp_path, keys):
    folder = picture_models.write_color_mean(tmp_path / "m")
    picture_models.write_labels(folder, ["red", "green", "blue"], **keys)
    assert load_model(folder).document.class_names is None


def test_timm_config_says_how(tmp_path):
    folder = picture_models.write_color_mean(tmp_path / "m", ["n", 3, 8, 8], name="x")
    pretrained = {"input_size": [3, 8, 8], "crop_pct": 0.8, "interpolation": "bilinear", "mean": [0, 0, 0]}
    names = ["red", "green", "blue"]
    (folder / "config.json").write_text(json.dumps({"pretrained_cfg": pretrained, "label_names": names}))
    image = load_model(folder).document.image
    assert (image.source, image.preprocessing.size, image.preprocessing.crop) == (
        "config.json",
        (10,),
        (8, 8),
    )
    assert predict(folder, RED)["class_name"] == "red"


def test_input_of_another_size_than_the_processor_makes_is_a_reason(tmp_path):
    folder = picture_models.write_color_mean(tmp_path / "m", ["n", 3, 16, 16])
    picture_models.write_processor(folder)
    assert "axis H of the input" in load_model(folder).document.image_problem


def test_graph_that_decodes_gets_the_file_as_it_is(tmp_path):
    path = picture_models.write_color_mean(tmp_path / "inner", ["batch_size", 3, 224, 224]) / "model.onnx"
    folder = picture_models.write_decoding(tmp_path / "m", path)
    (folder / "model.toml").write_text('class_names = ["red", "green", "blue"]\nbatch = true')
    model = load_model(folder)
    assert model.document.image.model_dump() == {"source": "graph", "input": "image", "preprocessing": None}
    assert not model.document.batched  # its axis counts bytes
    model.warm_up()
    assert model.run(model.make_sample().inputs)["probabilities"].shape == (1, 3)
    red = encode(np.full((300, 300, 3), (255, 0, 0)))
    assert predict(folder, red)["class_name"] == "red"
    assert predict(folder, encode(np.full((300, 400, 3), (0, 0, 255)), "JPEG"))["class_name"] == "blue"


def test_graph_that_decodes_needs_the_extra_and_says_so(tmp_path, monkeypatch):
    path = picture_models.write_color_mean(tmp_path / "inner", ["batch_size", 3, 224, 224]) / "model.onnx"
    folder = picture_models.write_decoding(tmp_path / "m", path)
    monkeypatch.setitem(sys.modules, "onnxruntime_extensions", None)
    with pytest.raises(InvalidModelError, match="pip install 'inferq\\[extensions\\]'"):
        load_model(folder)


def test_graph_that_decodes_is_kept_from_pictures_of_too_many_pixels(tmp_path):
    folder = picture_models.write_identity(tmp_path / "m", ["num_bytes"], UINT8)
    assert np.array_equal(read_array(folder, RED), np.frombuffer(RED, np.uint8))
    model = load_model(folder, max_image_pixels=10)
    with pytest.raises(InvalidInputError, match="at most 10"):
        model.decode(RED)


def test_pictures_in_json_are_taken_too(tmp_path):
    folder = picture_models.write_color_mean(tmp_path / "m", ["n", 3, "h", "w"])
    (folder / "model.toml").write_text('[image]\nresize = "none"\nscale = 1')
    model = load_model(folder)
    url = b"data:image/png;base64," + base64.b64encode(RED)
    assert model.predict_together([model.decode(b'"' + url + b'"')]) == [
        b'{"outputs":{"logits":[[255.0,0.0,0.0]]}}'
    ]


def test_picture_that_does_not_fit_and_is_not_resized_is_refused(tmp_path):
    folder = picture_models.write_identity(tmp_path / "m", ["n", 3, 8, 8])
    (folder / "model.toml").write_text('[image]\nresize = "none"\nscale = 1')
    assert "shape [1, 3, 4, 4], but the input is 'x' (FP32, shape [-1, 3, 8, 8])" in refuse(folder)


def test_pictures_of_several_jobs_share_a_run(tmp_path):
    folder = picture_models.write_color_mean(tmp_path / "m", ["n", 3, 8, 8])
    picture_models.write_processor(folder)
    picture_models.write_labels(folder, ["red", "green", "blue"])
    model = load_model(folder)
    jobs = [model.decode(RED), model.decode(encode(np.full((9, 5, 3), (0, 255, 0))))]
    assert model.make_sharing_key(jobs[0]) == model.make_sharing_key(jobs[1])
    results = [read_envelope(result).head["result"] for result in model.predict_together(jobs)]
    assert [result["class_name"] for result in results] == ["red", "green"]


def test_sound_becomes_floats_at_the_rate_of_the_model(tmp_path):
    folder = picture_models.write_identity(tmp_path / "m", ["n", "samples"])
    (folder / "model.toml").write_text("[audio]\nsampling_rate = 8000")
    values = read_array(folder, make_wav(np.array([[0, 16384], [-32768, 0]]), 8000))
    assert values.tolist() == [[0.25, -0.5]]
    assert read_array(folder, make_wav(np.zeros((441, 1)), 44_100)).shape == (1, 80)
    assert "takes no pictures" in refuse(folder)


def test_sound_needs_a_table(tmp_path):
    folder = picture_models.write_identity(tmp_path / "m", ["n", "samples"])
    assert "[audio]\nsampling_rate" in refuse(folder, make_wav(np.zeros((8, 1)), 8000))


def test_gradient_reaches_the_model_pixel_by_pixel(tmp_path):
    folder = picture_models.write_identity(tmp_path / "m", [1, "h", "w", 3], UINT8)
    (folder / "model.toml").write_text('[image]\nresize = "none"\ncolor = "BGR"')
    pixels = make_gradient(7, 5)
    assert np.array_equal(read_array(folder, encode(pixels)), pixels[np.newaxis, :, :, ::-1])
