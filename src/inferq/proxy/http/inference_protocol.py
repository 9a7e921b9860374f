"""Inference requests of the Open Inference Protocol: what they ask for besides the tensors themselves.

The body is a JSON object, and behind it, where the header `Inference-Header-Content-Length` tells its length,
the bytes of tensors. With a length of 0 all of the body is one tensor. `Content-Type` tells nothing: the most
used client sends none.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from inferq.errors import InvalidInputError
from inferq.jobs import Priority
from inferq.tensors.nested_arrays import describe, quote

HEAD_LENGTH = b"inference-header-content-length"
"""The header that tells how long the JSON is, where tensors follow it as bytes."""
BINARY = "application/octet-stream"
"""The media type of JSON that tensors follow."""
_MOST_DIGITS = 9
"""Of that length: an envelope, which every such body becomes, counts in 32 bits."""

_PRIORITIES = {0: Priority.NORMAL, 1: Priority.HIGH, 2: Priority.NORMAL}
"""1 is the highest, 0 stands for the default; all others are low."""
_MICROSECONDS = 1_000_000
_SEQUENCES = ("sequence_id", "sequence_start", "sequence_end")
_LONGEST_ID = 1024
_LONGEST_TIMEOUT = 10**15
"""Microseconds, 31 years: more is no limit."""


class OutputWish(NamedTuple):
    """How an output is to be answered.

    Attributes:
        name: Its name.
        is_binary: Whether as bytes behind the JSON.
        classes: How many of the classes with the largest values are to be named instead of the values; 0 for
            the values.
    """

    name: str
    is_binary: bool = False
    classes: int = 0


class InferenceOptions(NamedTuple):
    """What a request asks for.

    Attributes:
        id: The client's name for it, which the answer has again; None if it gave none.
        outputs: The outputs, in this order; none where all are asked for.
        is_binary: Whether outputs are answered as bytes where all are asked for.
        priority: Of the job.
        timeout_seconds: Within which the job has to begin, and then to end; None for no such limit.
    """

    id: str | None = None
    outputs: tuple[OutputWish, ...] = ()
    is_binary: bool = False
    priority: Priority = Priority.NORMAL
    timeout_seconds: float | None = None


def read_head_length(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    """Returns how long the JSON of a request is; None where it is the whole body.

    Args:
        headers: Names in lower case, and values.

    Raises:
        InvalidInputError: The header is no number of bytes.
    """
    given = [value for name, value in headers if name == HEAD_LENGTH]
    if not given:
        return None
    if len(given) > 1 or not given[0].isdigit() or len(given[0]) > _MOST_DIGITS:
        raise InvalidInputError(
            "Inference-Header-Content-Length must be one header, how many bytes the JSON at the begin of the "
            f"body has, got {b', '.join(given).decode('latin-1')[:80]!r}."
        )
    return int(given[0])


def read_options(head: dict[str, Any], known_outputs: Sequence[str]) -> InferenceOptions:
    """Reads what a request asks for.

    Args:
        head: Its JSON.
        known_outputs: Names of the outputs that the model has.

    Raises:
        InvalidInputError: It asks for what there is not, or a member cannot be read.
    """
    parameters = _read_parameters(head, "parameters")
    is_binary = _read_flag(parameters, "binary_data_output", default=False)
    _refuse_sequences(parameters)
    return InferenceOptions(
        _read_id(head.get("id")),
        _read_outputs(head.get("outputs"), known_outputs, is_binary=is_binary),
        is_binary,
        _read_priority(parameters.get("priority", 0)),
        _read_timeout(parameters.get("timeout", 0)),
    )


def _read_id(given: object) -> str | None:
    if given is None or given == "":
        return None
    if not isinstance(given, str) or len(given) > _LONGEST_ID:
        raise InvalidInputError(
            f"id must be a string of at most {_LONGEST_ID} characters, got {describe(given)}."
        )
    return given


def _read_parameters(holder: dict[str, Any], where: str) -> dict[str, Any]:
    parameters = holder.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise InvalidInputError(f"{where} must be an object, got {describe(parameters)}.")
    return parameters


def _read_flag(parameters: dict[str, Any], name: str, *, default: bool) -> bool:
    flag = parameters.get(name, default)
    if not isinstance(flag, bool):
        raise InvalidInputError(f"The parameter {name} must be true or false, got {describe(flag)}.")
    return flag


def _refuse_sequences(parameters: dict[str, Any]) -> None:
    if any(parameters.get(name) for name in _SEQUENCES):
        raise InvalidInputError(
            "Models with a state between requests are not supported: leave out the parameters "
            f"{', '.join(_SEQUENCES)}, and send each request with all that it needs."
        )


def _read_priority(given: object) -> Priority:
    if type(given) is not int or given < 0:
        raise InvalidInputError(
            f"The parameter priority must be a whole number: 1 for high, 2 (or 0) for normal, above for low; "
            f"got {describe(given)}."
        )
    return _PRIORITIES.get(given, Priority.LOW)


def _read_timeout(given: object) -> float | None:
    if type(given) is not int or given < 0:
        raise InvalidInputError(
            f"The parameter timeout must be a whole number of microseconds, got {describe(given)}."
        )
    return min(given, _LONGEST_TIMEOUT) / _MICROSECONDS or None


def _read_outputs(given: object, known: Sequence[str], *, is_binary: bool) -> tuple[OutputWish, ...]:
    if not given:
        return ()
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise InvalidInputError(f"outputs must be an array of objects, got {describe(given)}.")
    wishes = tuple(_read_output(one, known, is_binary=is_binary) for one in given)
    if len({wish.name for wish in wishes}) < len(wishes):
        raise InvalidInputError("outputs names an output twice. Ask for each once.")
    return wishes


def _read_output(entry: dict[str, Any], known: Sequence[str], *, is_binary: bool) -> OutputWish:
    name = entry.get("name")
    if name not in known:
        raise InvalidInputError(
            f"outputs names {quote(name) if isinstance(name, str) else describe(name)}, which is no output "
            f"of the model. Its outputs are {', '.join(map(repr, known)) or 'none'}."
        )
    parameters = _read_parameters(entry, f"The parameters of output {name!r}")
    classes = parameters.get("classification", 0)
    if type(classes) is not int or classes < 0:
        raise InvalidInputError(
            f"The parameter classification of output {name!r} must be how many classes to name, got "
            f"{describe(classes)}."
        )
    if "shared_memory_region" in parameters:
        raise InvalidInputError(f"Output {name!r} cannot go to shared memory: it comes in the answer.")
    return OutputWish(str(name), _read_flag(parameters, "binary_data", default=is_binary), classes)
