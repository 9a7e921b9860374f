"""What traces need to know of a job, at both ends of the queue."""

from typing import Protocol


class SentJob(Protocol):
    """A job that is handed in.

    Attributes:
        id: The job's id.
        model: Name of its model, and so of its queue.
        request_id: Of the request that it came with.
        traceparent: The trace context that goes with it.
    """

    id: str
    model: str
    request_id: str
    traceparent: str


class ReceivedJob(Protocol):
    """A job that was claimed; see `SentJob`."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def model(self) -> str: ...  # noqa: D102
    @property
    def request_id(self) -> str: ...  # noqa: D102
    @property
    def traceparent(self) -> str: ...  # noqa: D102
