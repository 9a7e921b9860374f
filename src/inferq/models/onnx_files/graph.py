"""What the graph of an ONNX file says beyond ONNX Runtime's signature."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import structlog

from inferq.models.onnx_files.onnx_file import OnnxFile
from inferq.models.onnx_files.onnx_graph import Graph, Node, Value
from inferq.models.row_dependence import find_dependence

log = structlog.get_logger(__name__)

_EXTENSION_DOMAINS = ("com.microsoft.extensions", "ai.onnx.contrib")
_DECODERS: dict[str, Literal["image", "audio"]] = {
    "DecodeImage": "image",
    "ImageDecoder": "image",
    "AudioDecoder": "audio",
}
_FILE_AXIS = "num_bytes"
"""What the tools of onnxruntime-extensions call the axis of an input that takes a file."""


@dataclass(frozen=True, slots=True)
class GraphSummary:
    """What a worker needs to know of a graph.

    Attributes:
        dependence: Why rows of several jobs must not share a run, as a clause; None if no reason was found.
        is_batch: Whether the first axes of its inputs may be one batch axis: their names do not differ.
        external_files: The files with weights, as the ONNX file names them: relative to its folder, once,
            in alphabetical order.
        axis_names: For each input and output the name of each axis, None for one without; nothing for those
            in `unranked`.
        unranked: Inputs and outputs whose number of axes the file leaves open. (ONNX Runtime shows them with
            the shape [], like a single value.)
        overridable: Inputs with a default value in the file.
        file_inputs: Inputs that take the bytes of a file, since a node decodes them, or their axis is called
            so: name to `image` or `audio`.
        needs_extensions: Whether an operator of onnxruntime-extensions is among its nodes.
    """

    dependence: str | None = None
    is_batch: bool = True
    external_files: tuple[str, ...] = ()
    axis_names: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)
    unranked: frozenset[str] = frozenset()
    overridable: frozenset[str] = frozenset()
    file_inputs: Mapping[str, Literal["image", "audio"]] = field(default_factory=dict)
    needs_extensions: bool = False


def read_graph(path: Path) -> GraphSummary:
    """Reads an ONNX file, its structure but not its weights: 500 MB cost no more than 5.

    Returns:
        A summary of its graph; an empty one for a file that cannot be read, or is not ONNX: loading it gives
        the error.
    """
    try:
        file = OnnxFile.read(path)
        files = file.find_files()
    except (OSError, ValueError, struct.error, RecursionError):
        return GraphSummary()
    values = [*file.graph.inputs, *file.graph.outputs]
    names = file.graph.find_row_names()
    file_inputs = _find_file_inputs(file.graph)
    return GraphSummary(
        dependence=_find_dependence(path, file, names),
        is_batch=len(names) < 2,
        external_files=tuple(files),
        axis_names={value.name: _list_axis_names(value) for value in values if value.shape is not None},
        unranked=frozenset(value.name for value in values if value.shape is None),
        overridable=frozenset(
            value.name for value in file.graph.inputs if value.name in file.graph.constants
        ),
        file_inputs=file_inputs,
        needs_extensions=any(node.domain in _EXTENSION_DOMAINS for node in file.graph.nodes),
    )


def _find_file_inputs(graph: Graph) -> dict[str, Literal["image", "audio"]]:
    """Returns inputs of one dynamic axis whose bytes are those of a file."""
    decoders = {node.inputs[0]: _DECODERS[node.operator] for node in graph.nodes if _is_decoder(node)}
    found: dict[str, Literal["image", "audio"]] = {}
    for value in graph.free_inputs:
        if value.shape is not None and len(value.shape) == 1 and not isinstance(value.shape[0], int):
            kind = decoders.get(value.name, "image" if value.shape[0] == _FILE_AXIS else None)
            if kind is not None:
                found[value.name] = kind
    return found


def _is_decoder(node: Node) -> bool:
    return node.operator in _DECODERS and bool(node.inputs)


def _list_axis_names(value: Value) -> tuple[str | None, ...]:
    return tuple(axis if isinstance(axis, str) else None for axis in value.shape or ())


def _find_dependence(path: Path, file: OnnxFile, names: set[str]) -> str | None:
    if len(names) > 1:
        return f"the first axes of its inputs have different names, {', '.join(sorted(names))}"
    try:
        return find_dependence(file)
    except ValueError as error:  # malformed, or too large
        log.warning("graph_not_analyzed", path=str(path), reason=str(error))
    except Exception:  # a graph that breaks the analysis says nothing; the model may run all the same
        log.exception("graph_not_analyzed", path=str(path))
    return None
