"""Results as JSON: from a model's outputs to what `GET /job/{id}` shows."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from types import EllipsisType
from typing import Any, Protocol

import numpy as np
import orjson

from inferq.errors import InvalidModelError, ModelError
from inferq.models.arrays import Array, MapRows, make_jsonable
from inferq.models.config import ModelConfig
from inferq.tensors.signature import Datatype, Tensor

Outputs = Mapping[str, Array]

_NEARLY = 1e-3
"""Share of the largest probability by which another may be less and still be called the largest."""


class ResultEncoder(Protocol):
    """How the outputs of one model become JSON.

    NaN and infinities, which JSON lacks, become null, or strings where the card says so.
    """

    def encode(self, outputs: Outputs, rows: Sequence[int] | None) -> list[bytes]:
        """Returns the JSON of the result of each job in a run.

        Args:
            outputs: The model's outputs, by name.
            rows: Rows of each job, in order; None for a single job whose outputs are not by row.

        Raises:
            ModelError: The outputs are not what the signature promises.
            InvalidModelError: They are not what the card says of them, and never will be.
        """

    def check_example(self, outputs: Outputs) -> None:
        """Refuses what the model gives for its example where that tells more than `encode` can know.

        Raises:
            InvalidModelError: The card contradicts it.
        """


@dataclass(frozen=True, slots=True)
class TensorEncoder:
    """The result of any model: `{"outputs": {name: nested list}}`.

    Attributes:
        spells_non_finite: Whether NaN and infinities become strings.
    """

    spells_non_finite: bool = False

    def encode(self, outputs: Outputs, rows: Sequence[int] | None) -> list[bytes]:
        """Returns the JSON of each job's result; see `ResultEncoder`."""
        if rows is None or len(rows) == 1:
            return [self._dump(outputs, ...)]
        total = sum(rows)
        for name, array in outputs.items():
            if array.shape[:1] != (total,):
                raise ModelError(
                    f"Output {name!r} has shape {list(array.shape)} for {total} rows of data; it must have "
                    "one entry for each, or the rows of several jobs cannot be told apart."
                )
        return [self._dump(outputs, part) for part in _parts(rows)]

    def check_example(self, outputs: Outputs) -> None:
        """Takes anything."""

    def _dump(self, outputs: Outputs, part: slice | EllipsisType) -> bytes:
        spells = self.spells_non_finite
        return _dump(
            {
                "outputs": {
                    name: make_jsonable(array[part], spells_non_finite=spells)
                    for name, array in outputs.items()
                }
            }
        )


