"""Remote files among the values of inputs: which there are, and what takes their place."""

from collections.abc import Iterable, Mapping
from typing import Any

from inferq.tensors.input_values import read_remote_file
from inferq.tensors.values import Buffer, RemoteFile


def list_remote_files(values: Iterable[Any], *, are_in_lists: bool) -> list[RemoteFile]:
    """Returns the remote files among values of inputs.

    Args:
        values: What `DataValidator.validate_inputs` has returned of each input.
        are_in_lists: Whether they may be in a list too, that of a sequence; others are long.
    """
    found: list[RemoteFile] = []
    for value in values:
        if type(value) is RemoteFile:
            found.append(value)
        elif are_in_lists and type(value) is list:
            found += [one for one in value if type(one) is RemoteFile]
    return found


def replace_remote_files(values: Mapping[str, Any], files: Mapping[str, Buffer]) -> dict[str, Any]:
    """Returns values of inputs with what was fetched in the place of remote files; not yet checked.

    Args:
        values: The value of each input by name.
        files: The files by their URLs.

    Raises:
        InvalidInputError: A file is no array, no picture and no sound, or damaged.
    """

    def replace(value: Any) -> Any:  # noqa: ANN401 - the value of an input
        if type(value) is RemoteFile:
            return read_remote_file(value, files[value.url])
        if type(value) is list and any(type(one) is RemoteFile for one in value):
            return [replace(one) for one in value]
        return value

    return {name: replace(value) for name, value in values.items()}
