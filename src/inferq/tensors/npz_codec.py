"""NumPy's archive of named arrays, `.npz`: each is an input."""

from inferq.errors import InvalidInputError
from inferq.tensors.npy_codec import read_array
from inferq.tensors.values import Buffer, RawTensor
from inferq.tensors.zip_archive import read_members

_SUFFIX = ".npy"


def read_data(payload: Buffer) -> dict[str, RawTensor]:
    """Reads the data of a job: the value of each input by name.

    Raises:
        InvalidInputError: It is damaged, too large, or holds what is no array.
    """
    arrays = {}
    for name, member in read_members(payload).items():
        if not name.endswith(_SUFFIX):
            raise InvalidInputError(
                f"The zip archive has the member {name[:200]!r}, which is no NumPy array. Expected what "
                "numpy.savez writes: an array for each input, NAME.npy."
            )
        arrays[name.removesuffix(_SUFFIX)] = read_array(member, f"The member {name[:200]!r}")
    return arrays
