"""Sessions of models that take or give strings, which need not be text.

Nearly all strings are, and go the usual way. Bytes that are no UTF-8 stand in arrays as `surrogateescape` has
them, and are given to ONNX Runtime, and taken from it, as its own values.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort

from inferq.errors import InvalidInputError
from inferq.models.arrays import Array
from inferq.models.sessions.text_values import make_text_value, read_text_value


class TextSession:
    """A session that takes and gives strings of any bytes.

    Args:
        session: The session.
    """

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session

    def run(
        self, names: Sequence[str], values: Mapping[str, Any], options: ort.RunOptions | None
    ) -> list[Any]:
        """Does what `InferenceSession.run` does, with its errors.

        Raises:
            InvalidInputError: A string that is no UTF-8 was sent in a sequence or a map, or beside one.
            RuntimeError: The model gives one there.
        """
        try:
            given: list[Any] = self._session.run(names, values, options)
        except UnicodeError as error:
            if any(not isinstance(value, np.ndarray) for value in values.values()):
                if isinstance(error, UnicodeEncodeError):
                    raise InvalidInputError(
                        "A string is no UTF-8. Send text to a model that takes a sequence or a map: "
                        "ONNX Runtime takes nothing else there."
                    ) from error
                raise _make_error() from error
            feeds = {name: _make_value(value) for name, value in values.items()}
            outputs = self._session.run_with_ort_values(names, feeds, options)
            given = [_read_value(value) for value in outputs]
        return given


def _make_value(array: Array) -> ort.OrtValue:
    if array.dtype == np.object_:
        return make_text_value(array)
    return ort.OrtValue.ortvalue_from_numpy(np.asarray(array, order="C"))


def _read_value(value: ort.OrtValue) -> Any:  # noqa: ANN401 - as `run` gives it
    if not value.has_value():
        return None
    if not value.is_tensor():
        raise _make_error()
    return read_text_value(value)


def _make_error() -> RuntimeError:
    return RuntimeError(
        "a string that is no UTF-8 is in a sequence or a map, where ONNX Runtime gives text alone."
    )
