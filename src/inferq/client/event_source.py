"""The stream of a job's events, over as many connections as it takes."""

from collections.abc import Iterator
from http import HTTPStatus

import httpx

from inferq.client.answers import View, is_transient, make_error
from inferq.client.paths import make_job_path
from inferq.client.sse import EventReader
from inferq.client.steps import Call, choose_pauses


class EventSource:
    """Follows a job, without doing so: the clients open the connections and read from them.

    Attributes:
        has_ended: Whether all has been told.
    """

    def __init__(self, job_id: str, retries: int) -> None:
        self.has_ended = False
        self._path = make_job_path(job_id, "/events")
        self._retries = retries
        self._pauses = choose_pauses(retries)
        self._last_id = ""
        self._reader = EventReader()
        self._failure: httpx.Response | httpx.TransportError | None = None

    @property
    def call(self) -> Call:
        """The request that opens the stream behind the last event that was read."""
        return Call("GET", self._path, headers={"Last-Event-ID": self._last_id} if self._last_id else {})

    def open(self, answer: httpx.Response) -> bool:
        """Takes the head of an answer, and returns whether events follow. Else its body must be read."""
        self._reader = EventReader()
        self.has_ended = answer.status_code == HTTPStatus.NO_CONTENT  # the end was told before
        self._failure = httpx.RemoteProtocolError("the stream ended before the job did")
        if not answer.is_success:
            self._failure = answer
        return answer.is_success

    def read(self, part: bytes) -> Iterator[View]:
        """Takes the next part of a body, and yields the job as each event shows it."""
        for event in self._reader.feed(part):
            self._last_id, self._pauses = event.id, choose_pauses(self._retries)
            self.has_ended = event.is_last
            yield event.view
            if event.is_last:
                return

    def fail(self, error: httpx.TransportError) -> None:
        """Takes the error of a connection."""
        self._failure = error

    def choose_pause(self) -> float:
        """Returns the seconds to wait before the stream is opened again.

        Raises:
            InferqError: It is not to be opened again.
        """
        seconds = next(self._pauses, None) if is_transient(self._failure) else None
        if seconds is None:
            raise make_error(str(self.call), self._failure)
        return seconds
