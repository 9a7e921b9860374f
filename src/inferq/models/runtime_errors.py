"""The errors of ONNX Runtime, and what they say to people."""

import re
import textwrap

import onnxruntime as ort

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


def shorten(message: str) -> str:
    """Returns a message that is short enough to stand within another: libraries of providers tell all."""
    return textwrap.shorten(message, 300, placeholder=" …")


def _drop_source(text: str) -> str:
    """Removes a leading `/path/file.cc:123 function(arguments) `."""
    return re.sub(r"^\S+\.(?:cc|h|cpp):\d+ (?:.*?\)(?: const)? )?", "", text)
