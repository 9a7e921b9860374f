import numpy as np
import pytest

from inferq.errors import InvalidInputError
from inferq.media.bilinear import resize_bilinear
from inferq.media.image import read_image
from inferq.tensors.media_specs import ImagePreprocessing
from tests.pictures import encode, make_gradient

FP32 = np.dtype(np.float32)


def read(pixels, dtype=FP32, max_pixels=1_000_000, **steps):
    return read_image(encode(pixels), ImagePreprocessing(**steps), dtype, max_pixels)


def test_values_are_scaled_and_normalized_by_channel():
    pixels = make_gradient(5, 3)
    mean, std = (0.5, 0.25, 0.125), (0.5, 2.0, 0.25)
    values, _ = read(pixels, scale=1 / 255, mean=mean, std=std)
    expected = ((pixels / 255 - mean) / std).transpose(2, 0, 1)[np.newaxis]
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("layout", "shape"),
    [("NHWC", (1, 3, 5, 3)), ("CHW", (3, 3, 5)), ("HWC", (3, 5, 3)), ("NCHW", (1, 3, 3, 5))],
)
def test_axes_come_in_the_order_of_the_layout(layout, shape):
    values, _ = read(make_gradient(5, 3), layout=layout)
    assert values.shape == shape
    red = values.take(0, axis=layout.index("C")).reshape(3, 5)
    assert red[0].tolist() == [0, 1, 2, 3, 4]


def test_grey_needs_no_axis_of_channels():
    values, _ = read([[1, 2], [3, 4]], color="grey", layout="NHW", mean=(0,), std=(1,))
    assert values.tolist() == [[[1, 2], [3, 4]]]


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float64])
def test_other_datatypes_of_inputs(dtype):
    values, _ = read(make_gradient(4, 4), np.dtype(dtype))
    assert values.dtype == dtype
    assert np.array_equal(values[0, 0, 0], [0, 1, 2, 3])


def test_letterbox_fills_the_rest_and_says_where_the_picture_lies():
    values, frame = read(
        np.full((10, 40, 3), 50), resize="letterbox", size=(20, 20), pad_color=(114,) * 3, antialias=False
    )
    column = values[0, 0, :, 0].tolist()
    assert column == [114] * 7 + [50] * 5 + [114] * 8  # 7.5 on each side: the odd pixel goes below
    assert frame == (40, 10, 0.5, 0.5, 0, 7)


def test_shortest_edge_is_resized_and_the_middle_cropped():
    values, frame = read(make_gradient(90, 60), resize="shortest", size=(30,), crop=(20, 20))
    assert values.shape == (1, 3, 20, 20)
    assert frame == (90, 60, 0.5, 0.5, -12, -5)
    assert values[0, 0, 0, 0] == pytest.approx(12 / 0.5 + 0.5, abs=1)


@pytest.mark.parametrize(("rounding", "first"), [("down", 1), ("even", 2)])
def test_rest_of_a_crop_is_cut_as_the_origin_does(rounding, first):
    values, _ = read(make_gradient(7, 4), crop=(4, 4), crop_rounding=rounding)
    assert values[0, 0, 0].tolist() == [first, first + 1, first + 2, first + 3]


@pytest.mark.parametrize(("rounding", "row"), [("down", [0, 9, 9, 9]), ("even", [9, 9, 9, 0])])
def test_crop_larger_than_the_picture_is_filled(rounding, row):
    values, _ = read(np.full((4, 3, 3), 9), crop=(4, 4), crop_rounding=rounding)
    assert values[0, 0, 0].tolist() == row


def test_stretch_gives_the_size_whatever_the_proportions():
    values, frame = read(make_gradient(10, 30), resize="stretch", size=(6, 20), interpolation="bicubic")
    assert values.shape == (1, 3, 6, 20)
    assert frame == (10, 30, 2.0, 0.2, 0, 0)


def test_narrow_picture_must_not_grow_without_bound():
    with pytest.raises(InvalidInputError, match="at most 1,000,000"):
        read(make_gradient(1, 30_000), resize="shortest", size=(256,))


def test_bilinear_without_antialiasing_blends_the_four_nearest_pixels():
    assert resize_bilinear(np.array([[[0], [100]]], dtype=np.uint8), (4, 1))[0, :, 0].tolist() == [
        0,
        25,
        75,
        100,
    ]
    half = resize_bilinear(make_gradient(8, 8), (4, 4))
    assert half[0, :, 0].tolist() == [1, 3, 5, 7]  # half between 0 and 1 is rounded up
