import numpy as np
import orjson
import pytest

from inferq.errors import InvalidModelError
from inferq.models.repository.model_folder import load_model
from inferq.tensors.envelope import read_envelope
from tests import picture_models
from tests.pictures import encode

WIDE = encode(np.full((50, 100, 3), 200), "JPEG")
CANDIDATES = np.zeros((1, 6, 8400), np.float32)
# x, y, width, height of places in the 32 × 32 input, scores of cat and dog
CANDIDATES[0, :, 10] = [16, 16, 8, 8, 0.9, 0.0]
CANDIDATES[0, :, 11] = [16.5, 16, 8, 8, 0.8, 0.1]  # the same cat
CANDIDATES[0, :, 12] = [16, 16, 8, 8, 0.0, 0.7]  # a dog in the same place
CANDIDATES[0, :, 13] = [4, 4, 8, 8, 0.3, 0.2]  # reaches over the edge of the picture
CANDIDATES[0, :, 14] = [20, 20, 4, 4, 0.25, 0.2]  # not above the threshold


def load(tmp_path, found=CANDIDATES, toml="", shape=(1, 3, 32, 32), **metadata):
    folder = picture_models.write_yolo(tmp_path / "m", found, picture_models.make_metadata(**metadata), shape)
    (folder / "model.toml").write_text(toml)
    return load_model(folder)


def detect(model, *files):
    results = model.predict_together([model.decode(file) for file in files])
    found = [read_envelope(result).head["result"]["boxes"] for result in results]
    return found[0] if len(files) == 1 else found


def test_boxes_are_given_in_the_pixels_of_the_picture(tmp_path):
    model = load(tmp_path)
    assert model.document.image.source == "metadata"
    assert model.document.class_names == ["cat", "dog"]
    assert model.document.detections.form == "candidates"
    boxes = detect(model, WIDE)
    assert [(box["label"], box["class_index"], round(box["score"], 4)) for box in boxes] == [
        ("cat", 0, 0.9),
        ("dog", 1, 0.7),
        ("cat", 0, 0.3),
    ]
    # 100 × 50 lies in 32 × 32 from y = 8 on, 0.32 times as large
    np.testing.assert_allclose(boxes[0]["box"], [37.5, 12.5, 62.5, 37.5], rtol=1e-5)
    np.testing.assert_allclose(boxes[2]["box"], [0, 0, 25, 0], atol=1e-5)


def test_thresholds_can_be_set(tmp_path):
    toml = "[detections]\nscore_threshold = 0.2\niou_threshold = 0.95\nmax_boxes = 4"
    assert [round(box["score"], 4) for box in detect(load(tmp_path, toml=toml), WIDE)] == [0.9, 0.8, 0.7, 0.3]


def test_arrays_give_boxes_in_the_pixels_of_the_input(tmp_path):
    model = load(tmp_path, shape=("n", 3, 32, 32))
    data = orjson.dumps(np.zeros((2, 3, 32, 32)).tolist())
    [result] = model.predict_together([model.decode(data)])
    both = orjson.loads(result)
    assert len(both) == 2
    np.testing.assert_allclose(both[1]["boxes"][0]["box"], [12, 12, 20, 20])


def test_pictures_of_several_jobs_keep_their_own_pixels(tmp_path):
    model = load(tmp_path, shape=("batch", 3, "height", "width"))
    wide, high = detect(model, WIDE, encode(np.zeros((64, 32, 3))))
    np.testing.assert_allclose(wide[0]["box"], [37.5, 12.5, 62.5, 37.5], rtol=1e-5)
    np.testing.assert_allclose(high[0]["box"], [8, 24, 24, 40], rtol=1e-5)


@pytest.mark.parametrize("metadata", [{"end2end": "True"}, {"args": "{'nms': True}"}])
def test_boxes_of_an_export_that_has_suppressed_them_are_taken_as_they_are(tmp_path, metadata):
    found = np.array([[[12, 12, 20, 20, 0.9, 1], [12, 12, 20, 20, 0.8, 1], [0, 0, 0, 0, 0, 0]]])
    model = load(tmp_path, found, **metadata)
    assert model.document.detections.form == "boxes"
    boxes = detect(model, WIDE)
    assert [box["label"] for box in boxes] == ["dog", "dog"]
    np.testing.assert_allclose(boxes[1]["box"], [37.5, 12.5, 62.5, 37.5], rtol=1e-5)


def test_classifier_names_its_classes(tmp_path):
    model = load(tmp_path, np.array([[0.2, 0.8]]), shape=(1, 3, 64, 64), task="classify", imgsz="[64, 64]")
    assert model.document.image.preprocessing.crop == (64, 64)
    assert model.document.activation is None
    result = read_envelope(model.predict_together([model.decode(WIDE)])[0]).head["result"]
    assert (result["class_name"], result["probabilities"]) == ("dog", pytest.approx([0.2, 0.8]))


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"task": "segment"}, "its task is 'segment'"),
        ({"names": "__import__('os')"}, "its 'names' cannot be read"),
        ({"names": "{1: 'cat', 2: 'dog'}"}, "no names of classes from 0 on"),
        ({"names": "{0: 'cat'}"}, "expected boxes as [n, 5, places]"),
    ],
)
def test_what_is_not_known_is_a_reason(tmp_path, metadata, reason):
    document = load(tmp_path, **metadata).document
    assert document.image is None
    assert reason in document.image_problem
    assert document.image_problem.startswith("The metadata of Ultralytics in the file cannot be followed: ")


def test_table_of_model_toml_says_how_pictures_are_prepared_and_the_metadata_what_is_found(tmp_path):
    document = load(tmp_path, toml='[image]\nresize = "stretch"\nscale = "1/255"').document
    assert (document.image.source, document.detections.source) == ("model.toml", "metadata")


def test_table_for_detections_needs_a_detector(tmp_path):
    folder = picture_models.write_color_mean(tmp_path / "m")
    (folder / "model.toml").write_text("[detections]")
    with pytest.raises(InvalidModelError, match="needs a detector"):
        load_model(folder)
