"""What a model takes pictures or sound for, and what is done with a file before the model sees it.

Resolved when a model is loaded, and shown in its document: `inferq.models.preprocessing.media_resolution`.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

type MediaSource = Literal["graph", "model.toml", "preprocessor_config.json", "config.json", "metadata"]
"""Where a specification comes from: the graph itself, a file beside it, or the metadata in it."""

type Resize = Literal["shortest", "stretch", "letterbox", "none"]
type Interpolation = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
type Color = Literal["RGB", "BGR", "grey"]


def _is_none(value: object) -> bool:
    return value is None


class ImagePreprocessing(BaseModel):
    """The steps from a picture to an input, in the order in which they are done.

    Attributes:
        color: What a pixel is turned into: three channels in this order, or one.
        background: The colour, red, green and blue from 0 to 255, on which transparent pixels are laid; None:
            transparency is ignored, as Pillow and OpenCV do when they convert.
        resize: `shortest`: the shorter edge gets the length `size`, the other one in proportion. `stretch`:
            to `size`, whatever the proportions. `letterbox`: as large as fits into `size` in proportion,
            the rest is filled. `none`: not at all.
        size: One length for `shortest`, height and width for the others; None where there is none.
        interpolation: Pillow's filter.
        antialias: Whether the filter grows with the scale, as Pillow's does; else bilinear interpolation of
            four pixels, as OpenCV's.
        pad_color: What fills a letterbox, or a crop that is larger than the picture: for each channel from
            0 to 255.
        crop: Height and width of the part in the middle; None: all.
        crop_rounding: Where an odd number of pixels is cut off: `down` begins the crop at half of it rounded
            down, as transformers does, `even` at the even one of both, as torchvision does.
        scale: What each value from 0 to 255 is multiplied by.
        mean: What is then subtracted, for each channel.
        std: What it is divided by at last, for each channel.
        layout: The input's axes: N (pictures), C (channels), H (height), W (width).
    """

    model_config = ConfigDict(frozen=True)

    color: Color = "RGB"
    background: tuple[int, int, int] | None = Field(default=None, exclude_if=_is_none)
    resize: Resize = "none"
    size: tuple[int, ...] | None = None
    interpolation: Interpolation = "bilinear"
    antialias: bool = True
    pad_color: tuple[int, ...] = (0, 0, 0)
    crop: tuple[int, int] | None = None
    crop_rounding: Literal["down", "even"] = "even"
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    layout: str = "NCHW"

    @property
    def fixed_size(self) -> tuple[int, int] | None:
        """Height and width that every picture gets; None where they depend on the picture."""
        if self.crop is not None:
            return self.crop
        return (self.size[0], self.size[1]) if self.size is not None and len(self.size) == 2 else None

    @property
    def shape(self) -> list[int]:
        """Shape of what a picture becomes; -1 where a length depends on the picture."""
        height, width = self.fixed_size or (-1, -1)
        lengths = {"N": 1, "C": 1 if self.color == "grey" else 3, "H": height, "W": width}
        return [lengths[axis] for axis in self.layout]


class ImageSpec(BaseModel):
    """For which input a model takes pictures, and what becomes of them.

    Attributes:
        source: Where this comes from.
        input: Name of the input.
        preprocessing: What is done with a picture; None where the graph takes the bytes of the file.
    """

    model_config = ConfigDict(frozen=True)

    source: MediaSource
    input: str
    preprocessing: ImagePreprocessing | None = None


class AudioSpec(BaseModel):
    """For which input a model takes sound, and what becomes of it.

    Attributes:
        source: Where this comes from.
        input: Name of the input.
        sampling_rate: Samples in a second that the model takes; sound with another rate is resampled. None
            where the graph takes the bytes of the file.
        mono: Whether the channels are averaged.
        layout: The input's axes: N (recordings), C (channels), T (samples).
    """

    model_config = ConfigDict(frozen=True)

    source: MediaSource
    input: str
    sampling_rate: int | None = None
    mono: bool = True
    layout: str = "NT"


class DetectionSpec(BaseModel):
    """Where a model's outputs hold boxes around objects, and which of them a result has.

    Attributes:
        source: Where this comes from.
        output: Name of the output.
        form: `candidates`: of each class and place one, [pictures, 4 + classes, places], of which those that
            overlap are left out (non-maximum suppression). `boxes`: what is left of them,
            [pictures, boxes, 6].
        score_threshold: Boxes with a lower score are left out.
        iou_threshold: How much of their union two candidates of one class may share: with more the one with
            the lower score is left out.
        max_boxes: Most boxes of one picture, those with the highest scores.
    """

    model_config = ConfigDict(frozen=True)

    source: MediaSource
    output: str
    form: Literal["candidates", "boxes"]
    score_threshold: float = 0.25
    iou_threshold: float = 0.7
    max_boxes: int = 300
