"""Data that travels as bytes: arrays and files, alone or as named inputs."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from inferq.client.answers import View
from inferq.client.arrays import (
    fit_array,
    get_bytes,
    get_datatype,
    list_array,
    read_array,
    read_list,
    write_npy,
    write_npz,
)
from inferq.client.data_frames import has_names, list_inputs
from inferq.client.media import ContentInPieces, FileOnDisk, MediaData, read_media, write_base64
from inferq.tensors.envelope import write_envelope
from inferq.tensors.envelope_codec import describe_file, describe_tensor
from inferq.tensors.file_types import ENVELOPE, NPY, NPZ

type Parts = dict[str | None, Any]
"""Values by the names of inputs, or one that is named None, for the model's only input."""


class Body(NamedTuple):
    """The body of a request that is the data of a job.

    Attributes:
        content: Its bytes, or where to read them from.
        media_type: What HTTP calls it.
    """

    content: bytes | FileOnDisk | ContentInPieces
    media_type: str


def find_parts(data: Any) -> Parts | None:  # noqa: ANN401 - whatever users hold
    """Returns the parts of data of which something is an array or a file; None for all other data.

    Returns:
        Files as `MediaData`, arrays as NumPy's, and whatever else a mapping has.

    Raises:
        InvalidInputError: A file is of no known type, or cannot be read.
    """
    if isinstance(data, Mapping):
        parts: Parts = {str(name): _read_part(value) for name, value in data.items()}
        return parts if any(map(_travels_as_bytes, parts.values())) else None
    part = _read_part(data)
    return {None: part} if _travels_as_bytes(part) else None


def read_lists(data: Any) -> Any:  # noqa: ANN401 - whatever users hold
    """Returns data with arrays in the place of lists of numbers, by which its result has arrays."""
    if has_names(data):  # of columns, which go by them
        return data
    parts = data if isinstance(data, Mapping) else {None: data}
    read = {name: part if (array := read_list(part)) is None else array for name, part in parts.items()}
    return read.get(None, read)


def needs_document(parts: Parts) -> bool:
    """Whether the model's document is needed to send parts as bytes: files alone go as they are."""
    return not all(isinstance(part, MediaData) for part in parts.values())


def fit_parts(parts: Parts, document: View) -> Parts | None:
    """Brings all parts that are no files to the datatypes of the inputs that they are for.

    Returns:
        Files and arrays; None where something cannot be sent as an array.
    """
    fitted: Parts = {}
    for name, part in parts.items():
        if isinstance(part, MediaData):
            fitted[name] = part
            continue
        tensor = _find_input(name, document)
        array = read_array(part)
        array = read_list(part) if array is None else array
        if tensor is None or array is None or (array := fit_array(array, tensor)) is None:
            return None
        fitted[name] = array
    return fitted


def write_parts(parts: Parts) -> Body:
    """Writes files and arrays: one as it is, several arrays as an archive, and others as an envelope."""
    if None in parts:
        part = parts[None]
        return Body(*part) if isinstance(part, MediaData) else Body(write_npy(part), NPY.media_type)
    arrays = {str(name): part for name, part in parts.items() if not isinstance(part, MediaData)}
    if len(arrays) == len(parts):
        return Body(write_npz(arrays), NPZ.media_type)
    entries: list[dict[str, Any]] = []
    data: list[bytes | memoryview | FileOnDisk] = []
    # files first: of a long body their begins are checked before the rest has come
    for name, part in sorted(parts.items(), key=lambda item: not isinstance(item[1], MediaData)):
        if isinstance(part, MediaData):
            entries.append(describe_file(str(name), part.media_type, part.size))
            data.append(part.content)
        else:
            content = get_bytes(part)
            entries.append(describe_tensor(str(name), get_datatype(part), part.shape, len(content)))
            data.append(content)
    pieces = (write_envelope({"inputs": entries}), *data)
    size = sum(one.size if isinstance(one, FileOnDisk) else len(one) for one in pieces)
    whole = ContentInPieces(pieces, size)
    return Body(whole if whole.has_files else b"".join(whole.read_parts()), ENVELOPE.media_type)


def list_parts(parts: Parts) -> Any:  # noqa: ANN401 - JSON, and what else a mapping has
    """Returns parts as JSON may carry them: files in base64, and all else as it is."""
    listed = {
        name: write_base64(part) if isinstance(part, MediaData) else part for name, part in parts.items()
    }
    return listed.get(None, listed)


def list_fitted_parts(parts: Parts) -> Any:  # noqa: ANN401 - JSON
    """Returns files and arrays as JSON may carry them: all in base64."""
    return list_parts(
        {name: part if isinstance(part, MediaData) else list_array(part) for name, part in parts.items()}
    )


def _read_part(value: Any) -> Any:  # noqa: ANN401 - whatever users hold
    media = read_media(value)
    if media is not None:
        return media
    array = read_array(value)
    return value if array is None else array


def _travels_as_bytes(part: Any) -> bool:  # noqa: ANN401 - any part
    return isinstance(part, MediaData) or read_array(part) is not None


def _find_input(name: str | None, document: View) -> Mapping[str, Any] | None:
    """Returns the input that a part is for; None where it is not known."""
    inputs = document["inputs"]
    if name is None:
        return inputs[0] if len(inputs) == 1 else None
    return list_inputs(document).get(name)
