"""The forms of a job's data, told apart by its first bytes and by nothing else.

A new form is a file type in `file_types`, and a codec: a module with `read_data`, and its entry here.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from inferq.tensors import envelope_codec, file_types, json_codec, npy_codec, npz_codec
from inferq.tensors.data_validator import DataValidator
from inferq.tensors.envelope import is_envelope, read_envelope
from inferq.tensors.file_types import FileType, detect_file_type
from inferq.tensors.file_values import read_file
from inferq.tensors.number_text import LEAST_BYTES
from inferq.tensors.remote_files import replace_remote_files
from inferq.tensors.values import Buffer, RemoteFile


def _read_media(payload: Buffer) -> Any:  # noqa: ANN401 - see `Form`
    return read_file(payload, "The job's data")


class Form(NamedTuple):
    """A form of data.

    Attributes:
        file_type: What it is called.
        read_data: Reads a payload: the value of the only input that is required, or a mapping of input names
            to values. Values are nested lists, or one of `values`; they are not yet checked.
    """

    file_type: FileType
    read_data: Callable[[Any], Any]

    @property
    def media_type(self) -> str:
        """What HTTP calls it."""
        return self.file_type.media_type

    @property
    def suffix(self) -> str:
        """How names of such files end."""
        return self.file_type.suffix


JSON = Form(FileType("JSON", "application/json", ".json"), json_codec.read_data)

_FORMS = {
    form.file_type: form
    for form in (
        Form(file_types.ENVELOPE, envelope_codec.read_data),
        Form(file_types.NPY, npy_codec.read_data),
        Form(file_types.NPZ, npz_codec.read_data),
        *(Form(file_type, _read_media) for file_type in file_types.MEDIA),
    )
}


REMOTE_FILES = "text/uri-list"
"""By this form, which no data has, a worker says that it fetches the files that data names by URLs."""

MEDIA_TYPES = (JSON.media_type, *(file_type.media_type for file_type in _FORMS))
"""What HTTP calls the forms that can be read."""

READ_FORMS = (*MEDIA_TYPES, REMOTE_FILES)
"""What workers say that they read, and the models that they announce, for when none lives."""


def detect_form(first_bytes: Buffer) -> Form:
    """Returns the form of a payload; what begins like no other form is taken for JSON.

    Args:
        first_bytes: At least the first 16 bytes of the payload, or all of a shorter one.
    """
    if first_bytes[:1] in (b"[", b"{"):
        return JSON
    file_type = detect_file_type(first_bytes)
    return JSON if file_type is None else _FORMS[file_type]


class DataRequest(NamedTuple):
    """What the data of a job says.

    Attributes:
        inputs: As `read_inputs` returns them.
        outputs: Names of the outputs that it asks for, each once; none where it asks for all.
        is_json: Whether it is JSON.
        remote_files: What is to be fetched before it can be used; see `resolve_request`.
    """

    inputs: dict[str, Any]
    outputs: tuple[str, ...] = ()
    is_json: bool = True
    remote_files: Sequence[RemoteFile] = ()


def read_inputs(payload: Buffer, validator: DataValidator) -> dict[str, Any]:
    """Reads the data of a job, whatever its form.

    Args:
        payload: The data.
        validator: Checks it against the model's signature.

    Returns:
        The value of each input by name: nested lists, or a single value for a shape without axes; a raw
        tensor; a file of a picture or sound; or a remote file.

    Raises:
        InvalidInputError: It cannot be read, or does not fit the signature.
    """
    form = detect_form(payload)
    numbers = validator.read_numbers(bytes(payload)) if form is JSON else None
    return validator.validate_inputs(form.read_data(payload)) if numbers is None else numbers


def read_request(payload: Buffer, validator: DataValidator) -> DataRequest:
    """Reads the data of a job with what else it says, each part once.

    Args:
        payload: The data.
        validator: Checks the inputs against the model's signature.

    Raises:
        InvalidInputError: It cannot be read, or does not fit the signature.
    """
    if not is_envelope(payload):
        inputs = read_inputs(payload, validator)
        return DataRequest(inputs, (), detect_form(payload) is JSON, validator.list_remote_files(inputs))
    envelope = read_envelope(payload)
    inputs = validator.validate_inputs(envelope_codec.read_values(envelope))
    outputs = tuple(dict.fromkeys(envelope_codec.read_outputs(envelope.head)))
    return DataRequest(inputs, outputs, False, validator.list_remote_files(inputs))


def resolve_request(
    request: DataRequest, files: Mapping[str, Buffer], validator: DataValidator
) -> DataRequest:
    """Returns a request with what was fetched in the place of its remote files.

    Args:
        request: What `read_request` has returned.
        files: Each of the files by its URL.
        validator: Checks them against the model's signature.

    Raises:
        InvalidInputError: A file cannot be read, or does not fit the signature.
    """
    inputs = validator.validate_inputs(replace_remote_files(request.inputs, files))
    return request._replace(inputs=inputs, remote_files=())


def read_rows(payloads: Sequence[Buffer], validator: DataValidator) -> tuple[list[Any], list[int]] | None:
    """Reads the data of several jobs of one form in one pass; see `json_codec.read_rows`.

    Long data is better read one by one.
    """
    if not validator.joins_rows or detect_form(payloads[0]) is not JSON:
        return None
    if max(map(len, payloads)) >= LEAST_BYTES:
        return None
    return json_codec.read_rows(payloads, validator)
