"""Many jobs on their way to the service and back, several in one request."""

import secrets
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from inferq.client.answers import View
from inferq.client.data_frames import is_table
from inferq.client.job_body import JobOptions, ServiceCache, write_job_body
from inferq.client.job_wait import MOST_JOBS_PER_REQUEST, wait_for_all
from inferq.client.steps import Call, Steps, ask
from inferq.errors import BodyTooLargeError, InvalidInputError

_BATCHES_IN_FLIGHT = 4
_ENVELOPE_BYTES = 100
"""More than is around the jobs of a request."""


class JobBatches:
    """Submits a job for each item, in batches: as many in one request as it takes.

    Args:
        items: The data of each job, read as it is needed.
        options: The options of each job.
        cache: What is known of the service.
        retries: How often a request is repeated.
        batch_size: Most jobs in one request.

    Raises:
        InvalidInputError: The items are one thing, not several.
    """

    def __init__(
        self,
        items: Iterable[Any],
        options: JobOptions,
        cache: ServiceCache,
        retries: int,
        batch_size: int = MOST_JOBS_PER_REQUEST,
    ) -> None:
        if is_table(items) or isinstance(items, Mapping | str | bytes):
            raise InvalidInputError(
                f"items must be a list of the data of several jobs, got one {type(items).__name__}. Submit "
                "it as one job, or cut it into several: [frame.iloc[0:100], frame.iloc[100:200]]."
            )
        self._items = iter(items)
        self._options = options
        self._cache = cache
        self._retries = retries
        self._batch_size = batch_size
        self._bodies: deque[bytes] = deque()
        self._in_flight: deque[list[str]] = deque()

    def submit_all(self) -> Steps[list[str]]:
        """Submits all items, once each of them could be written, and returns the ids."""
        while (yield from self._read_item()):
            pass
        ids: list[str] = []
        while batch := (yield from self.submit_batch()):
            ids += batch
        return ids

    def wait_for_batch(self) -> Steps[list[View]]:
        """Submits until enough batches are in flight, and waits until the jobs of the first have ended.

        Returns:
            These jobs, in order; none at the end.
        """
        while len(self._in_flight) < _BATCHES_IN_FLIGHT and (batch := (yield from self.submit_batch())):
            self._in_flight.append(batch)
        if not self._in_flight:
            return []
        return (yield from wait_for_all(self._in_flight.popleft(), self._retries))

    def submit_batch(self) -> Steps[list[str]]:
        """Submits the next items, and returns their ids; none at the end."""
        batch: list[bytes] = []
        size = _ENVELOPE_BYTES
        while len(batch) < self._batch_size and (self._bodies or (yield from self._read_item())):
            size += len(self._bodies[0]) + 1
            if batch and size > self._cache.largest_body_bytes:
                break
            batch.append(self._bodies.popleft())
        if not batch:
            return []
        body = b'{"jobs":[' + b",".join(batch) + b"]}"
        headers = {"Idempotency-Key": secrets.token_hex(16), **self._options.make_headers()}
        call = Call("POST", "/predict/batch", body, headers)
        try:
            ids: list[str] = (yield from ask(call, self._retries))["job_ids"]
        except BodyTooLargeError:
            if len(batch) == 1:
                raise
            self._cache.largest_body_bytes = len(body) // 2
            self._bodies.extendleft(reversed(batch))
            ids = yield from self.submit_batch()
        return ids

    def _read_item(self) -> Steps[bool]:
        """Reads the next item, and returns whether there was one."""
        for item in self._items:
            self._bodies.append((yield from write_job_body(item, self._options, self._cache, self._retries)))
            return True
        return False
