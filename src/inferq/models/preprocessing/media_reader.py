"""Reads the files of pictures and sound that are inputs of a model."""

import numpy as np

from inferq.errors import InvalidInputError
from inferq.media.audio import read_audio
from inferq.media.geometry import Frame
from inferq.media.image import read_image
from inferq.media.picture_file import check_file, make_black_picture
from inferq.media.wav_file import make_silence
from inferq.models.arrays import Array, get_dtype
from inferq.tensors.media_inputs import check_media_input
from inferq.tensors.signature import ModelDocument, Tensor
from inferq.tensors.values import MediaFile


class MediaReader:
    """Makes inputs of files, as a model's document says.

    Args:
        document: The model's document.
        max_image_pixels: Most pixels of a picture; None for no limit.
    """

    def __init__(self, document: ModelDocument, max_image_pixels: int | None) -> None:
        self._document = document
        self._max_image_pixels = max_image_pixels

    def make_samples(self) -> dict[str, Array]:
        """Returns a black picture, or silence, for each input that takes the bytes of a file, by name."""
        image, audio = self._document.image, self._document.audio
        samples: dict[str, Array] = {}
        if image is not None and image.preprocessing is None:
            samples[image.input] = np.frombuffer(make_black_picture(), np.uint8)
        if audio is not None and audio.sampling_rate is None:
            samples[audio.input] = np.frombuffer(make_silence(), np.uint8)
        return samples

    def read(self, file: MediaFile, tensor: Tensor) -> tuple[Array, Frame | None]:
        """Returns a file as the value of an input.

        Args:
            file: The file.
            tensor: The input.

        Returns:
            The array; and how a picture lies in it, where it was not the graph that decodes it.

        Raises:
            InvalidInputError: The input takes no such file, it cannot be decoded, or what it becomes does not
                fit the input.
        """
        check_media_input(self._document, tensor.name, file.media_type)
        frame: Frame | None = None
        array: Array
        if file.media_type.startswith("audio/"):
            array = self._read_audio(file, tensor)
        else:
            array, frame = self._read_image(file, tensor)
        if not tensor.takes_shape(array.shape):
            raise InvalidInputError(
                f"The file becomes an array of shape {list(array.shape)}, but the input is {tensor}. Send "
                "one of that size, or let model.toml say how it is resized."
            )
        return array, frame

    def _read_image(self, file: MediaFile, tensor: Tensor) -> tuple[Array, Frame | None]:
        spec = self._document.image
        if spec is None or spec.preprocessing is None:
            check_file(file.data, self._max_image_pixels)
            return np.frombuffer(file.data, np.uint8), None
        dtype = get_dtype(tensor.datatype)
        return read_image(file.data, spec.preprocessing, dtype, self._max_image_pixels)

    def _read_audio(self, file: MediaFile, tensor: Tensor) -> Array:
        spec = self._document.audio
        if spec is None or spec.sampling_rate is None:
            return np.frombuffer(file.data, np.uint8)
        dtype = get_dtype(tensor.datatype)
        return read_audio(file.data, spec.sampling_rate, spec.layout, dtype, mono=spec.mono)
