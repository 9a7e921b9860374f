"""The Python client: `Client` and `AsyncClient`, thin over one core that knows the HTTP interface.

It needs httpx alone, besides what every part of inferq needs.
"""

from inferq.client.asynchronous import AsyncClient, AsyncJob
from inferq.client.core import JobFailedError
from inferq.client.synchronous import Client, Job
from inferq.errors import NotEndedError, UnauthorizedError, UnreachableError

__all__ = [
    "AsyncClient",
    "AsyncJob",
    "Client",
    "Job",
    "JobFailedError",
    "NotEndedError",
    "UnauthorizedError",
    "UnreachableError",
]
