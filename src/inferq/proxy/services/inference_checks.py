"""Checks inference requests of the Open Inference Protocol and makes submissions for the queue of them.

Nothing here waits, so it can run on the event loop or in a process of the pool, as `request_checks` does. It
imports neither FastAPI nor Redis.
"""

import struct
from math import prod
from typing import Any, NamedTuple

from pydantic_core import to_json

from inferq.errors import InvalidInputError, NoWorkerError, UnknownModelError
from inferq.proxy.http.inference_protocol import InferenceOptions, read_options
from inferq.proxy.http.predict_body import parse_object
from inferq.proxy.services.known_models import KnownModels
from inferq.proxy.services.request_checks import RequestRules
from inferq.queue import Submission
from inferq.tensors.envelope import Envelope, write_begin, write_prefix
from inferq.tensors.envelope_codec import describe_file, describe_tensor, read_values
from inferq.tensors.file_types import ENVELOPE, FIRST_BYTES, MEDIA, detect_file_type
from inferq.tensors.signature import Datatype, ModelDocument, Tensor
from inferq.tensors.values import ITEM_BYTES

_VERSIONS = "/versions/"
_EXAMPLE = (
    'An example: {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [0.5, 1.5]}]}. Where '
    "tensors follow the JSON as bytes, the header Inference-Header-Content-Length tells how long the JSON is."
)
_LENGTH = struct.Struct("<I")


class CheckedInference(NamedTuple):
    """A request that can be submitted.

    Attributes:
        submission: Its job.
        options: What else it asks for.
        class_names: Names of the model's classes, by index; none where it has none.
    """

    submission: Submission
    options: InferenceOptions
    class_names: tuple[str, ...] = ()


def split_version(path: str) -> tuple[str, str | None]:
    """Splits what a path has of a model into its name and its version, None where it has none."""
    name, mark, version = path.partition(_VERSIONS)
    return name, version if mark else None


def check_version(document: ModelDocument, version: str | None) -> None:
    """Refuses a version of a model that is not its present one.

    Raises:
        UnknownModelError: It is another.
    """
    if version is not None and version != document.version:
        raise UnknownModelError(
            f"Model {document.name!r} has no version {version[:80]!r}. Its only version is "
            f"{document.version!r}; leave the version out for the present one."
        )


def check_inference(
    raw: bytes,
    rules: RequestRules,
    models: KnownModels,
    owner: str,
    *,
    path: str,
    head_bytes: int | None = None,
    is_wrapped: bool = False,
) -> CheckedInference:
    """Checks the body of an inference request.

    Args:
        raw: The body as it was received.
        rules: What it must keep to.
        models: What is known of the models.
        owner: Name of the API key that its job will belong to; empty for none.
        path: What the path has of the model: its name, and perhaps its version.
        head_bytes: How long the JSON is; 0 where all of the body is one input, None where it is all JSON.
        is_wrapped: Whether the body is already behind what `write_begin` returned for its JSON.

    Raises:
        InferqError: It is refused.
    """
    name, version = split_version(path)
    model = models.find(name)
    if model is None:
        raise NoWorkerError(f"No worker has announced the model {name!r} yet. Start one and try again.")
    document = model.document
    check_version(document, version)
    models.check_reads(name, ENVELOPE.media_type)
    if head_bytes == 0:
        head, payload, data = _wrap_raw(raw, document)
    else:
        head, payload, data = _read_head(raw, head_bytes, is_wrapped=is_wrapped)
    options = read_options(head, [output.name for output in document.outputs])
    model.validator.validate_inputs(read_values(Envelope(head, data)))
    return CheckedInference(
        _make_submission(name, payload, options, rules, owner), options, tuple(document.class_names or ())
    )


def _make_submission(
    name: str, payload: bytes, options: InferenceOptions, rules: RequestRules, owner: str
) -> Submission:
    seconds = options.timeout_seconds
    return Submission(
        name,
        payload,
        options.priority,
        None if seconds is None else min(seconds, rules.max_run_timeout_seconds),
        owner,
        expires_in_seconds=None if seconds is None else min(seconds, rules.job_ttl_seconds),
    )


def _read_head(
    raw: bytes, head_bytes: int | None, *, is_wrapped: bool
) -> tuple[dict[str, Any], bytes, memoryview]:
    """Returns the JSON of a body, what is stored of it, and the bytes behind the JSON."""
    if head_bytes is None:
        head_bytes = len(raw)
    begin = write_begin(head_bytes)
    start = len(begin) if is_wrapped else 0
    if start + head_bytes > len(raw):
        raise InvalidInputError(
            f"The header Inference-Header-Content-Length says that the JSON has {head_bytes:,} bytes, but "
            f"the body has {len(raw) - start:,}."
        )
    head = parse_object(raw[start : start + head_bytes], _EXAMPLE)
    return head, raw if is_wrapped else begin + raw, memoryview(raw)[start + head_bytes :]


def _wrap_raw(raw: bytes, document: ModelDocument) -> tuple[dict[str, Any], bytes, memoryview]:
    """Returns the request that stands for a body which is nothing but the one input of a model."""
    if len(document.inputs) != 1:
        raise InvalidInputError(
            f"Model {document.name!r} has {len(document.inputs)} inputs; a body without JSON is only one. "
            f"{_EXAMPLE}"
        )
    entry, data = _describe_input(document.inputs[0], raw, document)
    head = {"inputs": [entry], "parameters": {"binary_data_output": True}}
    return head, write_prefix(to_json(head)) + data, memoryview(data)


def _describe_input(tensor: Tensor, raw: bytes, document: ModelDocument) -> tuple[dict[str, Any], bytes]:
    media = {spec.input for spec in (document.image, document.audio) if spec is not None}
    file_type = detect_file_type(raw[:FIRST_BYTES])
    if tensor.name in media and file_type in MEDIA:
        return describe_file(tensor.name, file_type.media_type, len(raw)), raw
    is_text = tensor.datatype is Datatype.BYTES
    shape = [1] * len(tensor.shape) if is_text else _infer_shape(tensor, len(raw))
    data = _LENGTH.pack(len(raw)) + raw if is_text else raw
    return describe_tensor(tensor.name, tensor.datatype, shape, len(data)), data


def _infer_shape(tensor: Tensor, size: int) -> list[int]:
    """Returns the shape of so many bytes: one dynamic axis follows from it; of several the first is 1."""
    shape = list(tensor.shape)
    if shape.count(-1) > 1 and shape[0] < 0:
        shape[0] = 1
    each = prod(length for length in shape if length >= 0) * ITEM_BYTES[tensor.datatype]
    if tensor.is_unranked or shape.count(-1) > 1 or not each:
        raise InvalidInputError(
            f"A body without JSON does not tell the shape of the input {tensor}. {_EXAMPLE}"
        )
    return [size // each if length < 0 else length for length in shape]
