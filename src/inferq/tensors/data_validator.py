"""Validation of `data` against a model's signature: the same rules in the proxy and in the worker.

The rules for values, none of which converts anything silently:

- FP16, FP32, FP64 take JSON numbers, whole or not, within the datatype's range. `null` and "NaN" are NaN, a
  missing value to many models; "Infinity" and "-Infinity" are the infinities. A parser that takes them may
  also have read these words without quotes, as Python's `json` writes them.
- INT8 … UINT64 take whole numbers within range, written as such: `3`, not `3.0`. A float cannot hold every
  64-bit integer, so accepting it would let a rounded id through.
- BOOL takes `true` and `false`, not 0 and 1; BYTES takes strings.

Raw tensors have the very datatype of their input; so `x.astype("float32")` for FP32, where NumPy has FP64.
Floats may be NaN or infinite there. BOOL has bytes 0 and 1, BYTES is UTF-8.

The rules for arrays: they are nested as deep as the shape is long. An axis of fixed length has that length. A
dynamic axis has any length, also 0, and the same throughout (not ragged). The axes inside an empty array have
their fixed length, or 0.
"""

import math
import re
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, cast

from inferq.errors import InvalidInputError
from inferq.tensors.container_validator import ContainerValidator, gather_parts
from inferq.tensors.input_validator import InputValidator
from inferq.tensors.input_values import find_carrier, unwrap
from inferq.tensors.media_inputs import check_media_input, find_media_input
from inferq.tensors.nested_arrays import describe, quote
from inferq.tensors.number_text import LEAST_BYTES
from inferq.tensors.remote_files import list_remote_files
from inferq.tensors.signature import Datatype, ModelDocument
from inferq.tensors.values import MediaFile, RawTensor, RemoteFile, count_rows

_NAMED_BY_NUMPY = re.compile(r"arr_\d+")
"""What `numpy.savez` calls arrays that are given without a name."""


