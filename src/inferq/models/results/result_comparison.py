"""Compares the results that two versions of a model give for one job.

Numbers may differ by a tolerance; whole numbers, such as labels and indices, texts and lengths must be the
same. NaN equals NaN, null in JSON stands for it, and an infinity equals itself. Whether a value came as JSON
or as a tensor, and of which datatype, makes no difference.
"""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic_core import to_json

from inferq.errors import InvalidInputError
from inferq.models.arrays import get_dtype
from inferq.models.raw_arrays import read_tensor
from inferq.tensors.envelope import is_envelope
from inferq.tensors.json_codec import read_data
from inferq.tensors.result_tensors import OutputEntry, check_length, read_result_head
from inferq.tensors.signature import Datatype
from inferq.tensors.values import RawTensor

type Numbers = npt.NDArray[Any]
type Path = tuple[str | int, ...]

_LENGTH = struct.Struct("<I")
_LARGEST = float(np.finfo(np.float64).max)
_LONGEST_SHOWN, _LONGEST_PATH = 80, 200
_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf, None: math.nan}
_MISSING = object()


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the comparison of two results has found.

    Attributes:
        agrees: Whether all values are the same, but for the tolerance.
        absolute: Largest difference of two numbers.
        relative: Largest difference of two numbers, relative to the larger of them.
        where: Output and index of the value that differs most, such as `scores[0][3]`; empty where none does.
        primary: That value, as the version that serves gave it.
        candidate: That value, as the version that is tried gave it.
    """

    agrees: bool
    absolute: float = 0.0
    relative: float = 0.0
    where: str = ""
    primary: str = ""
    candidate: str = ""


class _Array(NamedTuple):
    """Values of one shape, row-major: numbers of NumPy, or a list of anything."""

    shape: tuple[int, ...]
    values: Numbers | list[Any]


def compare_results(
    primary: bytes | memoryview, candidate: bytes | memoryview, tolerance: float
) -> Comparison:
    """Compares two results.

    Args:
        primary: What the version that serves gave: JSON, or an envelope of tensors.
        candidate: What the version that is tried gave.
        tolerance: How much two numbers may differ that are not both whole: relative to the larger of them,
            absolute where that is below 1.

    Raises:
        InvalidInputError: One is damaged.
    """
    if primary == candidate:
        return Comparison(agrees=True)
    found = _Differences(tolerance)
    found.compare(_read_result(primary), _read_result(candidate), ())
    return found.conclude()


@dataclass(slots=True)
class _Differences:
    """The largest differences so far.

    Attributes:
        tolerance: See `compare_results`.
        score: How much the value differs that differs most, as the tolerance counts it; infinite where it
            has to be the same.
    """

    tolerance: float
    score: float = 0.0
    absolute: float = 0.0
    relative: float = 0.0
    path: Path = ()
    shown: tuple[object, object] = field(default=("", ""))

    def conclude(self) -> Comparison:
        primary, candidate = map(_show, self.shown)
        where = _write_path(self.path)
        return Comparison(
            self.score <= self.tolerance, self.absolute, self.relative, where, primary, candidate
        )

    def compare(self, primary: object, candidate: object, path: Path) -> None:
        if isinstance(primary, dict) and isinstance(candidate, dict):
            for name in [*primary, *(name for name in candidate if name not in primary)]:
                values = primary.get(name, _MISSING), candidate.get(name, _MISSING)
                if _MISSING in values:
                    self._note(math.inf, (*path, name), values)
                else:
                    self.compare(*values, (*path, name))
            return
        one, other = _read_array(primary), _read_array(candidate)
        if one is None or other is None:
            self._compare_lists(primary, candidate, path)
        elif one.shape != other.shape:
            self._note(math.inf, path, (_describe(one), _describe(other)))
        else:
            self._compare_arrays(one, other, path)

    def _compare_lists(self, primary: object, candidate: object, path: Path) -> None:
        """Compares values of which one, at least, is a list of different things."""
        if not (isinstance(primary, list) and isinstance(candidate, list)) or len(primary) != len(candidate):
            self._note(math.inf, path, (_describe(primary), _describe(candidate)))
            return
        for index, values in enumerate(zip(primary, candidate, strict=True)):
            self.compare(*values, (*path, index))

    def _compare_arrays(self, primary: _Array, candidate: _Array, path: Path) -> None:
        one, other = _read_numbers(primary.values), _read_numbers(candidate.values)
        if one is not None and other is not None:
            self._compare_numbers(one, other, primary.shape, path)
            return
        for position, values in enumerate(zip(_list(primary.values), _list(candidate.values), strict=True)):
            if values[0] != values[1]:
                self._compare_values(*values, (*path, *_unravel(position, primary.shape)))

    def _compare_values(self, primary: object, candidate: object, path: Path) -> None:
        """Compares values that are no lists and not the same."""
        if isinstance(primary, dict) and isinstance(candidate, dict):
            self.compare(primary, candidate, path)
            return
        one, other = _read_numbers([primary]), _read_numbers([candidate])
        if one is None or other is None:
            self._note(math.inf, path, (primary, candidate))
        else:
            self._compare_numbers(one, other, (), path)

    def _compare_numbers(self, one: Numbers, other: Numbers, shape: tuple[int, ...], path: Path) -> None:
        are_whole = one.dtype.kind in "biu" and other.dtype.kind in "biu"
        with np.errstate(all="ignore"):
            differs = one != other
            if not are_whole:
                differs &= ~(np.isnan(one) & np.isnan(other))
            positions = np.flatnonzero(differs)
            if not len(positions):
                return
            a, b = one[positions].astype(np.float64), other[positions].astype(np.float64)
            is_finite = np.isfinite(a) & np.isfinite(b)
            absolute = np.minimum(np.abs(a - b), _LARGEST)
            if are_whole:
                absolute = np.maximum(absolute, 1.0)  # which doubles cannot always tell
            larger = np.maximum(np.maximum(np.abs(a), np.abs(b)), 5e-324)
            relative = np.where(absolute < _LARGEST, absolute / larger, np.abs(a / larger - b / larger))
            scores = np.where(larger > 1, relative, absolute)
        scores[~is_finite | are_whole] = math.inf
        if is_finite.any():
            self.absolute = max(self.absolute, float(absolute[is_finite].max()))
            self.relative = max(self.relative, float(relative[is_finite].max()))
        worst = int(scores.argmax())
        position = int(positions[worst])
        values = one[position].item(), other[position].item()
        self._note(float(scores[worst]), (*path, *_unravel(position, shape)), values)

    def _note(self, score: float, path: Path, shown: tuple[object, object]) -> None:
        if score > self.score:
            self.score, self.path, self.shown = score, path, shown


def _read_result(payload: bytes | memoryview) -> object:
    """Returns the outputs by name; of JSON that has none, the whole."""
    if not is_envelope(payload):
        value = read_data(bytes(payload))
        return value["outputs"] if isinstance(value, dict) and [*value] == ["outputs"] else value
    head = read_result_head(payload)
    check_length(head, len(payload))
    view = memoryview(payload)
    return {output.name: _read_output(output, view) for output in head.outputs}


def _read_output(output: OutputEntry, envelope: memoryview) -> object:
    if output.size is None:
        return output.values
    data = envelope[output.start : output.start + output.size]
    if output.datatype is Datatype.BYTES:
        texts = list(_split_strings(data))
        if len(texts) != math.prod(output.shape):
            raise InvalidInputError(
                f"The output {output.name!r} has {len(texts):,} strings, expected another number."
            )
        return _Array(output.shape, texts)
    array = read_tensor(RawTensor(output.datatype, output.shape, data), get_dtype(output.datatype))
    return _Array(output.shape, array.reshape(-1))


def _split_strings(data: memoryview) -> Iterator[str]:
    """Yields the values of a tensor of BYTES; what is no UTF-8 in them is kept apart by surrogate escapes."""
    position = 0
    while position < len(data):
        if position + _LENGTH.size > len(data):
            raise InvalidInputError("A tensor of strings in the result ends within a length.")
        [length] = _LENGTH.unpack_from(data, position)
        position += _LENGTH.size
        yield str(data[position : position + length], "utf-8", "surrogateescape")
        position += length


def _read_array(value: object) -> _Array | None:
    """Returns values of one shape; None for lists that have none."""
    if isinstance(value, _Array):
        return value
    shape, values = list[int](), [value]
    while values and set(map(type, values)) == {list}:
        lengths = set(map(len, values))  # type: ignore[arg-type] # they are lists
        if len(lengths) > 1:
            return None
        shape += lengths
        values = list(chain.from_iterable(values))  # type: ignore[arg-type]
    return None if any(type(one) is list for one in values) else _Array(tuple(shape), values)


def _list(values: Numbers | list[Any]) -> list[Any]:
    return values if isinstance(values, list) else values.tolist()


def _read_numbers(values: Numbers | list[Any]) -> Numbers | None:
    """Returns values as numbers; None where they are not all numbers."""
    if not isinstance(values, list):
        return values
    types = set(map(type, values))
    try:
        if types <= {int, bool}:
            whole = np.array(values, dtype=None if values else np.int64)
            return whole if whole.dtype.kind in "biu" else None
        if types <= {int, float, bool, type(None)}:
            return np.array(values, dtype=np.float64)
    except OverflowError:  # of integers that no float is near to
        return None
    if types <= {int, float, bool, str, type(None)} and all(
        one in _NON_FINITE for one in values if type(one) is str
    ):
        return _read_numbers([_NON_FINITE.get(one, one) if type(one) is str else one for one in values])
    return None


def _unravel(position: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(map(int, np.unravel_index(position, shape))) if shape else ()


def _describe(value: object) -> object:
    """Returns what is to be shown of a value whose length or shape differs."""
    if isinstance(value, _Array) and value.shape:
        return f"shape {list(value.shape)}"
    if isinstance(value, _Array):
        return _list(value.values)[0]
    return f"{len(value)} values" if isinstance(value, list) else value


def _write_path(path: Path) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")
    return text if len(text) <= _LONGEST_PATH else f"{text[:_LONGEST_PATH]}…"


def _show(value: object) -> str:
    if value is _MISSING:
        return "missing"
    if isinstance(value, _Array):
        value = _describe(value)
    if isinstance(value, str):
        text = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    elif isinstance(value, dict | list):
        text = to_json(value, inf_nan_mode="constants").decode()
    else:
        text = "null" if value is None else str(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
