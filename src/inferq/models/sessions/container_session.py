"""Sessions of models that take a sequence or a map, which ONNX Runtime wants as Python has them."""

from collections.abc import Mapping, Sequence
from typing import Any

import onnxruntime as ort

from inferq.models.arrays import Array
from inferq.models.sessions.narrow_session import NarrowSession
from inferq.models.sessions.text_session import TextSession
from inferq.tensors.signature import Tensor


class ContainerSession:
    """A session that takes arrays without axes which hold such values, as `arrays.hold` makes them.

    Args:
        session: The session.
        inputs: Its inputs.
    """

    def __init__(
        self, session: ort.InferenceSession | NarrowSession | TextSession, inputs: Sequence[Tensor]
    ) -> None:
        self._session = session
        self._held = {tensor.name for tensor in inputs if tensor.is_sequence or tensor.map_keys is not None}

    def run(
        self, names: Sequence[str], arrays: Mapping[str, Array], options: ort.RunOptions | None
    ) -> list[Any]:
        """Does what `InferenceSession.run` does, with its errors."""
        values = {name: array.item() if name in self._held else array for name, array in arrays.items()}
        given: list[Any] = self._session.run(names, values, options)
        return given
