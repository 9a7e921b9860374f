"""Users who post and poll, in a process of their own: `python -m benchmarks.load PORT USERS PAUSE SECONDS`.

Each has one connection that it keeps, on asyncio's bare protocol with uvloop, so that the users are much
cheaper than what they measure. Prints a JSON object: see `Load`.
"""

import asyncio
import gc
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import uvloop

from benchmarks.processes import BODY, BenchmarkError, run_python

_POST = (
    b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b"
)
_GET = b"GET /job/%b HTTP/1.1\r\nHost: localhost\r\n\r\n"
_COMPLETED = b'"status":"completed"'
_FAILED = b'"status":"failed"'
_WARM_UP_SECONDS = 0.5
_LONGEST_FIRST_SECONDS = 60.0
_LONGEST_SILENCE_SECONDS = 10.0


@dataclass(frozen=True)
class Load:
    """What the users saw in the seconds that count.

    Attributes:
        jobs_per_second: Jobs seen completed.
        p50_ms: Median of the time from a request's first byte to the answer that says completed.
        p99_ms: 99th percentile of the same.
        errors: Answers other than 2xx; each such request was made again.
        busy: Share of one processor that the users took themselves: near 1, they are what is measured.
    """

    jobs_per_second: float
    p50_ms: float
    p99_ms: float
    errors: int
    busy: float

    def __str__(self) -> str:
        return f"{self.jobs_per_second:,.0f} jobs/s, p50 {self.p50_ms:.2f} ms, p99 {self.p99_ms:.2f} ms"


@dataclass
class _Crowd:
    """What the users share.

    Attributes:
        pause: Seconds between an answer and the next poll.
        first: Set once the first job has completed.
        broken: Set to why it cannot go on.
        milliseconds: From post to completed, of each job.
        errors: Answers other than 2xx.
    """

    pause: float
    first: asyncio.Event = field(default_factory=asyncio.Event)
    broken: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    milliseconds: list[float] = field(default_factory=list)
    errors: int = 0

    def give_up(self, why: str) -> None:
        if not self.broken.done():
            self.broken.set_exception(BenchmarkError(why))


class _User(asyncio.Protocol):
    """One user: posts, polls until completed, posts again."""

    def __init__(self, crowd: _Crowd) -> None:
        self._crowd = crowd
        self._loop = asyncio.get_running_loop()
        self._received = b""
        self._request = b""
        self._job: bytes | None = None
        self._started = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class
        self._post()

    def connection_lost(self, exc: Exception | None) -> None:
        self._crowd.give_up(f"The server closed a connection ({exc or 'no error'}).")

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        _, _, length = head.lower().partition(b"content-length:")
        if len(body) < int(length.split(b"\r\n", 1)[0]):
            return
        self._received = b""
        if head[9:10] != b"2":
            self._crowd.errors += 1
            self._after_pause(self._send)
        elif self._job is None:
            self._job = json.loads(body)["job_id"].encode()
            self._request = _GET % self._job
            self._after_pause(self._send)
        elif _COMPLETED in body:
            self._crowd.milliseconds.append((time.perf_counter() - self._started) * 1e3)
            self._crowd.first.set()
            self._post()
        elif _FAILED in body:
            self._crowd.give_up(f"A job failed: {body.decode(errors='replace')[:300]}")
        else:
            self._after_pause(self._send)

    def _after_pause(self, action: Callable[[], None]) -> None:
        if self._crowd.pause:
            self._loop.call_later(self._crowd.pause, action)
        else:
            action()

    def _post(self) -> None:
        self._job = None
        self._request = _POST % (len(BODY), BODY)
        self._started = time.perf_counter()
        self._send()

    def _send(self) -> None:
        self._transport.write(self._request)


async def _run(port: int, users: int, pause: float, seconds: float) -> Load:
    crowd = _Crowd(pause)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: crowd.give_up(repr(context.get("exception", context))))
    transports = [
        (await loop.create_connection(lambda: _User(crowd), "127.0.0.1", port))[0] for _ in range(users)
    ]
    await _first_job(crowd)
    await _let_pass(_WARM_UP_SECONDS, crowd)
    crowd.milliseconds.clear()
    crowd.errors = 0
    began, worked = time.perf_counter(), time.process_time()
    await _let_pass(seconds, crowd)
    took, worked = time.perf_counter() - began, time.process_time() - worked
    times = sorted(crowd.milliseconds)
    for transport in transports:
        transport.abort()
    if not times:
        raise BenchmarkError("No job completed in the seconds that count.")
    return Load(
        len(times) / took,
        times[len(times) // 2],
        times[min(len(times) - 1, int(len(times) * 0.99))],
        crowd.errors,
        worked / took,
    )


async def _first_job(crowd: _Crowd) -> None:
    """Waits until one job has completed: the worker is there."""
    first: asyncio.Future[Any] = asyncio.ensure_future(crowd.first.wait())
    await asyncio.wait([first, crowd.broken], timeout=_LONGEST_FIRST_SECONDS, return_when="FIRST_COMPLETED")
    if not first.done():
        first.cancel()
        crowd.give_up("No job completed. Is there a worker?")


async def _let_pass(seconds: float, crowd: _Crowd) -> None:
    """Waits, unless a user says why it cannot go on."""
    await asyncio.wait([crowd.broken], timeout=seconds)
    if crowd.broken.done():
        crowd.broken.result()


def put_load(port: int, *, users: int, pause: float, seconds: float) -> Load:
    """Puts the load of users on a proxy, from another process.

    Args:
        port: Where the proxy listens on loopback.
        users: How many users.
        pause: Seconds between an answer and a user's next poll.
        seconds: How long it counts, after a warm-up.

    Returns:
        What the users saw.

    Raises:
        BenchmarkError: Something was answered that does not belong in a measurement.
    """
    arguments = (str(port), str(users), str(pause), str(seconds))
    longest = _LONGEST_FIRST_SECONDS + seconds + _LONGEST_SILENCE_SECONDS
    return Load(**json.loads(run_python("-m", "benchmarks.load", *arguments, seconds=longest)))


def main(port: str, users: str, pause: str, seconds: str) -> None:
    """Runs the users and prints what they saw."""
    gc.disable()
    print(json.dumps(asdict(uvloop.run(_run(int(port), int(users), float(pause), float(seconds))))))


if __name__ == "__main__":
    main(*sys.argv[1:])
