"""The Python client: `Client` and `AsyncClient`, thin over one core that knows the HTTP interface.

It needs httpx alone, besides what every part of inferq needs.
"""

from inferq.client.answers import JobFailedError, PartialAnswerWarning
from inferq.client.async_job import AsyncJob
from inferq.client.asynchronous import AsyncClient
from inferq.client.job import Job
from inferq.client.synchronous import Client
from inferq.errors import NotEndedError, UnauthorizedError, UnreachableError

__all__ = [
    "AsyncClient",
    "AsyncJob",
    "Client",
    "Job",
    "JobFailedError",
    "NotEndedError",
    "PartialAnswerWarning",
    "UnauthorizedError",
    "UnreachableError",
]
