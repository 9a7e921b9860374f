import numpy as np
import pytest

from inferq.errors import ModelError
from inferq.media.geometry import Frame
from inferq.models.results.detection_encoder import DetectionEncoder, map_to_picture, suppress
from inferq.tensors.media_specs import DetectionSpec


def suppress_slowly(boxes, classes, threshold):
    """The definition: in order, a box stays unless one that has stayed, of its class, overlaps it."""
    kept = []
    for index, (box, kind) in enumerate(zip(boxes, classes, strict=True)):
        for other in kept:
            low, high = np.maximum(box[:2], boxes[other][:2]), np.minimum(box[2:], boxes[other][2:])
            shared = np.prod(np.maximum(high - low, 0))
            union = np.prod(box[2:] - box[:2]) + np.prod(boxes[other][2:] - boxes[other][:2]) - shared
            if kind == classes[other] and shared / union > threshold:
                break
        else:
            kept.append(index)
    return kept


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7, 1.0])
def test_boxes_of_one_class_that_overlap_are_left_out(threshold):
    rng = np.random.default_rng(3)
    corners = rng.uniform(0, 100, (200, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(5, 60, (200, 2))], axis=1)
    classes = rng.integers(0, 3, 200)
    expected = suppress_slowly(boxes, classes, threshold)
    assert suppress(boxes, classes, threshold, 1000) == expected
    assert suppress(boxes, classes, threshold, 3) == expected[:3]


def test_boxes_end_at_the_edges_of_the_picture():
    frame = Frame(100, 50, 0.5, 2.0, left=10, top=-4)
    boxes = np.array([[10.0, -4.0, 35.0, 46.0], [-99.0, -99.0, 999.0, 999.0]])
    assert map_to_picture(boxes, frame).tolist() == [[0, 0, 50, 25], [0, 0, 100, 50]]


def test_values_that_are_no_numbers_give_no_boxes():
    found = np.full((1, 5, 3), np.nan, np.float32)
    found[0, :, 0] = [np.inf, 1, 1, 1, 0.9]
    found[0, :, 1] = [1, 1, 1, 1, 0.5]
    spec = DetectionSpec(source="metadata", output="y", form="candidates")
    [result] = DetectionEncoder(["cat"], spec).encode({"y": found}, None)
    assert result == b'{"boxes":[{"box":[0.5,0.5,1.5,1.5],"score":0.5,"label":"cat","class_index":0}]}'


def test_class_without_a_name_has_none():
    spec = DetectionSpec(source="metadata", output="y", form="boxes")
    found = np.array([[[0, 0, 1, 1, 0.9, 7]]], np.float16)
    [result] = DetectionEncoder(["cat"], spec).encode({"y": found}, None)
    assert b'"label":null,"class_index":7' in result


@pytest.mark.parametrize(("shape", "rows"), [((1, 6, 9), None), ((1, 5), None), ((2, 5, 9), [1])])
def test_output_of_another_shape_is_the_models_fault(shape, rows):
    encoder = DetectionEncoder(["cat"], DetectionSpec(source="metadata", output="y", form="candidates"))
    with pytest.raises(ModelError, match="holds no boxes of 1 classes"):
        encoder.encode({"y": np.zeros(shape, np.float32)}, rows)
