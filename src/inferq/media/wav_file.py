"""Decodes WAV files: PCM of 8, 16, 24 or 32 bits, and floats of 32 or 64."""

import struct
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from inferq.errors import InvalidInputError
from inferq.tensors.values import Buffer

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_FORMAT = struct.Struct("<HHIIHH")
_MOST_CHANNELS = 64


class Sound(NamedTuple):
    """What a file holds.

    Attributes:
        samples: FP32, [samples, channels], from -1 to 1 where they were whole numbers.
        sampling_rate: Samples in a second.
    """

    samples: npt.NDArray[np.float32]
    sampling_rate: int


def decode_wav(data: Buffer) -> Sound:
    """Decodes a WAV file.

    Args:
        data: The whole file.

    Raises:
        InvalidInputError: It is no WAV file, is compressed, or is cut off.
    """
    view = memoryview(data)
    if not (bytes(view[:4]) == b"RIFF" and bytes(view[8:12]) == b"WAVE"):
        raise _make_error("it is no RIFF file with WAVE in it")
    form: memoryview | None = None
    start = 12
    while start + 8 <= len(view):
        name = bytes(view[start : start + 4])
        length = int.from_bytes(view[start + 4 : start + 8], "little")
        chunk = view[start + 8 : start + 8 + length]
        if name == b"fmt ":
            form = chunk
        elif name == b"data":
            if form is None:
                raise _make_error("its samples come before their format")
            if len(chunk) < length:
                raise _make_error(f"it is cut off: {len(chunk):,} of {length:,} bytes of samples are there")
            return _read_samples(chunk, form)
        start += 8 + length + length % 2
    raise _make_error("it has no samples")


def make_silence() -> bytes:
    """Returns the file of a second of silence, 16 bits at 16 kHz, to try a model with."""
    rate = 16_000
    form = _FORMAT.pack(_PCM, 1, rate, 2 * rate, 2, 16)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", 2 * rate)
    return b"RIFF" + struct.pack("<I", len(body) + 2 * rate) + body + bytes(2 * rate)


def _read_samples(data: memoryview, form: memoryview) -> Sound:
    if len(form) < _FORMAT.size:
        raise _make_error("its format is cut off")
    kind, channels, rate, _, frame_bytes, bits = _FORMAT.unpack_from(form)
    if kind == _EXTENSIBLE and len(form) >= 26:
        kind = int.from_bytes(form[24:26], "little")
    if not (0 < channels <= _MOST_CHANNELS and 0 < frame_bytes == channels * ((bits + 7) // 8)):
        raise _make_error(f"it says {channels} channels of {bits} bits in {frame_bytes} bytes")
    samples = _convert(data[: len(data) - len(data) % frame_bytes], kind, bits)
    return Sound(samples.reshape(-1, channels), rate)


def _convert(data: memoryview, kind: int, bits: int) -> npt.NDArray[np.float32]:
    match kind, bits:
        case (1, 8):  # the only one without a sign
            return _scale(np.frombuffer(data, np.uint8).astype(np.int16) - 128, 8)
        case (1, 16 | 32):
            return _scale(np.frombuffer(data, f"<i{bits // 8}"), bits)
        case (1, 24):
            padded = np.zeros((len(data) // 3, 4), np.uint8)
            padded[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
            return _scale(padded.view("<i4")[:, 0], 32)
        case (3, 32 | 64):
            return np.frombuffer(data, f"<f{bits // 8}").astype(np.float32)
    name = {_PCM: "PCM", _FLOAT: "float"}.get(kind, f"of format {kind}")
    raise _make_error(
        f"it is {name} with {bits} bits, expected PCM of 8, 16, 24 or 32, or floats of 32 or 64"
    )


def _scale(values: npt.NDArray[Any], bits: int) -> npt.NDArray[np.float32]:
    scaled: npt.NDArray[np.float64] = np.multiply(values, 1 / (1 << (bits - 1)), dtype=np.float64)
    return scaled.astype(np.float32)


def _make_error(reason: str) -> InvalidInputError:
    return InvalidInputError(
        f"The sound cannot be read: {reason}. Send a whole WAV file, not compressed, such as "
        "`ffmpeg -i FILE sound.wav` makes."
    )
