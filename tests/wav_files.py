"""WAV files for the tests."""

import struct

import numpy as np


def make_wav(samples, rate, bits=16, kind=1, *, is_extensible=False):
    """The file of samples, [samples, channels]: whole numbers of so many bits, or floats (`kind` 3)."""
    samples = np.asarray(samples)
    if kind == 3:
        data = samples.astype(f"<f{bits // 8}").tobytes()
    elif bits == 24:
        data = samples.astype("<i4").reshape(-1, 1).view(np.uint8)[:, :3].tobytes()
    else:
        data = samples.astype(np.uint8 if bits == 8 else f"<i{bits // 8}").tobytes()
    channels = samples.shape[1]
    frame = channels * bits // 8
    form = struct.pack(
        "<HHIIHH", 0xFFFE if is_extensible else kind, channels, rate, rate * frame, frame, bits
    )
    if is_extensible:
        form += struct.pack("<HHIH", 22, bits, 0, kind) + bytes(14)
    chunks = [(b"fmt ", form), (b"LIST", b"odd"), (b"data", data)]
    body = b"".join(
        name + struct.pack("<I", len(part)) + part + bytes(len(part) % 2) for name, part in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WAVE" + body
