"""The forms of a job's data, told apart by its first bytes and by nothing else.

A new form is a codec, a module like `json_codec`, and its entry in the table `_OTHERS`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from inferq.errors import InvalidInputError
from inferq.tensors import json_codec
from inferq.tensors.data_validator import DataValidator


class Codec(Protocol):
    """Reads data of one form; a module will do. `json_codec` says what each function takes and returns."""

    def read_inputs(self, payload: bytes, validator: DataValidator) -> dict[str, Any]:
        """Reads the data of a job: the value of each input by name, checked against the signature."""

    def read_rows(
        self, payloads: Sequence[bytes], validator: DataValidator
    ) -> tuple[list[Any], list[int]] | None:
        """Reads the data of several jobs in one pass; None where that is not possible."""


@dataclass(frozen=True, slots=True)
class Form:
    """A form of data.

    Attributes:
        name: What errors call it.
        codec: Reads it; None for a form that is known, but not supported.
        media_type: What HTTP calls it.
        suffix: How names of such files end.
    """

    name: str
    codec: Codec | None = None
    media_type: str = "application/octet-stream"
    suffix: str = ".bin"


JSON = Form("JSON", json_codec, "application/json", ".json")

_OTHERS = (
    (re.compile(rb"\x93INFERQ"), Form("an envelope of raw tensors")),
    (re.compile(rb"\x93NUMPY"), Form("a NumPy array (.npy)", suffix=".npy")),
    (re.compile(rb"PK\x03\x04"), Form("a zip archive (.npz)", None, "application/zip", ".npz")),
    (re.compile(rb"\x89PNG"), Form("a PNG image", None, "image/png", ".png")),
    (re.compile(rb"\xff\xd8\xff"), Form("a JPEG image", None, "image/jpeg", ".jpg")),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), Form("a WebP image", None, "image/webp", ".webp")),
    (re.compile(rb"GIF8"), Form("a GIF image", None, "image/gif", ".gif")),
)
"""How payloads of each other form begin. None of them begins a JSON text."""


def detect_form(first_bytes: bytes) -> Form:
    """Returns the form of a payload; what begins like no other form is taken for JSON.

    Args:
        first_bytes: At least the first 16 bytes of the payload, or all of a shorter one.
    """
    if first_bytes[:1] in (b"[", b"{"):
        return JSON
    return next((form for start, form in _OTHERS if start.match(first_bytes)), JSON)


def read_inputs(payload: bytes, validator: DataValidator) -> dict[str, Any]:
    """Reads the data of a job, whatever its form; see `json_codec.read_inputs`.

    Raises:
        InvalidInputError: Its form is not supported, it cannot be read, or it does not fit the signature.
    """
    form = detect_form(payload)
    if form.codec is None:
        raise InvalidInputError(
            f"The job's data is {form.name}, a form that is not supported. Expected the JSON of an array, or "
            "of an object of named inputs."
        )
    return form.codec.read_inputs(payload, validator)


def read_rows(payloads: Sequence[bytes], validator: DataValidator) -> tuple[list[Any], list[int]] | None:
    """Reads the data of several jobs of one form in one pass; see `json_codec.read_rows`."""
    if not validator.joins_rows:
        return None
    codec = detect_form(payloads[0]).codec
    return None if codec is None else codec.read_rows(payloads, validator)