@dataclass(frozen=True)
class ClassifierEncoder:
    """The result of a classifier: `prediction`, `class_name` and `probabilities`.

    One row gives an int, a string and a list; n rows give a list of n each. `prediction` is the index in
    `class_names`, whatever the model itself calls the class. A model without probabilities gives null for
    them; one without labels is read by its largest probability (null where a probability is NaN).

    Attributes:
        class_names: Names of the classes by index.
        label: Name of the output that holds each row's class, if there is one.
        probabilities: Name of the output that holds each row's probabilities, if there is one.
        class_labels: What the label output holds for each class, by index; None where it holds the index or
            the name. As a value is easily taken for an index, it must then agree with the probabilities.
        spells_non_finite: Whether NaN and infinities become strings.
    """

    class_names: list[str]
    label: str | None
    probabilities: str | None
    class_labels: list[int | str] | None = None
    spells_non_finite: bool = False

    def encode(self, outputs: Outputs, rows: Sequence[int] | None) -> list[bytes]:
        """Returns the JSON of each job's result; see `ResultEncoder`."""
        probabilities, keys = self._read_probabilities(outputs)
        classes = self._read_classes(outputs, probabilities, keys)
        names = [None if index is None else self.class_names[index] for index in classes]
        counts = {len(classes)} if probabilities is None else {len(classes), len(probabilities)}
        if len(counts) > 1 or (rows is not None and counts != {sum(rows)}):
            total = "" if rows is None else f"for {sum(rows)} rows of data"
            raise ModelError(
                f"The model gave {sorted(counts)} classified rows {total}; it must give one "
                "for each. Export it with a batch axis in its outputs."
            )
        if probabilities is not None and self.label is not None and not (keys or self.class_labels):
            for row in self._find_contradictions(classes, probabilities):
                raise self._contradiction(outputs[self.label].reshape(-1)[row], probabilities[row])
        table: Any = None
        if probabilities is not None:
            table = make_jsonable(probabilities, spells_non_finite=self.spells_non_finite)
        results = []
        for part in _parts([len(classes)] if rows is None else rows):
            first = part.start
            # one row: plain values instead of lists of one
            chosen: Any = first if part.stop - first == 1 else part
            results.append(
                _dump(
                    {
                        "prediction": classes[chosen],
                        "class_name": names[chosen],
                        "probabilities": None if table is None else table[chosen],
                    }
                )
            )
        return results

    def check_example(self, outputs: Outputs) -> None:
        """Refuses labels of which most contradict the probabilities; of single ones a model may decide so."""
        probabilities, keys = self._read_probabilities(outputs)
        if self.label is None or probabilities is None or keys:
            return
        classes = self._read_classes(outputs, probabilities, keys)
        if len(classes) != len(probabilities):
            return
        rows = self._find_contradictions(classes, probabilities)
        if len(rows) > len(classes) / 2:
            raise self._contradiction(outputs[self.label].reshape(-1)[rows[0]], probabilities[rows[0]])

    def _read_probabilities(self, outputs: Outputs) -> tuple[Array | None, list[int | str]]:
        """Returns a column for each class in the order of the names, and what a map calls them."""
        if self.probabilities is None:
            return None, []
        given = outputs[self.probabilities]
        keys = given.keys if isinstance(given, MapRows) else []
        probabilities, expected = np.atleast_2d(np.asarray(given)), len(self.class_names)
        if not len(probabilities):
            return np.empty((0, expected), dtype=probabilities.dtype), keys
        if probabilities.ndim > 2 or probabilities.shape[-1] != expected:
            raise InvalidModelError(
                f"Output {self.probabilities!r} has shape {list(probabilities.shape)}, but class_names has "
                f"{expected} names and expects one probability for each. Correct model.toml."
            )
        if not keys:
            return probabilities, []
        names = self.class_labels or self.class_names
        if set(keys) == set(names):
            return probabilities[:, [keys.index(name) for name in names]], [*names]
        if self.class_labels:
            raise InvalidModelError(
                f"Output {self.probabilities!r} tells of the classes {_enumerate(keys)}, but class_names of "
                f"{_enumerate(self.class_labels)}. Correct model.toml."
            )
        return probabilities, keys

    def _read_classes(
        self, outputs: Outputs, probabilities: Array | None, keys: list[int | str]
    ) -> list[int | None]:
        if self.label is not None:
            places = {key: index for index, key in enumerate(keys)} or self._places
            labels = outputs[self.label].reshape(-1).tolist()
            try:
                return [places[label] for label in labels]
            except KeyError as error:
                raise self._unknown_label(error.args[0]) from error
        if probabilities is None:
            return []
        best, undecided = probabilities.argmax(axis=1), np.isnan(probabilities).any(axis=1)
        return [None if nan else int(index) for index, nan in zip(best, undecided, strict=True)]

    @cached_property
    def _places(self) -> dict[int | str, int]:
        """The index of each label."""
        if self.class_labels:
            return {label: index for index, label in enumerate(self.class_labels)}
        places: dict[int | str, int] = {index: index for index in range(len(self.class_names))}
        for index, name in enumerate(self.class_names):
            places.setdefault(name, index)
        return places

    def _find_contradictions(self, classes: Sequence[int | None], probabilities: Array) -> list[int]:
        """Returns the rows in which another class than that of the label is clearly the most probable."""
        chosen = np.array(classes, dtype=np.intp)
        odd = np.flatnonzero(probabilities.argmax(axis=1) != chosen)
        if not odd.size:
            return []
        values = probabilities[odd].astype(np.float64)
        largest, of_chosen = values.max(axis=1), values[np.arange(len(odd)), chosen[odd]]
        return [int(row) for row in odd[largest - of_chosen > _NEARLY * np.abs(largest)]]

    def _contradiction(self, label: object, probabilities: Array) -> InvalidModelError:
        best = self.class_names[int(probabilities.argmax())]
        return InvalidModelError(
            f"The model answered with class {_quote(label)}, but the largest value in {self.probabilities!r} "
            f"is that of {best!r}, by the order of class_names. {self._remedy(label)} If that output holds "
            'no probabilities, say probabilities_output = "".'
        )

    def _unknown_label(self, label: object) -> InvalidModelError:
        known = f"its labels are {_enumerate(self.class_labels)}" if self.class_labels else "from index 0"
        return InvalidModelError(
            f"The model answered with class {_quote(label)}, which class_names ({len(self.class_names)} "
            f"names, {known}) does not have. {self._remedy(label)}"
        )

    def _remedy(self, label: object) -> str:
        return (
            "In model.toml, write class_names as a table from each label to its name, in the order of the "
            f'probabilities if there are any, such as class_names = {{"{label}" = "a name", …}}.'
        )


