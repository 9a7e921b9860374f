"""Results as JSON: from a model's outputs to what `GET /job/{id}` shows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Protocol

import numpy as np
import orjson

from inferq.jobs import InvalidModelError, ModelError
from inferq.models.card import ModelCard
from inferq.models.signature import Datatype, Tensor
from inferq.models.tensors import Array, make_jsonable

Outputs = Mapping[str, Array]


class ResultEncoder(Protocol):
    """How the outputs of one model become JSON. NaN and infinities, which JSON lacks, become null."""

    def encode(self, outputs: Outputs, rows: Sequence[int] | None) -> list[bytes]:
        """Returns the JSON of the result of each job in a run.

        Args:
            outputs: The model's outputs, by name.
            rows: Rows of each job, in order; None for a single job whose outputs are not by row.

        Raises:
            ModelError: The outputs are not what the signature and the card promise.
        """


class TensorEncoder:
    """The result of any model: `{"outputs": {name: nested list}}`."""

    def encode(self, outputs: Outputs, rows: Sequence[int] | None) -> list[bytes]:
        """Returns the JSON of each job's result; see `ResultEncoder`."""
        if rows is None or len(rows) == 1:
            return [_dump({"outputs": {name: make_jsonable(array) for name, array in outputs.items()}})]
        total = sum(rows)
        for name, array in outputs.items():
            if array.shape[:1] != (total,):
                raise ModelError(
                    f"Output {name!r} has shape {list(array.shape)} for {total} rows of data; it must have "
                    "one entry for each, or the rows of several jobs cannot be told apart."
                )
        return [
            _dump({"outputs": {name: make_jsonable(array[part]) for name, array in outputs.items()}})
            for part in _parts(rows)
        ]


@dataclass(frozen=True, slots=True)
class ClassifierEncoder:
    """The result of a classifier: `prediction`, `class_name` and `probabilities`.

    One row gives an int, a string and a list; n rows give a list of n each. `prediction` is the index in
    `class_names`, also where the model itself answers with strings. A model without probabilities gives null
    for them; one without labels is read by its largest probability (null where a probability is NaN).

    Attributes:
        class_names: Names of the classes by index.
        label: Name of the output that holds each row's class, if there is one.
        probabilities: Name of the output that holds each row's probabilities, if there is one.
    """

    class_names: list[str]
    label: str | None
    probabilities: str | None

    def encode(self, outputs: Outputs, rows: Sequence[int] | None) -> list[bytes]:
        """Returns the JSON of each job's result; see `ResultEncoder`."""
        probabilities = self._read_probabilities(outputs)
        classes = self._read_classes(outputs, probabilities)
        names = [None if index is None else self.class_names[index] for index in classes]
        counts = {len(classes)} if probabilities is None else {len(classes), len(probabilities)}
        if len(counts) > 1 or (rows is not None and counts != {sum(rows)}):
            total = "" if rows is None else f"for {sum(rows)} rows of data"
            raise ModelError(
                f"The model gave {sorted(counts)} classified rows {total}; it must give one "
                "for each. Export it with a batch axis in its outputs."
            )
        table = None if probabilities is None else np.ascontiguousarray(probabilities)
        results = []
        for part in _parts([len(classes)] if rows is None else rows):
            first = part.start
            chosen: Any = (
                first if part.stop - first == 1 else part
            )  # one row: plain values instead of lists of one
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

    def _read_probabilities(self, outputs: Outputs) -> Array | None:
        if self.probabilities is None:
            return None
        probabilities = np.atleast_2d(outputs[self.probabilities])
        expected = len(self.class_names)
        if probabilities.ndim > 2 or probabilities.shape[-1] != expected:
            raise ModelError(
                f"Output {self.probabilities!r} has shape {list(probabilities.shape)}, but class_names has "
                f"{expected} names and expects one probability for each. Correct model.toml."
            )
        return probabilities

    def _read_classes(self, outputs: Outputs, probabilities: Array | None) -> list[int | None]:
        if self.label is not None:
            return [self._find_class(label) for label in outputs[self.label].reshape(-1).tolist()]
        if probabilities is None:
            return []
        best, undecided = probabilities.argmax(axis=1), np.isnan(probabilities).any(axis=1)
        return [None if nan else int(index) for index, nan in zip(best, undecided, strict=True)]

    def _find_class(self, label: object) -> int:
        if isinstance(label, str) and label in self.class_names:
            return self.class_names.index(label)
        if isinstance(label, int) and 0 <= label < len(self.class_names):
            return int(label)
        raise ModelError(
            f"The model answered with class {label!r}, which class_names ({len(self.class_names)} names, "
            "from index 0) does not have. Correct model.toml."
        )


def choose_encoder(outputs: list[Tensor], card: ModelCard) -> ResultEncoder:
    """Returns the encoder for a model with these outputs and this card.

    Raises:
        InvalidModelError: The card makes the model a classifier, but its outputs do not fit; or it
            names outputs without class names.
    """
    if card.class_names is None:
        if card.label_output or card.probabilities_output:
            raise InvalidModelError("label_output and probabilities_output need class_names. Add them.")
        return TensorEncoder()
    count = len(card.class_names)
    label = _find_output(outputs, card.label_output, _holds_labels)
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
    return ClassifierEncoder(card.class_names, label, probabilities)


def _find_output(outputs: list[Tensor], name: str | None, fits: Callable[[Tensor], bool]) -> str | None:
    if name is None:
        return next((tensor.name for tensor in outputs if tensor.shape and fits(tensor)), None)
    for tensor in outputs:
        # a shape that is unknown shows as empty: then the card is trusted and each run checked
        if tensor.name == name and (not tensor.shape or fits(tensor)):
            return name
    found = ", ".join(str(tensor) for tensor in outputs)
    raise InvalidModelError(f"No output named {name!r} fits its role in model.toml. The model has {found}.")


def _holds_labels(tensor: Tensor) -> bool:
    return (len(tensor.shape) == 1 or tensor.shape[1:] == [1]) and (
        tensor.datatype.is_integer or tensor.datatype is Datatype.BYTES
    )


def _holds_probabilities(tensor: Tensor, count: int) -> bool:
    return len(tensor.shape) == 2 and tensor.datatype.is_float and tensor.shape[1] in (-1, count)


def _parts(rows: Sequence[int]) -> list[slice]:
    """Where the rows of each job are."""
    return [slice(end - count, end) for count, end in zip(rows, accumulate(rows), strict=True)]


def _dump(result: object) -> bytes:
    return orjson.dumps(result, option=orjson.OPT_SERIALIZE_NUMPY)
