"""Validation of the value of an input that is no tensor: a sequence, a map, or what may be absent.

A sequence is a list of tensors, each under the name of the input and its index where tensors have names:
`x/0`, `x/1`, …; or one tensor, whose entries along the first axis it is. A map is an object, or two tensors:
`x/keys` and `x/values`. What is absent is left out, or null.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from inferq.errors import InvalidInputError
from inferq.tensors.input_validator import InputValidator
from inferq.tensors.input_values import unwrap
from inferq.tensors.nested_arrays import describe, quote
from inferq.tensors.signature import Datatype, ModelDocument, Tensor
from inferq.tensors.values import MediaFile, RawTensor, RemoteFile, count_rows

_PART = re.compile(r"(?P<name>.+)/(?P<part>0|[1-9]\d{0,8}|keys|values)", re.DOTALL)
_WHOLE_NUMBER = re.compile(r"-?\d{1,19}", re.ASCII)


class MapTensors(NamedTuple):
    """A map as two tensors.

    Attributes:
        keys: Its keys.
        values: Their values, in the same order.
    """

    keys: Any
    values: Any


def gather_parts(data: Mapping[str, Any], inputs: Sequence[Tensor]) -> dict[str, Any]:
    """Puts together what was sent as several tensors.

    Args:
        data: Values by name, among them `x/0`, `x/keys` and the like.
        inputs: The inputs of the model.

    Returns:
        The same with a list for each such sequence, and `MapTensors` for each such map.

    Raises:
        InvalidInputError: A tensor is missing, or the whole value is there as well.
    """
    tensors = {tensor.name: tensor for tensor in inputs}
    gathered: dict[str, Any] = {}
    parts: dict[str, dict[str, Any]] = {}
    for name, value in data.items():
        whole = None if name in tensors else find_whole(name, tensors)
        if whole is None:
            gathered[name] = value
        else:
            parts.setdefault(whole.name, {})[name.removeprefix(f"{whole.name}/")] = value
    for name, values in parts.items():
        if name in gathered:
            raise InvalidInputError(f"data has both {quote(name)} and parts of it. Send it once.")
        gathered[name] = _join(name, tensors[name], values)
    return gathered


def find_whole(name: str, tensors: Mapping[str, Tensor]) -> Tensor | None:
    """Returns the input of which a tensor of this name is a part, as `x` is for `x/0`; None if there is none.

    Args:
        name: The name of the part.
        tensors: The inputs by name.
    """
    found = _PART.fullmatch(name)
    tensor = tensors.get(found["name"]) if found else None
    if found is None or tensor is None:
        return None
    has_part = tensor.map_keys is not None if found["part"] in ("keys", "values") else tensor.is_sequence
    return tensor if has_part else None


def describe_part(name: str, tensors: Mapping[str, Tensor]) -> Tensor | None:
    """Returns the tensor that is sent under a name: an input, or a part of one; None if there is none."""
    if name in tensors:
        return tensors[name]
    whole = find_whole(name, tensors)
    if whole is None:
        return None
    datatype = whole.map_keys if name.endswith("/keys") and whole.map_keys else whole.datatype
    return Tensor(name=name, datatype=datatype, shape=[], is_unranked=True)


def _join(name: str, tensor: Tensor, values: dict[str, Any]) -> list[Any] | MapTensors:
    expected = [*map(str, range(len(values)))] if tensor.is_sequence else ["keys", "values"]
    for part in expected:
        if part not in values:
            missing, rest = f"{name}/{part}", ", counted from 0" if tensor.is_sequence else ""
            raise InvalidInputError(f"data lacks {quote(missing)}. Send all parts of {name!r}{rest}.")
    parts = [values[part] for part in expected]
    return parts if tensor.is_sequence else MapTensors(*parts)


class ContainerValidator:
    """Validates the value of one such input.

    Args:
        tensor: The input.
        document: Its model, for errors.
    """

    def __init__(self, tensor: Tensor, document: ModelDocument) -> None:
        self._tensor = tensor
        is_open = tensor.is_sequence or tensor.is_unranked
        plain = tensor.model_copy(
            update={"onnx_type": None, "is_unranked": is_open, "shape": [] if is_open else tensor.shape}
        )
        self._element = InputValidator(plain, document, None)
        vector = {"shape": [-1], "is_unranked": False}
        self._values = InputValidator(plain.model_copy(update=vector), document, None)
        keys = {**vector, "datatype": tensor.map_keys or Datatype.BYTES}
        self._keys = InputValidator(plain.model_copy(update=keys), document, None)

    def read(self, value: object, where: str) -> Any:  # noqa: ANN401 - see `Returns`
        """Checks a value.

        Args:
            value: What `data` has of it, or `gather_parts` has made.
            where: Its path, for errors.

        Returns:
            For a sequence a list of nested lists and raw tensors, or a raw tensor with an axis of its
            entries; for a map `MapTensors`; for an optional tensor nested lists, or a raw tensor; None where
            it is absent. A remote file may stand for each raw tensor, but for those of a map.

        Raises:
            InvalidInputError: It does not fit.
        """
        if value is None and self._tensor.is_optional:
            return None
        if self._tensor.map_keys is not None:
            return self._read_map(value, where, self._tensor.map_keys)
        plain = self._unwrap(value, where)
        if self._tensor.is_sequence:
            return self._read_sequence(plain, where)
        self._check_element(plain, where)
        return plain

    def _check_element(self, value: object, where: str) -> None:
        if isinstance(value, RemoteFile):
            self._element.check_remote_file(value, where, None)
        else:
            self._element.validate(value, where, None)

    def _unwrap(self, value: object, where: str) -> object:
        plain = unwrap(value, where, self._tensor.datatype)
        if isinstance(plain, MediaFile):
            raise InvalidInputError(f"{where} is {plain}, expected {self._tensor}. Send arrays.")
        return plain

    def _read_sequence(self, value: object, where: str) -> list[Any] | RawTensor | RemoteFile:
        if isinstance(value, RemoteFile) or (isinstance(value, RawTensor) and value.shape):
            self._check_element(value, where)
            return value
        if not isinstance(value, list):
            raise InvalidInputError(
                f"{where} must be an array with an array for each tensor of the sequence {self._tensor}, got "
                f"{describe(value)}."
            )
        elements = [self._unwrap(one, f"{where}[{index}]") for index, one in enumerate(value)]
        for index, element in enumerate(elements):
            self._check_element(element, f"{where}[{index}]")
        return elements

    def _read_map(self, value: object, where: str, datatype: Datatype) -> MapTensors:
        if isinstance(value, MapTensors):
            keys = unwrap(value.keys, f'{where}["keys"]', datatype)
            values = self._unwrap(value.values, f'{where}["values"]')
            if isinstance(keys, RemoteFile) or isinstance(values, RemoteFile):
                raise InvalidInputError(
                    f"{where} is a map, whose keys and values are not fetched. Send them."
                )
        elif isinstance(value, dict):
            keys, values = [_read_key(key, datatype, where) for key in value], [*value.values()]
        else:
            raise InvalidInputError(
                f"{where} must be an object, the map {self._tensor}, got {describe(value)}."
            )
        self._keys.validate(keys, f'{where}["keys"]', None)
        self._values.validate(values, f'{where}["values"]', None)
        counts = count_rows(keys), count_rows(values)
        if counts[0] != counts[1] or not counts[0]:
            raise InvalidInputError(
                f"{where} has {counts[0]} keys for {counts[1]} values. Send one for each, and at least one."
            )
        return MapTensors(keys, values)


def _read_key(key: str, datatype: Datatype, where: str) -> int | str:
    if datatype is Datatype.BYTES:
        return key
    if not _WHOLE_NUMBER.fullmatch(key):
        raise InvalidInputError(
            f"{where} has the key {quote(key)}, expected a whole number between quotes ({datatype})."
        )
    return int(key)
