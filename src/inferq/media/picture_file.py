"""Decodes the file of a picture."""

from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from inferq.errors import InvalidInputError
from inferq.tensors.media_specs import Color
from inferq.tensors.values import Buffer

Pixels = npt.NDArray[np.uint8]
"""A picture: [height, width, channels]."""

_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")
_READ = "JPEG, PNG, WebP, TIFF, BMP or GIF"
_UNCHANGED = ", and send its bytes unchanged (curl: --data-binary, not -d)"
_WIDE_GREY = ("I;16", "I;16L", "I;16B", "I;16N")

# pixels are counted here, by a limit that can be set; Pillow's own cannot be raised for one file
Image.MAX_IMAGE_PIXELS = None


def decode_picture(
    data: Buffer, color: Color, background: tuple[int, int, int] | None, max_pixels: int | None
) -> Pixels:
    """Decodes a picture as people see it: turned as its EXIF data says, of an animation the first frame.

    Modes are converted as Pillow does: palettes and CMYK to RGB, colours to grey by ITU-R 601-2. Of 16 bits
    the upper 8 are taken.

    Args:
        data: The file.
        color: What each pixel is turned into.
        background: On which colour transparent pixels are laid; None: transparency is ignored.
        max_pixels: Most pixels of a picture, checked before any is decoded; None for no limit.

    Raises:
        InvalidInputError: It is no picture that can be read, is cut off, or has more pixels.
    """
    try:
        with Image.open(BytesIO(data), formats=_FORMATS) as image:
            check_pixels(*image.size, max_pixels)
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            return _take_pixels(_lay_on(image, background), color)
    except InvalidInputError:
        raise
    except UnidentifiedImageError as error:
        raise InvalidInputError(
            f"The picture cannot be read: it is no {_READ}. Save it as one{_UNCHANGED}."
        ) from error
    except Exception as error:
        raise _explain(error) from error


def check_file(data: Buffer, max_pixels: int | None) -> None:
    """Refuses a file that something else is to decode, where it has too many pixels.

    A file that Pillow does not know is left to that.

    Raises:
        InvalidInputError: It has more than `max_pixels`, or is damaged.
    """
    try:
        with Image.open(BytesIO(data)) as image:
            width, height = image.size
    except UnidentifiedImageError:
        return
    except Exception as error:
        raise _explain(error) from error
    check_pixels(width, height, max_pixels)


def make_black_picture() -> bytes:
    """Returns the file of a black picture, to try a model with."""
    file = BytesIO()
    Image.new("RGB", (64, 64)).save(file, "JPEG")
    return file.getvalue()


def check_pixels(width: int, height: int, max_pixels: int | None) -> None:
    """Refuses a picture of too many pixels.

    Raises:
        InvalidInputError: It has more than `max_pixels`.
    """
    if max_pixels is not None and width * height > max_pixels:
        raise InvalidInputError(
            f"The picture has {width} × {height} pixels, but at most {max_pixels:,} are taken "
            "(INFERQ_MAX_IMAGE_PIXELS). Send a smaller one."
        )


def _explain(error: Exception) -> InvalidInputError:
    """Returns the error for a damaged file: decoders raise all kinds."""
    reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return InvalidInputError(
        f"The picture cannot be read: {reason}. Send the whole file, or save it again{_UNCHANGED}."
    )


def _lay_on(image: Image.Image, background: tuple[int, int, int] | None) -> Image.Image:
    if background is None or not image.has_transparency_data:
        image.info.pop("transparency", None)  # else Pillow warns that it is lost
        return image
    paper = Image.new("RGBA", image.size, (*background, 255))
    return Image.alpha_composite(paper, image.convert("RGBA"))


def _take_pixels(image: Image.Image, color: Color) -> Pixels:
    mode = image.mode
    if mode in ("I", "F"):
        raise InvalidInputError(
            f"The picture has 32 bits for each pixel ({mode}), of unknown range. Save it with 8 or 16."
        )
    if mode in _WIDE_GREY:
        image = Image.fromarray((np.asarray(image, dtype=np.uint16) >> 8).astype(np.uint8))
    wanted = "L" if color == "grey" else "RGB"
    pixels = np.asarray(image if image.mode == wanted else image.convert(wanted))
    if color == "grey":
        return pixels[:, :, np.newaxis]
    return pixels[:, :, ::-1] if color == "BGR" else pixels
