"""Files as the value of one input: an array, a picture, or sound."""

from inferq.errors import InvalidInputError
from inferq.tensors.file_types import MEDIA, NPY, detect_file_type
from inferq.tensors.npy_codec import read_array
from inferq.tensors.values import Buffer, MediaFile, RawTensor


def read_file(file: Buffer, where: str) -> RawTensor | MediaFile:
    """Reads a file by what its first bytes tell.

    Args:
        file: The whole file.
        where: What it is, for errors.

    Raises:
        InvalidInputError: It is no array, no picture and no sound, or damaged.
    """
    file_type = detect_file_type(file)
    if file_type is NPY:
        return read_array(file, where)
    if file_type is None or file_type not in MEDIA:
        found = "of an unknown type" if file_type is None else file_type.name
        raise InvalidInputError(
            f"{where} is a file {found}, which cannot be the value of one input. Expected a NumPy array "
            "(.npy), a picture (PNG, JPEG, WebP, GIF, TIFF, BMP) or a WAV file; a raw tensor needs its "
            "datatype and shape."
        )
    return MediaFile(file_type.media_type, file)
