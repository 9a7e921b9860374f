"""Waiting for the ends of jobs."""

import math
import time
from collections.abc import Sequence

from inferq.client.answers import View, has_ended
from inferq.client.encoding import write_json
from inferq.client.requests import read_job
from inferq.client.steps import Call, Pause, Steps, ask
from inferq.errors import (
    InferqError,
    InvalidInputError,
    NotEndedError,
    RedisUnavailableError,
    UnreachableError,
)

MOST_JOBS_PER_REQUEST = 10_000
_LONGEST_REQUEST_SECONDS = 20.0
"""How long one request waits for a job; a longer wait takes several."""
_SHORTEST_REQUEST_SECONDS = 0.1
_POLL_SECONDS = 0.5
OUTAGE_SECONDS = 30.0
"""How long a wait without a limit goes on while the service does not answer."""


def wait_for_end(job_id: str, seconds: float | None, retries: int) -> Steps[View]:
    """Waits for a job's end.

    Args:
        job_id: The job's id.
        seconds: Longest wait; None for ever.
        retries: How often a request is repeated.

    Raises:
        NotEndedError: The time was up.
    """
    limit = _WaitLimit(seconds)
    longest = _LONGEST_REQUEST_SECONDS
    while True:
        asked, began = max(0.0, min(limit.seconds_left, longest)), time.monotonic()
        try:
            view = yield from read_job(job_id, retries, asked)
        except InvalidInputError:  # the service does not let a request wait so long
            if not longest:
                raise
            longest = longest / 4 if longest > _SHORTEST_REQUEST_SECONDS else 0.0
            continue
        except (UnreachableError, RedisUnavailableError) as error:
            yield limit.pause_after(error)
            continue
        if has_ended(view):
            return view
        limit.note_answer()
        if limit.seconds_left <= 0:
            raise NotEndedError(
                f"Job {job_id!r} has not ended within {seconds:g} s; it is {view['status']}. It goes on: "
                "wait again, or cancel it.",
                job_id,
            )
        # the service is about to stop, or lets no request wait
        if time.monotonic() - began < asked / 2 or not asked:
            yield Pause(min(_POLL_SECONDS, limit.seconds_left))


class _WaitLimit:
    """How long a wait lasts, and how much of it the service may be away."""

    def __init__(self, seconds: float | None) -> None:
        self._deadline = math.inf if seconds is None else time.monotonic() + seconds
        self._away_since: float | None = None

    @property
    def seconds_left(self) -> float:
        return self._deadline - time.monotonic()

    def note_answer(self) -> None:
        self._away_since = None

    def pause_after(self, error: InferqError) -> Pause:
        """Returns the pause after a failure, or raises the failure where the limit is reached."""
        now = time.monotonic()
        self._away_since = self._away_since or now
        is_endless = self._deadline == math.inf
        if self.seconds_left <= 0 or (is_endless and now - self._away_since > OUTAGE_SECONDS):
            raise error
        return Pause(min(_POLL_SECONDS, self.seconds_left))


def wait_for_all(ids: Sequence[str], retries: int) -> Steps[list[View]]:
    """Waits for the ends of jobs, with few requests: for the first one, then for all that have ended by then.

    Returns:
        The jobs, in the order of their ids.

    Raises:
        JobNotFoundError: One of them is not known any more.
    """
    views: dict[str, View] = {}
    while missing := [job_id for job_id in ids if job_id not in views]:
        views[missing[0]] = yield from wait_for_end(missing[0], None, retries)
        for first in range(1, len(missing), MOST_JOBS_PER_REQUEST):
            views |= yield from _read_ended(missing[first : first + MOST_JOBS_PER_REQUEST], retries)
    return [views[job_id] for job_id in ids]


def _read_ended(ids: Sequence[str], retries: int) -> Steps[dict[str, View]]:
    """Reads those of some jobs that have ended."""
    views: dict[str, View] = {}
    while ids:
        answer = yield from ask(Call("POST", "/jobs/status", write_json({"job_ids": ids})), retries)
        ended = (view for view in answer["jobs"] if view is not None and has_ended(view))
        views |= {view["job_id"]: view for view in ended}
        ids = answer.get("left_out", [])  # where results are large, they come in several answers
    return views
