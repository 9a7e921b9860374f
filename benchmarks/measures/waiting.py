"""waiting: one proxy process that holds thousands of waiting clients while jobs pass.

Half of the clients wait in a request, the others follow an event stream and are told of their job's place in
the queue each second. Each holds one job; the jobs are ended one by one at a steady rate, by this process in
place of a worker.
"""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import redis

from benchmarks.figures import Figure, figure_of
from benchmarks.processes import can_connect, free_port, program, python, redis_server, wait_until
from benchmarks.rounds import interleave, tell
from benchmarks.targets import SUBJECT
from benchmarks.waiters import HELD_KEY, LAST_KEY, Crowd, Told, let_wait
from inferq.jobs import Outcome
from inferq.queue.consumer.consumer import Consumer
from inferq.settings import Settings

_BUSY = 0.8
_AHEAD = 8
_MOST_AT_THE_END = 100


@dataclass(frozen=True)
class _Size:
    """How much is measured.

    Attributes:
        clients: How many wait in a request, and again as many follow a stream.
        jobs_per_second: How many jobs are ended.
        seconds: How long it counts: so long that each client's turn comes once.
    """

    clients: int
    jobs_per_second: float
    seconds: float


_FULL = _Size(5000, 500.0, 20.0)
_QUICK = _Size(400, 200.0, 4.0)


def measure(quick: bool) -> list[Figure]:
    """Takes the measure."""
    size = _QUICK if quick else _FULL
    told = interleave("waiting", [SUBJECT], quick, lambda _: _take(size))[SUBJECT]
    return [
        figure_of("waiting, p50", SUBJECT, [one.p50_ms for one in told], "ms"),
        figure_of("waiting, p99", SUBJECT, [one.p99_ms for one in told], "ms"),
        figure_of("waiting, missed", SUBJECT, [one.missed for one in told], "clients"),
        figure_of("waiting, memory of a client", "in a request", [one.poll_kb for one in told], "kB"),
        figure_of("waiting, memory of a client", "event stream", [one.stream_kb for one in told], "kB"),
    ]


def _take(size: _Size) -> Told:
    port = free_port()
    limits = {"INFERQ_MAX_QUEUED": "100000000", "INFERQ_MAX_WAIT_SECONDS": "600"}
    command = python("-m", "inferq", "proxy", "--port", str(port))
    with (
        redis_server() as url,
        program(command, "the proxy", url=url, settings=limits) as proxy,
        ThreadPoolExecutor(1) as beside,
    ):
        wait_until(lambda: can_connect(port), "the proxy listens", alive=proxy)
        clients = beside.submit(let_wait, Crowd(port, proxy.pid, url, size.clients, size.seconds))
        _end_jobs(url, size.jobs_per_second, clients)
        told = clients.result()
    if told.busy > _BUSY:
        tell(f"[yellow]waiting: the clients took {told.busy:.0%} of a processor and may be the limit[/]")
    return told


def _end_jobs(url: str, jobs_per_second: float, clients: Future[Told]) -> None:
    """Ends jobs at a steady rate once all clients wait, and what is left when they submit no more."""
    consumer = Consumer(Settings(redis_url=url), "benchmark", ["iris"])
    try:
        with redis.Redis.from_url(url) as server:
            while not (server.exists(HELD_KEY) or clients.done()):
                time.sleep(0.1)
            due = time.perf_counter()
            while not (server.exists(LAST_KEY) or clients.done()):
                for job in consumer.claim(_AHEAD):
                    due = max(due + 1 / jobs_per_second, time.perf_counter() - 0.1)
                    time.sleep(max(0.0, due - time.perf_counter()))
                    consumer.finish([Outcome(job, result=_result())])
        while not clients.done():
            jobs = consumer.claim(_MOST_AT_THE_END)
            if jobs:
                consumer.finish([Outcome(job, result=_result()) for job in jobs])
            time.sleep(0.01)
    finally:
        consumer.close()


def _result() -> bytes:
    return b'{"finished":%.6f}' % time.perf_counter()
