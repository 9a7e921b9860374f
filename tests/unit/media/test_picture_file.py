from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from inferq.errors import InvalidInputError
from inferq.media.picture_file import decode_picture
from tests.pictures import encode, make_gradient

GRADIENT = make_gradient(6, 4)


def decode(file, color="RGB", background=None, max_pixels=1_000_000):
    return decode_picture(file, color, background, max_pixels)


def refuse(file, **options):
    with pytest.raises(InvalidInputError) as caught:
        decode(file, **options)
    return caught.value.message


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "GIF", "WEBP"])
def test_lossless_file_gives_its_pixels(form):
    options = {"lossless": True} if form == "WEBP" else {}
    assert np.array_equal(decode(encode(GRADIENT, form, **options)), GRADIENT)


def test_jpeg_gives_what_pillow_decodes():
    file = encode(GRADIENT, "JPEG", quality=95)
    assert np.abs(decode(file).astype(int) - GRADIENT).max() < 30


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [(3, GRADIENT[::-1, ::-1]), (6, np.rot90(GRADIENT, -1)), (8, np.rot90(GRADIENT)), (2, GRADIENT[:, ::-1])],
)
def test_picture_is_turned_as_its_exif_data_says(orientation, turned):
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(decode(encode(GRADIENT, exif=exif)), turned)


def test_channels_come_in_the_order_that_the_model_takes():
    assert np.array_equal(decode(encode(GRADIENT), "BGR"), GRADIENT[:, :, ::-1])
    assert decode(encode([[[255, 0, 0]]]), "grey").tolist() == [[[76]]]
    assert decode(encode([[7, 8]])).tolist() == [[[7] * 3, [8] * 3]]


def test_palette_one_bit_cmyk_and_16_bits_are_converted():
    palette = Image.fromarray(GRADIENT).convert("P", palette=Image.Palette.ADAPTIVE)
    assert np.array_equal(decode(encode(palette)), np.asarray(palette.convert("RGB")))
    assert decode(encode(Image.new("1", (1, 1), 1)))[0, 0].tolist() == [255] * 3
    assert decode(encode(Image.new("CMYK", (1, 1), (0, 255, 255, 0)), "TIFF"))[0, 0].tolist() == [255, 0, 0]
    wide = Image.fromarray(np.array([[0, 0x1234, 0xFFFF]], dtype=np.uint16))
    assert decode(encode(wide), "grey")[0, :, 0].tolist() == [0, 0x12, 0xFF]


def test_transparency_is_ignored_unless_there_is_a_background():
    half = np.array([[[10, 20, 30, 0], [10, 20, 30, 255]]])
    assert decode(encode(half)).tolist() == [[[10, 20, 30]] * 2]
    assert decode(encode(half), background=(255, 0, 255)).tolist() == [[[255, 0, 255], [10, 20, 30]]]
    palette = Image.new("P", (1, 1), 0)
    palette.putpalette([9, 8, 7])
    file = encode(palette, transparency=0)
    assert decode(file).tolist() == [[[9, 8, 7]]]
    assert decode(file, background=(1, 2, 3)).tolist() == [[[1, 2, 3]]]


def test_animation_gives_its_first_frame():
    frames = [Image.new("RGB", (2, 2), color) for color in ("red", "blue")]
    file = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(file)[0, 0].tolist() == [255, 0, 0]


def test_picture_of_too_many_pixels_is_refused_before_it_is_decoded():
    file = encode(Image.new("1", (5_000, 5_000)))
    assert len(file) < 100_000
    assert "5000 × 5000 pixels, but at most 1,000,000" in refuse(file)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"])
@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_file_that_is_cut_off_is_refused(form, kept):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3))
    file = encode(noise, form)
    assert "cannot be read" in refuse(file[: int(len(file) * kept)])


def test_damaged_files_are_refused_and_never_raise_anything_else():
    rng = np.random.default_rng(1)
    for form in ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"):
        file = bytearray(encode(make_gradient(32, 32), form))
        for _ in range(150):
            damaged = bytearray(file)
            for position in rng.integers(0, len(file), 4):
                damaged[position] = rng.integers(0, 256)
            with suppress(InvalidInputError):
                decode(bytes(damaged))


def test_other_files_are_refused():
    assert "it is no JPEG, PNG" in refuse(b"%PDF-1.7 no picture")
    without_nul = encode(Image.new("RGB", (8, 8)), "JPEG").replace(b"\0", b"")  # as curl -d sends it
    assert "send its bytes unchanged (curl: --data-binary" in refuse(without_nul)
    assert "it is no JPEG, PNG" in refuse(b"")
    assert "32 bits" in refuse(encode(Image.new("F", (1, 1)), "TIFF"))
