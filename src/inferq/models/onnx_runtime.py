"""ONNX Runtime: opening a file, running it, and what its signature and its errors say."""

import re
from collections.abc import Sequence
from pathlib import Path

import onnxruntime as ort

from inferq.errors import InvalidModelError
from inferq.models.arrays import find_datatype
from inferq.models.execution_providers import ExecutionConfig, make_session_options
from inferq.models.graph import GraphSummary
from inferq.tensors.signature import Tensor

# ONNX Runtime's exceptions share no base class but Exception; the builtin ones come from its binding
RUNTIME_ERRORS: tuple[type[Exception], ...] = (
    *(
        error
        for error in vars(ort.capi.onnxruntime_pybind11_state).values()
        if isinstance(error, type) and issubclass(error, Exception)
    ),
    RuntimeError,
    ValueError,
    MemoryError,
)
"""What a session raises when it cannot load or run a model."""


def open_session(
    path: Path, execution: ExecutionConfig, *, needs_extensions: bool = False
) -> ort.InferenceSession:
    """Loads an ONNX file.

    Args:
        path: The file; weights in external files are found beside it.
        execution: Execution providers and session options.
        needs_extensions: Whether it has operators of onnxruntime-extensions.

    Raises:
        InvalidModelError: ONNX Runtime cannot load it.
    """
    options = make_session_options(execution)
    if needs_extensions:
        _register_extensions(path, options)
    try:
        return ort.InferenceSession(path, options, providers=[*execution.providers])
    except RUNTIME_ERRORS as error:
        explained = explain_runtime_error(error)
        remedy = "Export the model again, or copy the file whole."
        if "locale" in explained:
            remedy = (
                "Install the locale that it names where the worker runs (on Debian: package locales-all), or "
                "export the model without it."
            )
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


def describe_inputs(path: Path, nodes: Sequence[ort.NodeArg], graph: GraphSummary) -> list[Tensor]:
    """Returns inputs of a session as tensors.

    Args:
        path: The file, for errors.
        nodes: The inputs as ONNX Runtime shows them.
        graph: What the file says besides.

    Raises:
        InvalidModelError: One is no tensor, or of a datatype that JSON cannot carry.
    """
    for node in nodes:
        if not node.type.startswith("tensor("):
            raise InvalidModelError(
                f"{path}: the input {node.name!r} is a {node.type}, expected a tensor. Make its parts inputs "
                "of their own, and put them together in the model."
            )
    return [_describe_tensor(path, node, graph) for node in nodes]


def describe_outputs(path: Path, nodes: Sequence[ort.NodeArg], graph: GraphSummary) -> list[Tensor]:
    """Returns the outputs of a session, arguments and errors as for `describe_inputs`.

    Sequences, maps and optional values have their values' datatype.
    """
    return [_describe_tensor(path, node, graph) for node in nodes]


def explain_runtime_error(error: Exception) -> str:
    """Returns ONNX Runtime's message as a sentence, without its codes, source files and signatures."""
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", str(error) or type(error).__name__)
    node = re.match(
        r"Non-zero status code returned while running (\w+) node\. Name:'(.*?)' Status Message: ", text
    )
    if node:
        name = f" {node[2]!r}" if node[2] else ""
        text = f"in {node[1]}{name}: {_drop_source(text[node.end() :])}"
    text = " ".join(_drop_source(text).split())
    return text if text.endswith(".") else f"{text}."


def _drop_source(text: str) -> str:
    """Removes a leading `/path/file.cc:123 function(arguments) `."""
    return re.sub(r"^\S+\.(?:cc|h|cpp):\d+ (?:.*?\)(?: const)? )?", "", text)


def _describe_tensor(path: Path, node: ort.NodeArg, graph: GraphSummary) -> Tensor:
    datatype = find_datatype(node.type)
    if datatype is None:
        raise InvalidModelError(
            f"{path}: {node.name!r} is a {node.type}, which JSON cannot carry. Cast it to a boolean, "
            "integer, float16, float, double or string tensor in the model."
        )
    if not node.type.startswith("tensor("):
        shape = [-1] if node.type.startswith("seq(") else []
        return Tensor(name=node.name, datatype=datatype, shape=shape, onnx_type=node.type)
    return Tensor(
        name=node.name,
        datatype=datatype,
        shape=[size if isinstance(size, int) and size >= 0 else -1 for size in node.shape],
        is_unranked=node.name in graph.unranked,
    )
