"""Another sampling rate for sound: polyphase filtering with a windowed sinc.

The method is that of `scipy.signal.resample_poly`: a low-pass filter below the lower of both Nyquist
frequencies, of which each output sample needs one phase alone. The filter is longer: 32 zero crossings on
each side under a Kaiser window of 12, which passes 0.9 of the band, and leaves 1e-5 of what lies above it.
"""

from functools import lru_cache
from math import ceil, gcd

import numpy as np
import numpy.typing as npt

from inferq.errors import InvalidInputError

_ZERO_CROSSINGS = 32
_KAISER_BETA = 12.0
_CUTOFF = 0.95
"""Of the lower Nyquist frequency: half way through the transition."""
_STEP_VALUES = 1 << 22
"""Input samples that are gathered at a time, for their memory."""
_MOST_WEIGHTS = 1 << 23
_RATES = range(1000, 384_001)
_MOST_SAMPLES = 100_000_000


def resample(samples: npt.NDArray[np.float32], rate: int, wanted: int) -> npt.NDArray[np.float32]:
    """Returns sound at another sampling rate.

    Args:
        samples: [samples, channels].
        rate: How many of them are a second.
        wanted: How many are to be.

    Returns:
        [samples, channels], as many as last at least as long: ⌈samples × wanted / rate⌉.

    Raises:
        InvalidInputError: The rate is not one of sound, or there would be too many samples.
    """
    if rate == wanted:
        return samples
    count = ceil(len(samples) * wanted / max(rate, 1))  # a file may say 0
    if rate not in _RATES or count * samples.shape[1] > _MOST_SAMPLES:
        raise InvalidInputError(
            f"The sound has {len(samples):,} samples at {rate} Hz, and the model takes {wanted} Hz. Expected "
            f"1,000 to 384,000 Hz, and at most {_MOST_SAMPLES:,} samples after it is resampled."
        )
    divisor = gcd(rate, wanted)
    up, down = wanted // divisor, rate // divisor
    if up * 2 * _ZERO_CROSSINGS * max(1, down / up) > _MOST_WEIGHTS:
        raise InvalidInputError(
            f"The sound has {rate} Hz, which is in no short ratio to the {wanted} Hz that the model takes. "
            "Resample it before you send it."
        )
    phases = _make_phases(up, down)
    taps = phases.shape[1]
    # before the first sample and behind the last there is silence
    padded = np.pad(samples, ((taps, taps), (0, 0)))
    out = np.empty((count, samples.shape[1]), np.float32)
    reach = np.arange(taps)
    step = max(1, _STEP_VALUES // (taps * samples.shape[1]))
    for start in range(0, count, step):
        position = np.arange(start, min(start + step, count)) * down
        first = position // up + taps - taps // 2 + 1
        window = padded[first[:, np.newaxis] + reach]
        out[start : start + len(position)] = np.einsum("nt,ntc->nc", phases[position % up], window)
    return out


@lru_cache(maxsize=2)
def _make_phases(up: int, down: int) -> npt.NDArray[np.float32]:
    """Returns the filter of each phase, [up, taps]: weights of the samples around a point between two."""
    width = max(1.0, down / up)  # in input samples
    half = ceil(_ZERO_CROSSINGS * width)
    offsets = np.arange(1 - half, half + 1) - np.arange(up)[:, np.newaxis] / up
    scaled = offsets / width
    edge = np.clip(1 - (scaled / _ZERO_CROSSINGS) ** 2, 0, None)
    window = np.i0(_KAISER_BETA * np.sqrt(edge)) / np.i0(_KAISER_BETA)
    window[np.abs(scaled) > _ZERO_CROSSINGS] = 0
    phases = np.sinc(scaled * _CUTOFF) * window
    return (phases / phases.sum(axis=1, keepdims=True)).astype(np.float32)
