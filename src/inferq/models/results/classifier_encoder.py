"""Results of a classifier: class, class name and probabilities instead of the outputs themselves."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from inferq.errors import InvalidModelError, ModelError
from inferq.media.geometry import Frame
from inferq.models.arrays import Array, MapRows, make_jsonable
from inferq.models.results.encoders import Outputs, slice_rows
from inferq.tensors.json_codec import write_arrays
from inferq.tensors.signature import Activation, NonFinite

MEMBERS = ("prediction", "class_name", "probabilities")
"""The members of a result, in the order in which they are written."""
_NEGLIGIBLE_SHARE = 1e-3
"""Share of the largest probability by which another may be less and still be called the largest."""


@dataclass(frozen=True)
class ClassifierEncoder:
    """The result of a classifier: `prediction`, `class_name` and `probabilities`.

    One row gives an int, a string and a list; n rows give a list of n each. `prediction` is the index in
    `class_names`, whatever the label of the class in the model. Without an output of probabilities they are
    null; without an output of labels the largest probability decides (null where a probability is NaN).

    Attributes:
        class_names: Names of the classes by index.
        label: Name of the output with the label of each row's class, [rows], if there is one.
        probabilities: Name of the output with each row's probabilities, [rows, classes], if there is one.
        class_labels: The model's label of each class, by index; None where it is the index or the name. As a
            label is easily taken for an index, labels must then agree with the probabilities.
        non_finite: Whether NaN and infinities become null or strings.
        activation: What makes probabilities of that output, where it holds logits.
    """

    gives_outputs: ClassVar[bool] = False
    class_names: list[str]
    label: str | None
    probabilities: str | None
    class_labels: list[int | str] | None = None
    non_finite: NonFinite = "null"
    activation: Activation | None = None

    def encode(
        self, outputs: Outputs, rows: Sequence[int] | None, _frames: Sequence[Frame | None] = (), /
    ) -> list[bytes]:
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
                raise self._make_contradiction(outputs[self.label].reshape(-1)[row], probabilities[row])
        table: Any = None
        if probabilities is not None:
            table = make_jsonable(probabilities, self.non_finite)
        results = []
        for part in slice_rows([len(classes)] if rows is None else rows):
            # of one row, values instead of lists of one
            chosen: Any = part.start if part.stop - part.start == 1 else part
            results.append(
                write_arrays(
                    {
                        "prediction": classes[chosen],
                        "class_name": names[chosen],
                        "probabilities": None if table is None else table[chosen],
                    }
                )
            )
        return results

    def check_example(self, outputs: Outputs) -> None:
        """Refuses labels most of which contradict the probabilities; a model may decide so for a few."""
        probabilities, keys = self._read_probabilities(outputs)
        if self.label is None or probabilities is None or keys:
            return
        classes = self._read_classes(outputs, probabilities, keys)
        if len(classes) != len(probabilities):
            return
        rows = self._find_contradictions(classes, probabilities)
        if len(rows) > len(classes) / 2:
            raise self._make_contradiction(outputs[self.label].reshape(-1)[rows[0]], probabilities[rows[0]])

    def _read_probabilities(self, outputs: Outputs) -> tuple[Array | None, list[int | str]]:
        """Returns a column for each class, in the order of the names; and the keys, if the output is maps."""
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
            return (probabilities if self.activation is None else compute_softmax(probabilities)), []
        names = self.class_labels or self.class_names
        if set(keys) == set(names):
            return probabilities[:, [keys.index(name) for name in names]], [*names]
        if self.class_labels:
            raise InvalidModelError(
                f"Output {self.probabilities!r} tells of the classes {enumerate_labels(keys)}, "
                f"but class_names of {enumerate_labels(self.class_labels)}. Correct model.toml."
            )
        return probabilities, keys

    def _read_classes(
        self, outputs: Outputs, probabilities: Array | None, keys: list[int | str]
    ) -> list[int | None]:
        if self.label is not None:
            indices = {key: index for index, key in enumerate(keys)} or self._indices
            labels = outputs[self.label].reshape(-1).tolist()
            try:
                return [indices[label] for label in labels]
            except KeyError as error:
                raise self._make_unknown_label(error.args[0]) from error
        if probabilities is None:
            return []
        best, has_nan = probabilities.argmax(axis=1), np.isnan(probabilities).any(axis=1)
        return [None if nan else int(index) for index, nan in zip(best, has_nan, strict=True)]

    @cached_property
    def _indices(self) -> dict[int | str, int]:
        """The index of the class of each label."""
        if self.class_labels:
            return {label: index for index, label in enumerate(self.class_labels)}
        indices: dict[int | str, int] = {index: index for index in range(len(self.class_names))}
        for index, name in enumerate(self.class_names):
            indices.setdefault(name, index)
        return indices

    def _find_contradictions(self, classes: Sequence[int | None], probabilities: Array) -> list[int]:
        """Returns the rows in which another class than that of the label is clearly the most probable."""
        chosen = np.array(classes, dtype=np.intp)
        others = np.flatnonzero(probabilities.argmax(axis=1) != chosen)
        if not others.size:
            return []
        values = probabilities[others].astype(np.float64)
        largest, of_chosen = values.max(axis=1), values[np.arange(len(others)), chosen[others]]
        return [int(row) for row in others[largest - of_chosen > _NEGLIGIBLE_SHARE * np.abs(largest)]]

    def _make_contradiction(self, label: object, probabilities: Array) -> InvalidModelError:
        best = self.class_names[int(probabilities.argmax())]
        return InvalidModelError(
            f"The model answered with class {_quote(label)}, but the largest value in {self.probabilities!r} "
            f"is that of {best!r}, by the order of class_names. {self._suggest_table(label)} If that output "
            'holds no probabilities, say probabilities_output = "".'
        )

    def _make_unknown_label(self, label: object) -> InvalidModelError:
        known = (
            f"its labels are {enumerate_labels(self.class_labels)}" if self.class_labels else "from index 0"
        )
        return InvalidModelError(
            f"The model answered with class {_quote(label)}, which class_names ({len(self.class_names)} "
            f"names, {known}) does not have. {self._suggest_table(label)}"
        )

    def _suggest_table(self, label: object) -> str:
        return (
            "In model.toml, write class_names as a table from each label to its name, in the order of the "
            f'probabilities if there are any, such as class_names = {{"{label}" = "a name", …}}.'
        )


def compute_softmax(logits: Array) -> Array:
    """Returns probabilities of logits, [rows, classes], as FP32 or FP64."""
    values = logits.astype(np.result_type(logits, np.float32))
    with np.errstate(invalid="ignore"):  # of infinities
        powers = np.exp(values - values.max(axis=1, keepdims=True))
    probabilities: Array = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def enumerate_labels(labels: Sequence[int | str]) -> str:
    """Lists labels for an error: the first ten, strings in quotes."""
    return ", ".join(map(_quote, labels[:10])) + (", …" if len(labels) > 10 else "")


def _quote(label: object) -> str:
    return json.dumps(label, ensure_ascii=False, default=str) if isinstance(label, str) else str(label)
