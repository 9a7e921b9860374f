"""observing: what it costs a proxy to be watched: a scrape of its metrics, and the stream of the live page.

The scrape is timed with a million jobs queued. The stream is measured while jobs pass at a steady rate, which
this process submits and ends by itself, in place of proxies and workers.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.request import urlopen

import redis

from benchmarks.figures import Figure, figure_of
from benchmarks.idle import processor_seconds
from benchmarks.measures.depth import fill_queue
from benchmarks.processes import can_connect, free_port, program, python, redis_server, wait_until
from benchmarks.rounds import rounds, tell
from benchmarks.targets import SUBJECT
from inferq.jobs import Outcome
from inferq.queue.consumer.consumer import Consumer
from inferq.settings import Settings, load_settings

_DEPTH = 1_000_000
_QUICK_DEPTH = 100_000
_SCRAPES = 20
_JOBS_PER_SECOND = 1_000
_JOBS_AT_ONCE = 20
_SECONDS = 10.0
_QUICK_SECONDS = 4.0
_SETTLE_SECONDS = 1.0
_MANY = 20


def measure(quick: bool) -> list[Figure]:
    """Takes both measures; the processor's share with no page, with one, and with many open."""
    scrapes = _time_scrapes(_QUICK_DEPTH if quick else _DEPTH)
    shares: dict[str, list[float]] = {}
    for number in range(1, rounds(quick) + 1):
        for subject, share in _measure_stream(_QUICK_SECONDS if quick else _SECONDS):
            tell(f"observing, round {number}: {subject} {share:.2f} %")
            shares.setdefault(subject, []).append(share)
    return [
        figure_of("scrape of /metrics", SUBJECT, scrapes, "ms"),
        *(figure_of("live page, of a processor", subject, values, "%") for subject, values in shares.items()),
    ]


@contextmanager
def _proxy() -> Iterator[tuple[Settings, int, str]]:
    """A server and a proxy: the settings, the proxy's process id, and its address."""
    port = free_port()
    with ExitStack() as stack:
        url = stack.enter_context(redis_server())
        settings = load_settings(redis_url=url, max_queued=10 * _DEPTH)
        command = python("-m", "inferq", "proxy", "--port", str(port))
        proxy = stack.enter_context(program(command, "the proxy", url=url))
        wait_until(lambda: can_connect(port), "the proxy listens", alive=proxy)
        yield settings, proxy.pid, f"http://127.0.0.1:{port}"


def _time_scrapes(depth: int) -> list[float]:
    samples = []
    with _proxy() as (settings, _, address):
        with redis.Redis.from_url(settings.redis_url) as client:
            fill_queue(client, settings, depth)
        for _ in range(_SCRAPES):
            began = time.perf_counter()
            with urlopen(f"{address}/metrics") as answer:
                answer.read()
            samples.append((time.perf_counter() - began) * 1e3)
    tell(f"observing: {_SCRAPES} scrapes with {depth:,} jobs queued")
    return samples


def _measure_stream(seconds: float) -> Iterator[tuple[str, float]]:
    """Yields which share of a processor, in percent, the proxy takes with more and more pages open."""
    is_over = threading.Event()
    with _proxy() as (settings, pid, address):
        traffic = threading.Thread(target=_let_jobs_pass, args=(settings, is_over))
        traffic.start()
        try:
            opened = 0
            for subject, pages in (("no page", 0), (SUBJECT, 1), (f"{_MANY} pages", _MANY)):
                while opened < pages:
                    threading.Thread(target=_watch, args=(address,), daemon=True).start()
                    opened += 1
                time.sleep(_SETTLE_SECONDS)
                before, began = processor_seconds(pid), time.monotonic()
                time.sleep(seconds)
                yield subject, (processor_seconds(pid) - before) / (time.monotonic() - began) * 100
        finally:
            is_over.set()
            traffic.join()


def _let_jobs_pass(settings: Settings, is_over: threading.Event) -> None:
    """Submits and ends jobs at a steady rate."""
    consumer = Consumer(settings, "benchmark", ["iris"])
    began, passed = time.monotonic(), 0
    with redis.Redis.from_url(settings.redis_url) as client:
        while not is_over.wait(max(0.0, began + passed / _JOBS_PER_SECOND - time.monotonic())):
            fill_queue(client, settings, _JOBS_AT_ONCE)
            while jobs := consumer.claim(_JOBS_AT_ONCE):
                consumer.finish([Outcome(job, b"{}") for job in jobs])
            passed += _JOBS_AT_ONCE
    consumer.close()
    tell(f"observing: {passed / (time.monotonic() - began):,.0f} jobs/s have passed")


def _watch(address: str) -> None:
    """Reads the stream as a page does, until the proxy ends."""
    with urlopen(f"{address}/activity") as stream:
        while stream.readline():
            pass
