import math

import numpy as np
import pytest
from scipy.signal import resample_poly

from inferq.errors import InvalidInputError
from inferq.media import resampling
from inferq.media.audio import read_audio
from inferq.media.resampling import resample
from inferq.media.wav_file import decode_wav, make_silence
from tests.wav_files import make_wav

FP32 = np.dtype(np.float32)


def refuse(file):
    with pytest.raises(InvalidInputError) as caught:
        decode_wav(file)
    return caught.value.message


@pytest.mark.parametrize(
    ("bits", "kind", "samples"),
    [
        (8, 1, [[0], [128], [192]]),
        (16, 1, [[-(2**15)], [0], [2**14]]),
        (24, 1, [[-(2**23)], [0], [2**22]]),
        (32, 1, [[-(2**31)], [0], [2**30]]),
        (32, 3, [[-1], [0], [0.5]]),
        (64, 3, [[-1], [0], [0.5]]),
    ],
)
@pytest.mark.parametrize("is_extensible", [False, True])
def test_samples_of_each_format_are_floats_from_minus_one_to_one(bits, kind, samples, is_extensible):
    sound = decode_wav(make_wav(samples, 8000, bits, kind, is_extensible=is_extensible))
    assert sound.samples.tolist() == [[-1], [0], [0.5]]
    assert (sound.samples.dtype, sound.sampling_rate) == (np.float32, 8000)


def test_sample_is_a_second_of_silence():
    samples, rate = decode_wav(make_silence())
    assert (samples.shape, rate, samples.any()) == ((16_000, 1), 16_000, False)


def test_files_that_cannot_be_read_say_why():
    whole = make_wav(np.zeros((100, 2)), 8000)
    assert "no RIFF file" in refuse(b"RIFF")
    assert "no RIFF file" in refuse(b"")
    without_bits = whole[:32] + bytes(4) + whole[36:]
    assert "it says 2 channels of 0 bits in 0 bytes" in refuse(without_bits)
    assert "it is cut off: 300 of 400 bytes" in refuse(whole[:-100])
    assert "has no samples" in refuse(whole[:40])
    assert "of format 17 with 4 bits" in refuse(
        make_wav(np.zeros((4, 1)), 8000, 8, 17).replace(b"\x01\0\x08\0", b"\x01\0\x04\0")
    )
    assert "0 channels" in refuse(whole[:22] + b"\0\0" + whole[24:])
    assert "before their format" in refuse(whole.replace(b"fmt ", b"xxxx"))


def test_damaged_files_are_refused_and_never_raise_anything_else():
    rng = np.random.default_rng(0)
    whole = make_wav(np.zeros((20, 2)), 8000, 24, is_extensible=True)
    for _ in range(500):
        damaged = bytearray(whole)
        for position in rng.integers(0, 90, 3):
            damaged[position] = rng.integers(0, 256)
        try:
            read_audio(bytes(damaged), 16_000, "NT", FP32, mono=True)
        except InvalidInputError:
            continue


@pytest.mark.parametrize(
    ("layout", "mono", "shape"),
    [
        ("NT", True, (1, 3)),
        ("T", True, (3,)),
        ("NCT", False, (1, 2, 3)),
        ("TC", False, (3, 2)),
        ("CT", True, (1, 3)),
    ],
)
def test_axes_come_in_the_order_of_the_layout(layout, mono, shape):
    file = make_wav([[0, 16384], [-16384, 0], [0, 0]], 8000)
    values = read_audio(file, 8000, layout, FP32, mono=mono)
    assert values.shape == shape
    if mono:
        assert values.reshape(-1).tolist() == [0.25, -0.25, 0]
    assert read_audio(file, 8000, layout, np.dtype(np.float16), mono=mono).dtype == np.float16


@pytest.mark.parametrize(
    ("rate", "wanted"), [(44_100, 16_000), (8000, 16_000), (48_000, 44_100), (22_050, 8000)]
)
def test_tone_keeps_its_pitch_and_loudness(rate, wanted):
    tone = np.sin(2 * np.pi * 1000 * np.arange(rate) / rate).astype(np.float32)[:, np.newaxis]
    got = resample(tone, rate, wanted)[:, 0]
    expected = np.sin(2 * np.pi * 1000 * np.arange(wanted) / wanted)
    assert len(got) == wanted
    middle = slice(wanted // 10, -wanted // 10)
    assert np.abs(got - expected)[middle].max() < 1e-5


def test_tone_above_what_the_model_hears_vanishes_instead_of_being_folded_down():
    tone = np.sin(2 * np.pi * 9000 * np.arange(44_100) / 44_100).astype(np.float32)[:, np.newaxis]
    assert np.abs(resample(tone, 44_100, 16_000))[2000:-2000].max() < 1e-4


@pytest.mark.parametrize(("rate", "wanted"), [(44_100, 16_000), (8000, 44_100), (3000, 2000)])
def test_it_is_scipys_polyphase_filter_with_another_window(rate, wanted):
    divisor = math.gcd(rate, wanted)
    up, down = wanted // divisor, rate // divisor
    phases = resampling._make_phases(up, down).astype(np.float64)
    # the filter at `up` times the rate: phase p of tap k is the weight of the point k * up - p
    half, width = phases.shape[1] // 2, phases.shape[1] * up
    taps = np.zeros(width + 1)
    for phase in range(up):
        taps[np.arange(1 - half, half + 1) * up - phase + half * up] = phases[phase]
    noise = np.random.default_rng(0).standard_normal((3000, 2)).astype(np.float32)
    expected = resample_poly(noise, up, down, window=taps / up)
    np.testing.assert_allclose(resample(noise, rate, wanted), expected, atol=2e-5)


@pytest.mark.parametrize("rate", [0, 1, 500, 4_000_000])
def test_rate_that_is_none_of_sound_is_refused(rate):
    with pytest.raises(InvalidInputError, match=f"at {rate} Hz"):
        resample(np.zeros((10, 1), np.float32), rate, 16_000)


def test_rate_in_no_short_ratio_is_refused():
    with pytest.raises(InvalidInputError, match="in no short ratio"):
        resample(np.zeros((10, 1), np.float32), 383_999, 384_000)
