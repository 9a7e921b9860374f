import pytest

from inferq.errors import InvalidModelError
from inferq.models.config import read_config
from inferq.models.preprocessing.image_table import read_image_table
from inferq.tensors.signature import Datatype, Tensor

FIXED = Tensor(name="x", datatype=Datatype.FP32, shape=[-1, 3, 32, 48])
OPEN = Tensor(name="x", datatype=Datatype.FP16, shape=[-1, -1, -1, 3])
PIXELS = Tensor(name="x", datatype=Datatype.UINT8, shape=[1, 1, 8, 8])
GREY = Tensor(name="x", datatype=Datatype.FP32, shape=[-1, 8, 8])
LENGTHS = Tensor(name="lengths", datatype=Datatype.INT64, shape=[-1])


def read(tmp_path, lines, *inputs):
    path = tmp_path / "model.toml"
    path.write_text("[image]\n" + lines)
    return read_image_table(read_config(path).image, list(inputs or [FIXED]))


def refuse(tmp_path, lines, *inputs):
    with pytest.raises(InvalidModelError) as caught:
        read(tmp_path, lines, *inputs)
    return caught.value.message


def test_what_the_signature_tells_need_not_be_written(tmp_path):
    steps = read(tmp_path, 'resize = "stretch"\nscale = 1').preprocessing
    assert (steps.size, steps.layout, steps.color) == ((32, 48), "NCHW", "RGB")
    assert (steps.mean, steps.std, steps.pad_color) == ((0.0,) * 3, (1.0,) * 3, (0,) * 3)
    grey = read(tmp_path, 'resize = "none"', PIXELS).preprocessing
    assert (grey.color, grey.scale, grey.mean) == ("grey", 1.0, (0.0,))


def test_all_keys(tmp_path):
    lines = """
        input = "x"
        resize = "letterbox"
        size = 64
        interpolation = "bilinear"
        antialias = false
        color = "BGR"
        background = [255, 255, 255]
        pad_color = [1, 2, 3]
        scale = "1/255"
        mean = [0.1, 0.2, 0.3]
        std = 0.5
        layout = "NHWC"
    """
    steps = read(tmp_path, lines, LENGTHS, OPEN).preprocessing
    assert steps.model_dump() == {
        "color": "BGR",
        "background": (255, 255, 255),
        "resize": "letterbox",
        "size": (64, 64),
        "interpolation": "bilinear",
        "antialias": False,
        "pad_color": (1, 2, 3),
        "crop": None,
        "crop_rounding": "even",
        "scale": 1 / 255,
        "mean": (0.1, 0.2, 0.3),
        "std": (0.5, 0.5, 0.5),
        "layout": "NHWC",
    }


def test_input_for_pictures_is_found_among_several(tmp_path):
    assert read(tmp_path, 'resize = "none"\nscale = 1', LENGTHS, FIXED).input == "x"
    assert "image.input is needed" in refuse(tmp_path, 'resize = "none"', LENGTHS, LENGTHS)


@pytest.mark.parametrize(
    ("lines", "inputs", "reason"),
    [
        ("scale = 1", [FIXED], "'image.resize' is not valid: Field required"),
        ('resize = "pad"', [FIXED], "'image.resize' is not valid"),
        ('resize = "none"\nsiz = 3', [FIXED], "'image.siz' is no key of [image] in a model.toml."),
        ('resize = "none"\nscale = true', [FIXED], "'image.scale' is not valid"),
        ('resize = "none"\nmean = [nan]', [FIXED], "'image.mean.0' is not valid"),
        ('resize = "none"\nstd = 0', [FIXED], "'image.std' is not valid"),
        ('resize = "stretch"\nsize = [1, 2, 3]', [FIXED], "'image.size' is not valid"),
        ('resize = "none"\nscale = 1\nsize = 3', [FIXED], "image.size has no use"),
        ('resize = "shortest"\nscale = 1\nsize = [3, 3]', [FIXED], "image.size must be one length"),
        ('resize = "shortest"\nscale = 1\nsize = 32', [FIXED], '"shortest" without a crop'),
        ('resize = "stretch"\nscale = 1', [OPEN], "image.size is needed"),
        ('resize = "stretch"\nscale = 1\nsize = 3', [FIXED], f"axis H of the input {FIXED} is 32"),
        ('resize = "none"\nscale = 1\ncolor = "grey"', [FIXED], "axis C of the input"),
        ('resize = "none"\nscale = 1\nlayout = "CHW"', [FIXED], "image.layout is 'CHW', but the input"),
        ('resize = "none"\nscale = 1\nmean = [1, 2]', [FIXED], "image.mean has 2 values, but there are 3"),
        ('resize = "none"', [FIXED], "image.scale is needed"),
        ('resize = "none"\nmean = 1', [PIXELS], "takes pixels as they are"),
        ('resize = "none"', [LENGTHS], "image.layout is needed"),
        ('resize = "none"\nlayout = "NHW"', [LENGTHS], "has 1 axes. Name each"),
        ('resize = "none"\ninput = "y"', [FIXED], "image.input is 'y', but the inputs are 'x'"),
        ('resize = "none"\nantialias = false\ninterpolation = "box"', [FIXED], "image.antialias = false"),
        ('resize = "letterbox"\nscale = 1\ncrop = 3', [FIXED], "image.crop has no use"),
        ('resize = "none"\nlayout = "NHWC"\nscale = 1', [FIXED], "image.color is needed"),
        ('resize = "none"\nlayout = "NHW"\ncolor = "RGB"\nscale = 1', [GREY], "layout 'NHW' has no axis"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(tmp_path, lines, inputs, reason):
    assert reason in refuse(tmp_path, lines, *inputs)
