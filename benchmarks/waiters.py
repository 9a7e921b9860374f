"""Clients that wait, in a process of their own: `python -m benchmarks.waiters` with the fields of `Crowd`.

Half of them wait in a request, the others follow an event stream; each submits a job, waits for its end, and
submits the next. On asyncio's bare protocol with uvloop, to be much cheaper than what they measure. Prints a
JSON object: see `Told`.
"""

import asyncio
import gc
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import cast

import redis
import uvloop

from benchmarks.idle import resident_megabytes
from benchmarks.processes import BODY, BenchmarkError, run_python
from inferq.proxy.transport.listen import allow_many_connections

HELD_KEY = "benchmark:held"
"""Is set once every client waits: from now on jobs are to be ended."""
LAST_KEY = "benchmark:last"
"""Is set once no more jobs are submitted: those that are left are to be ended."""
FINISHED = b'"result":{"finished":'
"""How a result begins; then comes the moment of its job's finish, by the machine's monotonic clock."""

_POST = (
    b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
)
_WAIT = b"GET /job/%b?wait=600 HTTP/1.1\r\nHost: localhost\r\n\r\n"
_FOLLOW = b"GET /job/%b/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
_END = b"event: end"
_LAST_CHUNK = b"\r\n0\r\n\r\n"
_AT_ONCE = 64
_SETTLE_SECONDS = 2.0
_LONGEST_START_SECONDS = 120.0
_LONGEST_SILENCE_SECONDS = 30.0


@dataclass(frozen=True)
class Crowd:
    """Who waits.

    Attributes:
        port: Where the proxy listens on loopback.
        pid: Its process.
        url: Its Redis server.
        clients: How many wait in a request, and again as many follow a stream.
        seconds: How long it counts.
    """

    port: int
    pid: int
    url: str
    clients: int
    seconds: float


@dataclass(frozen=True)
class Told:
    """What the clients saw.

    Attributes:
        p50_ms: Median of the time from just before a job's finish was sent to Redis until its client had it.
        p99_ms: 99th percentile of the same.
        longest_ms: The longest.
        jobs: How many jobs that is.
        missed: Clients that were never told.
        poll_kb: Resident memory of the proxy for each client that waits in a request, 10³ bytes.
        stream_kb: The same for each that follows a stream.
        busy: Share of one processor that the clients took themselves: near 1, they are what is measured.
    """

    p50_ms: float
    p99_ms: float
    longest_ms: float
    jobs: int
    missed: int
    poll_kb: float
    stream_kb: float
    busy: float

    def __str__(self) -> str:
        return (
            f"p50 {self.p50_ms:.2f} ms, p99 {self.p99_ms:.2f} ms, longest {self.longest_ms:.0f} ms of "
            f"{self.jobs:,} jobs, {self.missed} missed, {self.poll_kb:.1f} and {self.stream_kb:.1f} kB"
        )


@dataclass
class _Score:
    """What the clients share.

    Attributes:
        waiting: Clients that have sent what they wait with.
        submits_more: Whether a client submits another job when its last has ended.
        broken: Set to why it cannot go on.
        milliseconds: From finish to client, of each job.
        told_at: When any client was last told.
    """

    waiting: int = 0
    submits_more: bool = True
    broken: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    milliseconds: list[float] = field(default_factory=list)
    told_at: float = 0.0

    def give_up(self, why: str) -> None:
        if not self.broken.done():
            self.broken.set_exception(BenchmarkError(why))


