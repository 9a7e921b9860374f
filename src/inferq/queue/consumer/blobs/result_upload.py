"""Uploads one large result to Redis: in pieces, with limits on time and attempts, stopped at any moment."""

import threading
import time
from collections.abc import Callable, Iterator

import redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from inferq.errors import ResultTooLargeError
from inferq.jobs import ClaimedJob
from inferq.queue.redis_client import scripts
from inferq.queue.redis_client.connection import redis_errors, transfer_seconds
from inferq.queue.redis_client.error_replies import is_lasting_refusal
from inferq.queue.redis_client.pipelined import PipelinedConnection, pack_in_chunks
from inferq.queue.redis_client.script_calls import ScriptCall

LARGE_RESULT_BYTES = 1_000_000
"""A longer result is uploaded by itself. No server can be told to cut off a command of less than 1 MiB."""
_ATTEMPTS = 4
_FIRST_PAUSE_SECONDS = 0.5
_BASE_SECONDS = 30.0
"""How long an attempt may take beside the transfer."""
_BUFFERED_BYTES = 16 * 1024 * 1024
"""How much may still be in buffers when everything is written to the socket."""


class ResultUpload:
    """Stores one job's result. It waits for a server that is away, but not for one that refuses this result.

    A server cuts off what is longer than `proto-max-bulk-len` or `client-query-buffer-limit`, which looks the
    same as a connection that broke. So an attempt counts only if the server answers a PING right after it.

    Args:
        client: The server.
        prefix: The key prefix.
        job: The job.
        result: Its result.
        key: Where to put it for `finish`.
        ttl_ms: How long it is kept there, ms.
        finish: Ends the job with what lies there; returns what became of it.

    Attributes:
        job: See above.
    """

    def __init__(
        self,
        client: redis.Redis,
        prefix: str,
        job: ClaimedJob,
        result: bytes,
        *,
        key: bytes,
        ttl_ms: int,
        finish: Callable[[], str],
    ) -> None:
        self.job = job
        self._redis = client
        self._size = len(result)
        self._set = ("SET", key, result, "PX", ttl_ms)
        write = ScriptCall(scripts.WRITE_AT_OOM, [key], ["SET", result, "PX", ttl_ms])
        self._set_at_oom = write.by_source(prefix)
        self._finish = finish
        self._pipelined = PipelinedConnection(client)
        self._attempts_left = _ATTEMPTS
        self._stopped = threading.Event()

    @property
    def longest_seconds(self) -> float:
        """How long it may take in all while the server answers."""
        return _ATTEMPTS * self._seconds

    @property
    def _seconds(self) -> float:
        return _BASE_SECONDS + transfer_seconds(self._size)

    def stop(self) -> None:
        """Stops it: the job is cancelled. For other threads."""
        self._stopped.set()

    def limit_attempts(self) -> None:
        """Allows only the present attempt, or one more: the lease is lost. For other threads."""
        self._attempts_left = min(self._attempts_left, 1)

    def store(self) -> str:
        """Stores the result and ends the job. May be repeated after RedisUnavailableError.

        Returns:
            What became of the job; `cancelled` if it was stopped.

        Raises:
            ResultTooLargeError: The server refuses it, or it cannot be transferred.
            RedisUnavailableError: Redis is away.
        """
        pause = _FIRST_PAUSE_SECONDS
        while not self._stopped.is_set():
            try:
                self._put()
            except _StoppedError:
                break
            except RedisError as error:
                self._count_failure(error)
            else:
                with redis_errors():
                    return self._finish()
            finally:
                self._pipelined.disconnect()
            self._stopped.wait(pause)
            pause *= 2
        return "cancelled"

    def _put(self) -> None:
        try:
            self._send(self._set)
        except OutOfMemoryError:
            self._send(self._set_at_oom)  # slow, but what lets the queue drain must get through

    def _send(self, command: tuple[str | int | bytes, ...]) -> None:
        deadline = time.monotonic() + self._seconds
        sent_on = self._pipelined.send(self._watch(pack_in_chunks(command), deadline))
        last = min(self._size, _BUFFERED_BYTES)
        self._pipelined.receive(1, sent_on, _BASE_SECONDS / 2 + transfer_seconds(last))

    def _watch(self, pieces: Iterator[bytes | memoryview], deadline: float) -> Iterator[bytes | memoryview]:
        for piece in pieces:
            if self._stopped.is_set():
                raise _StoppedError
            if time.monotonic() > deadline:
                raise RedisTimeoutError(f"it was not transferred within {self._seconds:.0f} s")
            yield piece

    def _count_failure(self, error: RedisError) -> None:
        """Counts an attempt that failed.

        Raises:
            RedisUnavailableError: The server is away, or refuses every command.
            ResultTooLargeError: It was the last one.
        """
        if not (is_lasting_refusal(error) or isinstance(error, RedisConnectionError | RedisTimeoutError)):
            with redis_errors():
                raise error
        with redis_errors():
            self._redis.ping()
        self._attempts_left -= 1
        if self._attempts_left <= 0:
            raise ResultTooLargeError(
                f"The result, {self._size:,} bytes, cannot be stored, though Redis answers: {error}. "
                "Its limits are proto-max-bulk-len and client-query-buffer-limit; the connection must carry "
                "1 MB a second. Ask for less in one job, or set INFERQ_MAX_RESULT_BYTES below the limit."
            ) from error


class _StoppedError(Exception):
    """The job was cancelled in the middle of the transfer."""