class DataValidator:
    """Validates the `data` of jobs for one model. Build one per document and keep it.

    Args:
        document: The model's document.
        max_rows: Most rows in one job; None for no limit.
    """

    def __init__(self, document: ModelDocument, max_rows: int | None = None) -> None:
        self._document = document
        self._max_rows = max_rows
        names = document.feature_names if len(document.inputs) == 1 else None
        self._required = [tensor.name for tensor in document.inputs if not tensor.is_optional]
        self._order = [tensor.name for tensor in (*document.inputs, *document.optional_inputs)]
        self._datatypes = {
            tensor.name: tensor.datatype for tensor in (*document.inputs, *document.optional_inputs)
        }
        self._containers = {
            tensor.name: ContainerValidator(tensor, document)
            for tensor in document.inputs
            if tensor.onnx_type is not None
        }
        self._media_inputs = {spec.input for spec in (document.image, document.audio) if spec is not None}
        self._inputs = {
            tensor.name: InputValidator(tensor, document, names)
            for tensor in document.inputs
            if tensor.onnx_type is None
        } | {tensor.name: InputValidator(tensor, document, None) for tensor in document.optional_inputs}

    def validate(self, data: object) -> int:
        """Checks that `data` can be turned into the model's inputs.

        Args:
            data: Parsed data: the value of the only input that is required, or a mapping of input names to
                values for any model, or an empty list for one without inputs. A value is nested lists, or one
                of `values`, or what JSON has for it (see `input_values`).

        Returns:
            The number of rows; 1 for a model whose batch axis is fixed.

        Raises:
            InvalidInputError: It does not fit; the message says where, what was expected and what was got.
        """
        named = self.validate_inputs(data)
        return count_rows(next(iter(named.values()))) if self._document.batched else 1

    def validate_inputs(self, data: object) -> dict[str, Any]:
        """Checks `data` as `validate` does, and returns the value of each input by name.

        Returns:
            Nested lists, raw tensors, files of pictures or sound, or remote files; for an input that is no
            tensor what `ContainerValidator.read` gives, and nothing for one that is absent.

        Raises:
            InvalidInputError: It does not fit.
        """
        named = self._name_inputs(data)
        is_named = isinstance(data, dict) and not self._is_one_value(data)
        containers = self._read_containers(named, is_named=is_named) if self._containers else {}
        for name, wrapped in named.items():
            value = wrapped
            where = f"data[{quote(name)}]" if is_named else "data"
            if type(value) is not list:
                takes_text = self._datatypes[name] is Datatype.BYTES and name not in self._media_inputs
                value = unwrap(value, where, self._datatypes[name], takes_text=takes_text)
                named[name] = value
                if isinstance(value, RemoteFile):
                    self._inputs[name].check_remote_file(value, where, self._max_rows)
                    continue
            if isinstance(value, MediaFile):
                check_media_input(self._document, name, value.media_type)
                continue
            self._inputs[name].validate(value, where, self._max_rows)
        if self._document.batched and len(self._required) > 1:
            self._check_same_rows(named)
        return {**named, **containers} if containers else named

    def _read_containers(self, named: dict[str, Any], *, is_named: bool) -> dict[str, Any]:
        """Takes the values of inputs that are no tensors out of `named`, and returns those that are there."""
        values = {
            name: self._containers[name].read(named.pop(name), f"data[{quote(name)}]" if is_named else "data")
            for name in [*named]
            if name in self._containers
        }
        return {name: value for name, value in values.items() if value is not None}

    def read_numbers(self, text: bytes) -> dict[str, RawTensor] | None:
        """Reads and checks data that is long JSON, in a third of the time.

        Args:
            text: JSON, UTF-8.

        Returns:
            The value of the only input that is required, by its name; None where the text is anything but
            numbers that fit: then parse it, and call `validate_inputs`.
        """
        if len(text) < LEAST_BYTES or len(self._required) != 1 or self._containers:
            return None
        [name] = self._required
        value = self._inputs[name].read_numbers(text, self._max_rows)
        return None if value is None else {name: value}

    def list_remote_files(self, inputs: Mapping[str, Any]) -> list[RemoteFile]:
        """Returns the remote files among what `validate_inputs` has returned."""
        return list_remote_files(inputs.values(), are_in_lists=bool(self._containers))

    @property
    def joins_rows(self) -> bool:
        """Whether the data of several jobs can be joined: of one input, whose first axis is dynamic."""
        return self._document.batched and len(self._required) == 1

    def join_rows(self, several: Sequence[object]) -> list[Any] | None:
        """Checks the data of several jobs in one pass, and returns all their rows in one list.

        Args:
            several: Parsed data of each job.

        Returns:
            The rows of all jobs, in order; None where they cannot be checked together, or one does not fit:
            then validate the data of each job by itself.
        """
        if not self.joins_rows:
            return None
        most = self._max_rows or math.inf
        if not all(type(data) is list and 0 < len(data) <= most for data in several):
            return None
        validator = self._inputs[self._required[0]]
        rows = list(chain.from_iterable(cast("Sequence[list[Any]]", several)))
        return rows if validator.is_valid(rows) else None

    def _name_inputs(self, data: object) -> dict[str, Any]:
        """Returns the value of each input by name, optional inputs last; not yet checked.

        Raises:
            InvalidInputError: An input is missing or unknown, or the inputs are not named.
        """
        if isinstance(data, MediaFile):
            return {find_media_input(self._document, data.media_type): data}
        if not isinstance(data, dict) or self._is_one_value(data):
            if len(self._required) == 1:
                return {self._required[0]: data}
            if not self._required and data == []:
                return {}
            if not self._required and len(self._containers) == 1:
                return {next(iter(self._containers)): data}
            if not self._order:
                raise InvalidInputError(
                    f"model {self._document.name!r} takes no inputs, got {describe(data)}. Send [] or {{}}."
                )
            remedy = (
                " Send an .npz archive or multipart/form-data, with each input under its name."
                if isinstance(data, RawTensor)
                else ""
            )
            raise InvalidInputError(
                f"data must be an object with {self._describe_inputs()}, got {describe(data)}. "
                f"Name each input.{remedy}"
            )
        if self._containers:
            data = gather_parts(data, self._document.inputs)
        for name in data:
            if name not in self._datatypes:
                remedy = (
                    f" Name the arrays: numpy.savez(file, {next(iter(self._order), 'x')}=…)."
                    if _NAMED_BY_NUMPY.fullmatch(str(name))
                    else ""
                )
                raise InvalidInputError(
                    f"data names {quote(str(name))}, which is no input of model {self._document.name!r}. "
                    f"Expected {self._describe_inputs()}.{remedy}"
                )
        for name in self._required:
            if name not in data:
                raise InvalidInputError(f"data lacks the input {name!r}. Expected {self._describe_inputs()}.")
        return {name: data[name] for name in self._order if name in data}

    def _is_one_value(self, data: dict[str, Any]) -> bool:
        """Whether an object is the value of an input, not a mapping of names to values."""
        carrier = find_carrier(data)
        return carrier is not None and carrier not in self._order

    def _check_same_rows(self, named: dict[str, Any]) -> None:
        rows = {
            name: count_rows(named[name])
            for name in self._required
            if not isinstance(named[name], RemoteFile)  # known once it is fetched
        }
        if len(set(rows.values())) > 1:
            counts = ", ".join(f"{name!r} has {count}" for name, count in rows.items())
            raise InvalidInputError(f"Every input needs the same number of rows, but {counts}.")

    def _describe_inputs(self) -> str:
        inputs, optional = self._document.inputs, self._document.optional_inputs
        noun = "no inputs" if not inputs else "the input " if len(inputs) == 1 else "the inputs "
        rest = f", and perhaps {', '.join(map(str, optional))}" if optional else ""
        return f"{noun}{', '.join(map(str, inputs))}{rest}"