def choose_encoder(outputs: list[Tensor], card: ModelConfig) -> ResultEncoder:
    """Returns the encoder for a model with these outputs and this card.

    Raises:
        InvalidModelError: The card makes the model a classifier, but its outputs do not fit; or it
            names outputs without class names.
    """
    spells = card.non_finite == "string"
    if card.class_names is None:
        if card.label_output or card.probabilities_output:
            raise InvalidModelError("label_output and probabilities_output need class_names. Add them.")
        return TensorEncoder(spells)
    count = len(card.class_names)
    label = _find_output(outputs, card.label_output, _holds_labels)
    _refuse_other_number(outputs, card.probabilities_output, count)
    probabilities = _find_output(
        outputs, card.probabilities_output, lambda tensor: _holds_probabilities(tensor, count)
    )
    if label is None and probabilities is None:
        found = ", ".join(str(tensor) for tensor in outputs)
        raise InvalidModelError(
            f"class_names has {count} names, but no output fits a classifier: expected integers or strings "
            f"of shape [-1], or floats of shape [-1, {count}], got {found}. Name one as label_output or "
            "probabilities_output, or remove class_names."
        )
    if isinstance(card.class_names, list):
        return ClassifierEncoder(card.class_names, label, probabilities, None, spells)
    labels = _read_labels(card.class_names, label, probabilities, outputs)
    return ClassifierEncoder([*card.class_names.values()], label, probabilities, labels, spells)


def _find_output(outputs: list[Tensor], name: str | None, fits: Callable[[Tensor], bool]) -> str | None:
    if name is None:
        return next((tensor.name for tensor in outputs if tensor.shape and fits(tensor)), None)
    if not name:
        return None
    for tensor in outputs:
        # a shape that is unknown shows as empty: then the card is trusted and each run checked
        if tensor.name == name and (not tensor.shape or fits(tensor)):
            return name
    found = ", ".join(str(tensor) for tensor in outputs)
    raise InvalidModelError(f"No output named {name!r} fits its role in model.toml. The model has {found}.")


def _refuse_other_number(outputs: list[Tensor], name: str | None, count: int) -> None:
    """Refuses names of another number than the columns of the only output that can be probabilities."""
    named = [tensor for tensor in outputs if name in (None, tensor.name)]
    tables = [
        tensor
        for tensor in named
        if len(tensor.shape) == 2 and tensor.datatype.is_float and tensor.shape[1] > 1
    ]
    if len(tables) == 1 and not any(_holds_probabilities(tensor, count) for tensor in named):
        raise InvalidModelError(
            f"class_names has {count} names, but the output {tables[0]} has {tables[0].shape[1]} columns. "
            'Give one name for each; or, if they are no probabilities, say probabilities_output = "".'
        )


def _holds_labels(tensor: Tensor) -> bool:
    return (
        tensor.onnx_type is None
        and (len(tensor.shape) == 1 or tensor.shape[1:] == [1])
        and (tensor.datatype.is_integer or tensor.datatype is Datatype.BYTES)
    )


def _holds_probabilities(tensor: Tensor, count: int) -> bool:
    if tensor.onnx_type is not None:
        return tensor.onnx_type.startswith("seq(map(")
    return len(tensor.shape) == 2 and tensor.datatype.is_float and tensor.shape[1] in (-1, count)


def _read_labels(
    names: dict[str, str], label: str | None, probabilities: str | None, outputs: list[Tensor]
) -> list[int | str]:
    """Returns the labels of a table of names as the model has them: TOML's keys are always strings."""
    [tensor] = [tensor for tensor in outputs if tensor.name == (label or probabilities)]
    if tensor.datatype is Datatype.BYTES or (tensor.onnx_type or "").startswith("seq(map(string"):
        return [*names]
    try:
        return [int(key) for key in names]
    except ValueError as error:
        if label is None and tensor.onnx_type is None:
            return [*names]
        raise InvalidModelError(
            f"class_names has the labels {_enumerate([*names])}, but those of the output {tensor} are whole "
            "numbers. Write these."
        ) from error


def _enumerate(labels: Sequence[int | str]) -> str:
    return ", ".join(map(_quote, labels[:10])) + (", …" if len(labels) > 10 else "")


def _quote(label: object) -> str:
    return json.dumps(label, ensure_ascii=False, default=str) if isinstance(label, str) else str(label)


def _parts(rows: Sequence[int]) -> list[slice]:
    """Where the rows of each job are."""
    return [slice(end - count, end) for count, end in zip(rows, accumulate(rows), strict=True)]


def _dump(result: object) -> bytes:
    return orjson.dumps(result, option=orjson.OPT_SERIALIZE_NUMPY)
