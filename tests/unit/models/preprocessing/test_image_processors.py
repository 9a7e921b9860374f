import pytest

from inferq.errors import InvalidModelError
from inferq.models.preprocessing.image_processors import read_image_processor
from inferq.models.preprocessing.timm_config import read_timm_config

SQUARE = {"height": 224, "width": 224}
SHORT = {"size": {"shortest_edge": 224}}


def read(kind, **keys):
    return read_image_processor({"image_processor_type": f"{kind}ImageProcessor"} | keys, "NCHW")


def refuse(config, reader=read_image_processor):
    with pytest.raises(InvalidModelError) as caught:
        reader(config, "NCHW")
    return caught.value.message


@pytest.mark.parametrize(
    ("kind", "keys", "resize", "size", "crop"),
    [
        ("ViT", {"size": SQUARE}, "stretch", (224, 224), None),
        ("ViT", {"size": 384}, "stretch", (384, 384), None),
        ("DeiT", {"size": {"height": 256, "width": 256}}, "stretch", (256, 256), (224, 224)),
        ("CLIP", {"size": {"shortest_edge": 224}, "crop_size": SQUARE}, "shortest", (224,), (224, 224)),
        ("CLIP", {"size": 240, "do_center_crop": False}, "shortest", (240,), None),
        ("Beit", {"size": SQUARE, "do_center_crop": False}, "stretch", (224, 224), None),
        ("MobileNetV2", {}, "shortest", (256,), (224, 224)),
        ("ConvNext", SHORT | {"crop_pct": 0.875, "resample": 3}, "shortest", (256,), (224, 224)),
        ("ConvNext", {"size": {"shortest_edge": 384}, "resample": 3}, "stretch", (384, 384), None),
        ("Levit", SHORT, "shortest", (256,), (224, 224)),
        ("ViT", {"do_resize": False}, "none", None, None),
    ],
)  # fmt: skip
def test_sizes_follow_the_rules_of_each_class(kind, keys, resize, size, crop):
    steps = read(kind, **keys)
    assert (steps.resize, steps.size, steps.crop, steps.crop_rounding) == (resize, size, crop, "down")


def test_old_and_fast_classes_are_the_same():
    expected = read("ViT", size=SQUARE)
    assert (
        read_image_processor({"feature_extractor_type": "ViTFeatureExtractor", "size": 224}, "NCHW")
        == expected
    )
    assert (
        read_image_processor({"image_processor_type": "ViTImageProcessorFast", "size": SQUARE}, "NCHW")
        == expected
    )


def test_steps_can_be_switched_off():
    steps = read("ViT", do_normalize=False, do_rescale=False)
    assert (steps.scale, steps.mean, steps.std) == (1.0, (0.0,) * 3, (1.0,) * 3)
    mobile = read("MobileViT", resample=3)
    assert (mobile.color, mobile.std) == ("BGR", (1.0,) * 3)


def test_keys_without_effect_are_passed_over():
    keys = {"do_convert_rgb": True, "do_pad": False, "data_format": "channels_first", "processor_class": "X"}
    assert read("ViT", **keys, device=None) == read("ViT")


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"do_pad": True}, "'do_pad' (True)"),
        ({"rescale_offset": True}, "'rescale_offset' (True)"),
        ({"size": {"longest_edge": 224}}, "its 'size'"),
        ({"size": {"shortest_edge": 224, "longest_edge": 448}}, "its 'size'"),
        ({"size": "big"}, "its 'size' is 'big'"),
        ({"crop_pct": 0.9, "size": {"shortest_edge": 224}}, "'crop_pct', which is not known here of ViT"),
        ({"resample": 9}, "its 'resample' is 9"),
        ({"image_mean": [0.5, 0.5]}, "its 'image_mean'"),
        ({"image_std": [0.5, 0.0, 0.5]}, "its 'image_std'"),
        ({"rescale_factor": "1/255"}, "its 'rescale_factor'"),
        ({"do_resize": "yes"}, "its 'do_resize' is 'yes'"),
        ({"image_processor_type": "DonutImageProcessor"}, "'DonutImageProcessor' is no image processor"),
    ],
)
def test_what_is_not_known_is_refused_by_its_key(keys, reason):
    assert reason in refuse({"image_processor_type": "ViTImageProcessor"} | keys)


def test_file_without_a_class_must_say_all():
    config = {"do_resize": True, "size": SQUARE, "resample": 2, "do_center_crop": False}
    config |= {"do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": False}
    assert read_image_processor(config, "NHWC").layout == "NHWC"
    del config["rescale_factor"]
    assert "neither image_processor_type nor 'rescale_factor'" in refuse(config)


def test_timm_enlarges_and_crops():
    config = {"input_size": [3, 288, 288], "crop_pct": 0.95, "interpolation": "bicubic"}
    steps = read_timm_config(config, "NCHW")
    assert (steps.resize, steps.size, steps.crop, steps.crop_rounding) == (
        "shortest",
        (303,),
        (288, 288),
        "even",
    )
    assert steps.mean == (0.485, 0.456, 0.406)
    squashed = read_timm_config(config | {"crop_mode": "squash", "crop_pct": 1.0}, "NCHW")
    assert (squashed.resize, squashed.size) == ("stretch", (288, 288))


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"crop_mode": "border"}, "'crop_mode' is 'border'"),
        ({"input_size": [3, 224, 320]}, "'crop_mode' is 'center' for a picture of 224 × 320"),
        ({"input_size": [4, 224, 224]}, "'input_size'"),
        ({"interpolation": "random"}, "'interpolation' is 'random'"),
        ({"crop_pct": 0}, "'crop_pct'"),
        ({"mean": [0.5]}, "'mean'"),
        ({"std": [0.0, 1.0, 1.0]}, "'std'"),
    ],
)
def test_what_is_not_known_of_timm_is_refused(keys, reason):
    assert reason in refuse({"input_size": [3, 224, 224]} | keys, read_timm_config)


IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "do_normalize": True}


@pytest.mark.parametrize(
    ("config", "resize", "size", "crop"),
    [
        (
            {
                "feature_extractor_type": "ConvNextFeatureExtractor",
                "crop_pct": 0.875,
                "resample": 3,
                "size": 224,
            },
            *("shortest", (256,), (224, 224)),
        ),
        (
            {
                "image_processor_type": "ViTFeatureExtractor",
                "do_convert_rgb": None,
                "resample": 2,
                "size": 224,
            },
            *("stretch", (224, 224), None),
        ),
        (
            {"feature_extractor_type": "DeiTFeatureExtractor", "size": 256, "crop_size": 224, "resample": 3},
            *("stretch", (256, 256), (224, 224)),
        ),
        (
            {"feature_extractor_type": "CLIPFeatureExtractor", "size": 224, "crop_size": 224, "resample": 3},
            *("shortest", (224,), (224, 224)),
        ),
    ],
)
def test_files_of_old_feature_extractors_have_sizes_of_one_number(config, resize, size, crop):
    steps = read_image_processor(config | IMAGENET | {"do_resize": True}, "NCHW")
    assert (steps.resize, steps.size, steps.crop) == (resize, size, crop)
    assert steps.scale == pytest.approx(1 / 255)
