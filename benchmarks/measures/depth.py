"""depth: what one call costs with 1,000, 100,000 and 1,000,000 jobs queued, and how many bytes a job takes.

The same as `python -m benchmarks.recovery`.
"""

import asyncio
import os
import secrets
import time
from collections.abc import Callable
from contextlib import ExitStack
from statistics import median

import redis

from benchmarks.figures import Figure, figure_of
from benchmarks.processes import redis_server
from benchmarks.rounds import tell
from inferq.jobs import ClaimedJob
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.producer.producer import Producer
from inferq.queue.producer.submission import Submission
from inferq.queue.redis_client import scripts
from inferq.settings import Settings, load_settings

_DEPTHS = (1_000, 100_000, 1_000_000)
_ROUNDS = 6
_CALLS = 50
_AT_ONCE = 500
_DATA = b"[[5.1,3.5,1.4,0.2]]"
_FLAT = 1.2
_MOST_BYTES = 1000


def measure(quick: bool) -> list[Figure]:
    """Fills a queue to each depth, and times calls on all in turns: a slow second of the machine hits all.

    All servers share one processor, and the calls come from another: whether both are on the same makes more
    difference than any depth.
    """
    depths = _DEPTHS[:2] if quick else _DEPTHS
    times: dict[str, dict[int, list[float]]] = {}
    with ExitStack() as stack:
        here, there = min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))
        stack.callback(os.sched_setaffinity, 0, os.sched_getaffinity(0))
        os.sched_setaffinity(0, {here})
        queues = {depth: _queue(depth, there, stack) for depth in depths}
        weight = _weight(queues[depths[-1]])
        for round_number in range(1, _ROUNDS + 1):
            for depth, settings in queues.items():
                for name, samples in _time_calls(settings).items():
                    times.setdefault(name, {}).setdefault(depth, []).extend(samples)
            tell(f"depth: calls timed, round {round_number} of {_ROUNDS}")
    figures = [
        _figure(name, depth, samples, series[depths[0]])
        for name, series in times.items()
        for depth, samples in series.items()
    ]
    target, met = f"≤ {_MOST_BYTES} bytes", weight <= _MOST_BYTES
    figures.append(
        figure_of("depth: memory per queued job", "inferq", [weight], "bytes", target=target, met=met)
    )
    return figures


def _queue(depth: int, cpu: int, stack: ExitStack) -> Settings:
    """A server of its own with so many jobs queued; returns the settings that lead to it."""
    settings = load_settings(redis_url=stack.enter_context(redis_server(cpu)), max_queued=10 * _DEPTHS[-1])
    with redis.Redis.from_url(settings.redis_url) as client:
        fill_queue(client, settings, depth)
    tell(f"depth: {depth:,} jobs queued")
    return settings


def _weight(settings: Settings) -> float:
    """Bytes of the server's memory for each queued job."""
    with redis.Redis.from_url(settings.redis_url) as client, redis_server() as empty_url:
        with redis.Redis.from_url(empty_url) as empty:
            without = empty.info("memory")["used_memory"]
        used = client.info("memory")["used_memory"] - without
        return float(used / client.llen("queue:iris"))


def _figure(name: str, depth: int, samples: list[float], shallowest: list[float]) -> Figure:
    target, met = "", None
    if samples is not shallowest and name != "recovery pass":
        target, met = f"≤ {_FLAT} × with {_DEPTHS[0]:,}", median(samples) <= _FLAT * median(shallowest)
    return figure_of(f"depth: {name}", f"{depth:,} queued", samples, "µs", target=target, met=met)


def fill_queue(client: redis.Redis, settings: Settings, depth: int) -> None:
    """Queues jobs until so many wait, by the script that the proxy uses."""
    client.script_load(scripts.SUBMIT.source)
    missing = depth - client.llen("queue:iris")
    while missing > 0:
        pipeline = client.pipeline(transaction=False)
        for _ in range(20):
            count = min(_AT_ONCE, missing)
            arguments: list[str | bytes | int] = ["", 10**9, settings.max_queued, 0]
            for _ in range(count):
                arguments += (secrets.token_hex(16), "iris", "normal", _DATA, "", "", "")
            pipeline.evalsha(scripts.SUBMIT.digest, 1, "models", *arguments)
            missing -= count
        pipeline.execute()


def _time_calls(settings: Settings) -> dict[str, list[float]]:
    consumer = Consumer(settings, "benchmark", ["iris"])
    try:
        consumer.claim(1)
        return {
            "submit": asyncio.run(_time_submits(settings)),
            "read of all metrics": asyncio.run(_time_metrics(settings)),
            "claim of 1": _time_claims(consumer, 1),
            "claim of 32": _time_claims(consumer, 32),
            "recovery pass": _time(consumer.recover),
        }
    finally:
        consumer.close()


async def _time_submits(settings: Settings) -> list[float]:
    producer = Producer.from_settings(settings)
    samples = []
    try:
        for _ in range(_CALLS + 5):
            began = time.perf_counter()
            await producer.submit(Submission("iris", _DATA))
            samples.append((time.perf_counter() - began) * 1e6)
    finally:
        await producer.close()
    return samples[5:]


async def _time_metrics(settings: Settings) -> list[float]:
    producer = Producer.from_settings(settings)
    samples = []
    try:
        for _ in range(_CALLS + 5):
            began = time.perf_counter()
            await producer.read_metrics()
            samples.append((time.perf_counter() - began) * 1e6)
    finally:
        await producer.close()
    return samples[5:]


def _time_claims(consumer: Consumer, count: int) -> list[float]:
    """Times claims; what was claimed is requeued outside the measured time."""
    claimed: list[ClaimedJob] = []

    def claim() -> None:
        claimed[:] = consumer.claim(count)

    return _time(claim, lambda: consumer.requeue(claimed))


def _time(call: Callable[[], object], afterwards: Callable[[], object] = lambda: None) -> list[float]:
    samples = []
    for _ in range(_CALLS):
        began = time.perf_counter()
        call()
        samples.append((time.perf_counter() - began) * 1e6)
        afterwards()
    return samples
