"""inferq: any ONNX model as an asynchronous inference service.

What a user of the service needs is here: `Client`, `AsyncClient`, the jobs that they hand out, and the
errors. It is loaded when it is first used, so that workers and proxies do without an HTTP client.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inferq.client import (
        AsyncClient,
        AsyncJob,
        Client,
        Job,
        JobFailedError,
        NotEndedError,
        PartialAnswerWarning,
        UnauthorizedError,
        UnreachableError,
    )
    from inferq.errors import (
        ExpiresTooSoonError,
        InferqError,
        InvalidInputError,
        JobNotFoundError,
        QueueFullError,
        UnknownModelError,
    )

__all__ = [
    "AsyncClient",
    "AsyncJob",
    "Client",
    "ExpiresTooSoonError",
    "InferqError",
    "InvalidInputError",
    "Job",
    "JobFailedError",
    "JobNotFoundError",
    "NotEndedError",
    "PartialAnswerWarning",
    "QueueFullError",
    "UnauthorizedError",
    "UnknownModelError",
    "UnreachableError",
]

_OF_ERRORS = (
    *("ExpiresTooSoonError", "InferqError", "InvalidInputError", "JobNotFoundError", "QueueFullError"),
    "UnknownModelError",
)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - one of several classes
    if name not in __all__:
        raise AttributeError(f"module 'inferq' has no attribute {name!r}")
    return getattr(import_module("inferq.errors" if name in _OF_ERRORS else "inferq.client"), name)
