"""Pictures are prepared as by each origin's own program, on photographs that scikit-learn ships."""

import json
import os
import subprocess
from io import BytesIO
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

from inferq.media.image import read_image
from inferq.models.preprocessing.image_processors import read_image_processor
from inferq.models.preprocessing.timm_config import read_timm_config
from inferq.models.repository.model_folder import load_model
from inferq.tensors.media_specs import ImagePreprocessing
from tests import picture_models
from tests.pictures import encode
from tests.unit.test_documents import ROOT

pytestmark = pytest.mark.timeout(600)  # the first of them may have to fetch the judges' environment

FP32 = np.dtype(np.float32)
PICTURES = {
    "china.png": load_sample_image("china.jpg"),
    "flower_high.png": np.rot90(load_sample_image("flower.jpg")),
    "small.png": load_sample_image("china.jpg")[100:277, 50:183],
}
SQUARE = {"height": 224, "width": 224}
PROCESSORS = {
    "vit": ("ViT", {}),
    "vit_wide": ("ViT", {"size": {"height": 96, "width": 160}, "resample": 3}),
    "deit": ("DeiT", {}),
    "clip": ("CLIP", {"size": {"shortest_edge": 224}, "crop_size": SQUARE}),
    "clip_large_crop": ("CLIP", {"size": {"shortest_edge": 149}, "crop_size": {"height": 200, "width": 151}}),
    "siglip": ("Siglip", {"size": SQUARE}),
    "mobilenet": ("MobileNetV2", {}),
    "bit": ("Bit", {"size": {"shortest_edge": 255}, "crop_size": {"height": 224, "width": 223}}),
    "convnext": ("ConvNext", {"size": {"shortest_edge": 224}, "crop_pct": 0.875, "resample": 3}),
    "convnext_large": ("ConvNext", {"size": {"shortest_edge": 384}, "crop_pct": 1.0, "resample": 2}),
    "levit": ("Levit", {"size": {"shortest_edge": 224}}),
    "mobilevit": ("MobileViT", {"resample": 2, "size": {"shortest_edge": 288}}),
    "not_rescaled": ("Beit", {"do_rescale": False, "do_normalize": False, "resample": 1}),
}
LETTERBOXES = {"yolo": [640, 640], "yolo_wide": [320, 512], "yolo_small": [64, 64]}


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """What the judges made of each picture in each case: by the names of both."""
    folder = tmp_path_factory.mktemp("judges")
    for name, pixels in PICTURES.items():
        (folder / name).write_bytes(encode(pixels))
    cases = [
        {
            "name": f"{name}-{picture}",
            "picture": picture,
            "judge": "processor",
            "kind": kind,
            "config": config,
        }
        for name, (kind, config) in PROCESSORS.items()
        for picture in PICTURES
    ] + [
        {"name": f"{name}-{picture}", "picture": picture, "judge": "letterbox", "size": size}
        for name, size in LETTERBOXES.items()
        for picture in PICTURES
    ]
    (folder / "cases.json").write_text(json.dumps(cases))
    script = Path(__file__).with_name("judges.py")
    command = [
        os.environ.get("UV", "uv"),
        "run",
        "--isolated",
        "--only-group",
        "judges",
        "python",
        str(script),
        str(folder),
    ]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return {case["name"]: np.load(folder / f"{case['name']}.npy") for case in cases}


def prepare(picture, steps):
    return read_image(encode(PICTURES[picture]), steps, FP32, None)[0]


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("name", PROCESSORS)
def test_huggingface_processors(expected, name, picture):
    kind, config = PROCESSORS[name]
    steps = read_image_processor({"image_processor_type": f"{kind}ImageProcessor"} | config, "NCHW")
    values, wanted = prepare(picture, steps), expected[f"{name}-{picture}"]
    assert values.shape == wanted.shape
    np.testing.assert_allclose(values, wanted, atol=2e-6 * max(1, np.abs(wanted).max()))


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("name", LETTERBOXES)
def test_letterbox_of_ultralytics(expected, name, picture):
    size = tuple(LETTERBOXES[name])
    steps = ImagePreprocessing(
        resize="letterbox", size=size, antialias=False, pad_color=(114,) * 3, scale=1 / 255
    )
    values, wanted = prepare(picture, steps), expected[f"{name}-{picture}"]
    assert values.shape == wanted.shape
    differences = np.abs(values - wanted) * 255
    assert differences.max() < 1.01  # of a pixel's 255 steps
    assert (differences > 0.01).mean() < 0.002


@pytest.mark.parametrize("picture", PICTURES)
def test_transforms_of_timm_and_torchvision(picture):
    """The judge is their documentation: Resize and CenterCrop of a Pillow image, ToTensor, Normalize."""
    config = {"input_size": [3, 224, 224], "crop_pct": 0.95, "interpolation": "bicubic"}
    image = Image.fromarray(np.ascontiguousarray(PICTURES[picture]))
    short = 235
    size = tuple(
        short if side == min(image.size) else int(short * side / min(image.size)) for side in image.size
    )
    image = image.resize(size, Image.Resampling.BICUBIC)
    left, top = round((size[0] - 224) / 2.0), round((size[1] - 224) / 2.0)
    pixels = np.asarray(image.crop((left, top, left + 224, top + 224)), np.float32) / 255
    wanted = (pixels - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    values = prepare(picture, read_timm_config(config, "NCHW"))
    np.testing.assert_allclose(values[0], wanted.transpose(2, 0, 1), atol=5e-6)


def test_graph_that_decodes_gives_what_onnxruntime_extensions_gives(tmp_path):
    from onnxruntime_extensions import get_library_path

    path = picture_models.write_color_mean(tmp_path / "inner", ["batch_size", 3, 224, 224]) / "model.onnx"
    folder = picture_models.write_decoding(tmp_path / "m", path)
    options = ort.SessionOptions()
    options.register_custom_ops_library(get_library_path())
    session = ort.InferenceSession(folder / "model.onnx", options)
    file = BytesIO()
    Image.fromarray(PICTURES["china.png"]).save(file, "JPEG")
    [wanted] = session.run(None, {"image": np.frombuffer(file.getvalue(), np.uint8)})
    model = load_model(folder)
    [got] = model.run(model.decode(file.getvalue()).inputs).values()
    assert np.array_equal(got, wanted)
