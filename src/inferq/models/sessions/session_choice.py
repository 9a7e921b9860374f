"""The choice of what runs a model: ONNX Runtime's session, or what makes its values of arrays."""

from collections.abc import Sequence
from pathlib import Path

import onnxruntime as ort

from inferq.models.sessions.container_session import ContainerSession
from inferq.models.sessions.narrow_session import NarrowSession, check_narrow_outputs
from inferq.models.sessions.text_session import TextSession
from inferq.tensors.signature import Datatype, Tensor

type PlainSession = ort.InferenceSession | NarrowSession | TextSession | ContainerSession


def choose_session(
    path: Path, session: ort.InferenceSession, inputs: Sequence[Tensor], outputs: Sequence[Tensor]
) -> PlainSession:
    """Returns what takes and gives arrays: the session itself for nearly all models.

    Args:
        path: The file, for errors.
        session: The session.
        inputs: Its inputs, those with a default among them.
        outputs: Its outputs.

    Raises:
        InvalidModelError: ONNX Runtime cannot hand over its outputs.
    """
    chosen: ort.InferenceSession | NarrowSession | TextSession = session
    if any(Datatype.BYTES in (tensor.datatype, tensor.map_keys) for tensor in (*inputs, *outputs)):
        chosen = TextSession(session)
    if not all(tensor.datatype.is_in_numpy for tensor in (*inputs, *outputs)):
        check_narrow_outputs(path, inputs, outputs)
        chosen = NarrowSession(session, inputs, outputs)
    holds = any(tensor.is_sequence or tensor.map_keys is not None for tensor in inputs)
    return ContainerSession(chosen, inputs) if holds else chosen
