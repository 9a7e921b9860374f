"""From a WAV file to the input of a model."""

import numpy as np
import numpy.typing as npt

from inferq.media.resampling import resample
from inferq.media.wav_file import decode_wav
from inferq.tensors.values import Buffer


def read_audio(
    data: Buffer, sampling_rate: int, layout: str, dtype: np.dtype[np.generic], *, mono: bool
) -> npt.NDArray[np.generic]:
    """Returns the sound in a WAV file as the input of a model.

    Args:
        data: The file.
        sampling_rate: Samples in a second that the model takes; other sound is resampled.
        layout: The input's axes: N (1), C (channels), T (samples).
        dtype: The input's type of floats.
        mono: Whether the channels are averaged.

    Raises:
        InvalidInputError: It cannot be decoded, or has more channels than the layout.
    """
    samples, rate = decode_wav(data)
    if mono and samples.shape[1] > 1:
        samples = samples.mean(axis=1, keepdims=True)
    values: npt.NDArray[np.generic] = resample(samples, rate, sampling_rate).astype(dtype, copy=False)
    axes = layout.replace("N", "")
    values = values[:, 0] if axes == "T" else values.T if axes == "CT" else values
    values = np.ascontiguousarray(values)
    return values[np.newaxis] if "N" in layout else values
