"""Checks inference requests of the Open Inference Protocol and makes submissions for the queue of them.

Nothing here waits, so it can run on the event loop or in a process of the pool, as `request_checks` does. It
imports neither FastAPI nor Redis.
"""

import struct
from math import prod
from typing import Any, NamedTuple

from pydantic_core import to_json

from inferq.errors import InvalidInputError, NoWorkerError
from inferq.model_names import VERSION_MARK
from inferq.proxy.http.bodies.predict_body import parse_object
from inferq.proxy.http.inference_protocol import InferenceOptions, read_options
from inferq.proxy.services.models.known_models import KnownModels
from inferq.proxy.services.requests.reference_checks import check_remote_files
from inferq.proxy.services.requests.request_rules import RequestRules
from inferq.queue import Idempotency, Submission
from inferq.tensors.envelope import Envelope, read_envelope, write_begin, write_prefix
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
        idempotency: By what a repeated request is recognised, where that is known already.
    """

    submission: Submission
    options: InferenceOptions
    class_names: tuple[str, ...] = ()
    idempotency: Idempotency | None = None


def read_model_path(path: str) -> str:
    """Returns the name of the model, or of the version of it, that stands in a path of the protocol."""
    name, mark, version = path.partition(_VERSIONS)
    return f"{name}{VERSION_MARK}{version}" if mark else name


def check_inference(
    raw: bytes | memoryview,
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
        is_wrapped: Whether the body is already behind what `write_begin` returned for its JSON, or
            `make_raw_begin` where it has none.

    Raises:
        InferqError: It is refused.
    """
    name = read_model_path(path)
    queue, model = models.locate(name)
    if model is None:
        raise NoWorkerError(f"No worker has announced the model {name!r} yet. Start one and try again.")
    document = model.document
    models.check_reads(queue, ENVELOPE.media_type)
    payload: bytes | memoryview
    if head_bytes == 0:
        payload = raw if is_wrapped else make_raw_begin(raw[:FIRST_BYTES], len(raw), document) + raw
        envelope = read_envelope(payload)
    else:
        envelope, payload = _read_head(raw, head_bytes, is_wrapped=is_wrapped)
    options = read_options(envelope.head, [output.name for output in document.outputs])
    inputs = model.validator.validate_inputs(read_values(envelope))
    check_remote_files(model.validator.list_remote_files(inputs), queue, rules, models, owner)
    return CheckedInference(
        _make_submission(queue, payload, options, rules, owner), options, tuple(document.class_names or ())
    )


def _make_submission(
    queue: str, payload: bytes | memoryview, options: InferenceOptions, rules: RequestRules, owner: str
) -> Submission:
    seconds = options.timeout_seconds
    return Submission(
        queue,
        payload,
        options.priority,
        None if seconds is None else min(seconds, rules.max_run_timeout_seconds),
        owner,
        expires_in_seconds=None if seconds is None else min(seconds, rules.job_ttl_seconds),
    )


def make_raw_begin(first_bytes: bytes | memoryview, size: int, document: ModelDocument) -> bytes:
    """Returns what makes an envelope of a body that is nothing but the one input of a model, put before it.

    Args:
        first_bytes: The first `FIRST_BYTES` of the body, or all of a shorter one.
        size: How long it is, bytes.
        document: The model.

    Raises:
        InvalidInputError: The model takes more than one input, or none; or the length tells no shape.
    """
    if len(document.inputs) != 1:
        raise InvalidInputError(
            f"Model {document.name!r} has {len(document.inputs)} inputs that are required; a body without "
            f"JSON is only one. {_EXAMPLE}"
        )
    [tensor] = document.inputs
    entry, length = _describe_input(tensor, first_bytes, size, document), b""
    if tensor.datatype is Datatype.BYTES and "datatype" in entry:
        length = _LENGTH.pack(size)
    head = {"inputs": [entry], "parameters": {"binary_data_output": True}}
    return write_prefix(to_json(head)) + length


def _describe_input(
    tensor: Tensor, first_bytes: bytes | memoryview, size: int, document: ModelDocument
) -> dict[str, Any]:
    media = {spec.input for spec in (document.image, document.audio) if spec is not None}
    file_type = detect_file_type(first_bytes)
    if tensor.name in media and file_type in MEDIA:
        return describe_file(tensor.name, file_type.media_type, size)
    if tensor.datatype is Datatype.BYTES:  # one text, behind its length
        return describe_tensor(tensor.name, tensor.datatype, [1] * len(tensor.shape), _LENGTH.size + size)
    return describe_tensor(tensor.name, tensor.datatype, _infer_shape(tensor, size), size)


def _read_head(
    raw: bytes | memoryview, head_bytes: int | None, *, is_wrapped: bool
) -> tuple[Envelope, bytes | memoryview]:
    """Returns the JSON of a body with the bytes behind it, and what is stored of the body."""
    if head_bytes is None:
        head_bytes = len(raw)
    begin = write_begin(head_bytes)
    start = len(begin) if is_wrapped else 0
    if start + head_bytes > len(raw):
        raise InvalidInputError(
            f"The header Inference-Header-Content-Length says that the JSON has {head_bytes:,} bytes, but "
            f"the body has {len(raw) - start:,}."
        )
    head = parse_object(bytes(raw[start : start + head_bytes]), _EXAMPLE)
    return Envelope(head, memoryview(raw)[start + head_bytes :]), raw if is_wrapped else begin + raw


def _infer_shape(tensor: Tensor, size: int) -> list[int]:
    """Returns the shape of so many bytes: one dynamic axis follows from it; of several the first is 1."""
    shape = list(tensor.shape)
    if shape.count(-1) > 1 and shape[0] < 0:
        shape[0] = 1
    each = prod(length for length in shape if length >= 0) * ITEM_BYTES.get(tensor.datatype, 0)
    if tensor.is_unranked or shape.count(-1) > 1 or not each:
        raise InvalidInputError(
            f"A body without JSON does not tell the shape of the input {tensor}. {_EXAMPLE}"
        )
    return [size // each if length < 0 else length for length in shape]