class _Client(asyncio.Protocol):
    """One client on one connection: submits, waits, submits again."""

    def __init__(self, score: _Score, waits_with: bytes) -> None:
        self._score = score
        self._waits_with = waits_with
        self._received = b""
        self._waits = False
        self.submitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's own class
        self.transport.write(_POST)

    def connection_lost(self, exc: Exception | None) -> None:
        self._score.give_up(f"The server closed a connection ({exc or 'no error'}).")

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        self._received += data
        if self._waits and self._waits_with is _FOLLOW:
            if _END not in self._received:
                self._received = self._received[-len(_END) :]
                return
            if not self._received.endswith(_LAST_CHUNK):
                return
        elif not self._is_whole():
            return
        received, self._received = self._received, b""
        if self._waits:
            self._end(received, now)
        elif received[9:12] != b"202":
            self._score.give_up(f"A job was refused: {received.decode(errors='replace')[:300]}")
        else:
            self._waits = True
            self._score.waiting += 1
            self.transport.write(
                self._waits_with % json.loads(received.partition(b"\r\n\r\n")[2])["job_id"].encode()
            )
            if not self.submitted.done():
                self.submitted.set_result(None)

    def _is_whole(self) -> bool:
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return False
        _, _, length = head.lower().partition(b"content-length:")
        return len(body) >= int(length.split(b"\r\n", 1)[0])

    def _end(self, received: bytes, now: float) -> None:
        _, found, rest = received.partition(FINISHED)
        if not found:
            self._score.give_up(f"A job did not complete: {received.decode(errors='replace')[:600]}")
            return
        self._score.milliseconds.append((now - float(rest.partition(b"}")[0])) * 1e3)
        self._score.told_at = now
        self._score.waiting -= 1
        self._waits = False
        if self._score.submits_more:
            self.transport.write(_POST)


async def _run(crowd: Crowd) -> Told:
    score = _Score()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: score.give_up(repr(context.get("exception", context))))
    megabytes = [resident_megabytes(crowd.pid)]
    clients: list[_Client] = []
    for waits_with in (_WAIT, _FOLLOW):
        clients += await _hold(crowd, score, waits_with)
        await _let_pass(_SETTLE_SECONDS, score)
        megabytes.append(resident_megabytes(crowd.pid))
    base, with_polls, with_streams = megabytes
    with redis.Redis.from_url(crowd.url) as server:
        server.set(HELD_KEY, 1)
        await _let_pass(_SETTLE_SECONDS, score)
        score.milliseconds.clear()
        began, worked = time.perf_counter(), time.process_time()
        await _let_pass(crowd.seconds, score)
        took, worked = time.perf_counter() - began, time.process_time() - worked
        times = sorted(score.milliseconds)
        score.submits_more = False
        server.set(LAST_KEY, 1)
    score.told_at = time.perf_counter()
    while score.waiting and time.perf_counter() - score.told_at < _LONGEST_SILENCE_SECONDS:
        await _let_pass(0.1, score)
    for client in clients:
        client.transport.abort()
    if not times:
        raise BenchmarkError("No job ended in the seconds that count.")
    return Told(
        times[len(times) // 2],
        times[min(len(times) - 1, int(len(times) * 0.99))],
        times[-1],
        len(times),
        score.waiting,
        (with_polls - base) * 1e3 / crowd.clients,
        (with_streams - with_polls) * 1e3 / crowd.clients,
        worked / took,
    )


async def _hold(crowd: Crowd, score: _Score, waits_with: bytes) -> list[_Client]:
    """Opens connections, few at a time, until all of them wait."""
    loop = asyncio.get_running_loop()
    clients: list[_Client] = []
    for first in range(0, crowd.clients, _AT_ONCE):
        count = min(_AT_ONCE, crowd.clients - first)
        group = await asyncio.gather(
            *(
                loop.create_connection(lambda: _Client(score, waits_with), "127.0.0.1", crowd.port)
                for _ in range(count)
            )
        )
        clients += [client for _, client in group]
        for client in clients[first:]:
            await asyncio.wait([client.submitted, score.broken], return_when="FIRST_COMPLETED")
            if score.broken.done():
                score.broken.result()
    return clients


async def _let_pass(seconds: float, score: _Score) -> None:
    """Waits, unless a client says why it cannot go on."""
    await asyncio.wait([score.broken], timeout=seconds)
    if score.broken.done():
        score.broken.result()


def let_wait(crowd: Crowd) -> Told:
    """Lets clients wait, in another process.

    Raises:
        BenchmarkError: Something was answered that does not belong in a measurement.
    """
    arguments = (str(value) for value in asdict(crowd).values())
    longest = _LONGEST_START_SECONDS + crowd.seconds + 2 * _LONGEST_SILENCE_SECONDS
    return Told(**json.loads(run_python("-m", "benchmarks.waiters", *arguments, seconds=longest)))


def main(port: str, pid: str, url: str, clients: str, seconds: str) -> None:
    """Lets the clients wait and prints what they saw."""
    gc.disable()
    allow_many_connections()
    crowd = Crowd(int(port), int(pid), url, int(clients), float(seconds))
    print(json.dumps(asdict(uvloop.run(_run(crowd)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
