"""ONNX Runtime: opening a file, and what its signature says."""

import re
from collections.abc import Sequence
from pathlib import Path

import onnxruntime as ort

from inferq.errors import InvalidModelError
from inferq.models.arrays import find_datatype
from inferq.models.onnx_files.graph import GraphSummary
from inferq.models.providers.execution_providers import ExecutionConfig, make_session_options
from inferq.models.runtime_errors import RUNTIME_ERRORS, explain_runtime_error
from inferq.models.sessions.custom_ops import (
    explain_library_error,
    explain_unknown_operator,
    name_for_loading,
)
from inferq.models.sessions.opened_session import OpenedSession, open_on_providers
from inferq.tensors.signature import Tensor

_TAKEN = re.compile(
    r"tensor\(\w+\)|(optional\()?seq\(tensor\(\w+\)\)+|optional\(tensor\(\w+\)\)"
    r"|map\((int64|string),tensor\(float\)\)"
)
"""Types of inputs that can be given from Python."""


def open_session(
    path: Path,
    execution: ExecutionConfig,
    libraries: Sequence[Path] = (),
    *,
    needs_extensions: bool = False,
) -> OpenedSession:
    """Loads an ONNX file.

    Args:
        path: The file; weights in external files are found beside it.
        execution: Execution providers and session options.
        libraries: Libraries of custom operators.
        needs_extensions: Whether it has operators of onnxruntime-extensions.

    Raises:
        InvalidModelError: ONNX Runtime cannot load it.
    """

    def make_options() -> ort.SessionOptions:
        options = make_session_options(execution)
        if needs_extensions:
            _register_extensions(path, options)
        for library in libraries:
            _register_library(library, options)
        return options

    try:
        return open_on_providers(path, execution, make_options)
    except RUNTIME_ERRORS as error:
        explained = explain_runtime_error(error)
        remedy = "Export the model again, or copy the file whole."
        if "locale" in explained:
            remedy = (
                "Install the locale that it names where the worker runs (on Debian: package locales-all), or "
                "export the model without it."
            )
        remedy = explain_unknown_operator(explained, libraries) or remedy
        raise InvalidModelError(f"{path} cannot be loaded: {explained} {remedy}") from error


def _register_extensions(path: Path, options: ort.SessionOptions) -> None:
    try:
        from onnxruntime_extensions import get_library_path
    except ImportError as error:
        raise InvalidModelError(
            f"{path} has operators of onnxruntime-extensions, which is not installed. Install it where the "
            "worker runs: pip install 'inferq[extensions]'."
        ) from error
    options.register_custom_ops_library(get_library_path())


def _register_library(library: Path, options: ort.SessionOptions) -> None:
    try:
        options.register_custom_ops_library(name_for_loading(library))
    except RUNTIME_ERRORS as error:
        raise InvalidModelError(explain_library_error(library, explain_runtime_error(error))) from error


def describe_inputs(path: Path, nodes: Sequence[ort.NodeArg], graph: GraphSummary) -> list[Tensor]:
    """Returns inputs of a session as tensors.

    Args:
        path: The file, for errors.
        nodes: The inputs as ONNX Runtime shows them.
        graph: What the file says besides.

    Raises:
        InvalidModelError: One is of a type that ONNX Runtime's Python interface does not take.
    """
    for node in nodes:
        if not _TAKEN.fullmatch(node.type):
            raise InvalidModelError(
                f"{path}: the input {node.name!r} is a {node.type}, which ONNX Runtime does not take from "
                "Python. It takes tensors, sequences of them, either optional, and maps of floats: make "
                "its parts inputs of their own, and put them together in the model."
            )
    return [_describe_tensor(path, node, graph) for node in nodes]


def describe_outputs(path: Path, nodes: Sequence[ort.NodeArg], graph: GraphSummary) -> list[Tensor]:
    """Returns the outputs of a session, arguments and errors as for `describe_inputs`.

    Sequences, maps and optional values have their values' datatype.
    """
    return [_describe_tensor(path, node, graph) for node in nodes]


def _describe_tensor(path: Path, node: ort.NodeArg, graph: GraphSummary) -> Tensor:
    datatype = find_datatype(node.type)
    if datatype is None:
        raise InvalidModelError(
            f"{path}: {node.name!r} is a {node.type}, which ONNX Runtime does not hand over to Python. Make "
            "a tensor of it in the model."
        )
    if not node.type.startswith("tensor("):
        shape = [-1] if node.type.startswith("seq(") else []
        if node.type.startswith("optional(tensor("):
            shape = _read_shape(node)
        # the shape of an optional tensor without axes is not told from one that the file leaves open
        is_unranked = node.type.startswith("optional(tensor(") and not shape
        return Tensor(
            name=node.name,
            datatype=datatype,
            shape=shape,
            onnx_type=node.type,
            is_unranked=is_unranked,
        )
    return Tensor(
        name=node.name,
        datatype=datatype,
        shape=_read_shape(node),
        is_unranked=node.name in graph.unranked,
    )


def _read_shape(node: ort.NodeArg) -> list[int]:
    return [size if isinstance(size, int) and size >= 0 else -1 for size in node.shape]
