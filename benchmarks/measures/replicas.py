"""replicas: 1, 2, 4 and 8 workers on a model with 100 ms of simulated work for each job."""

import asyncio
import time
from contextlib import ExitStack

import redis

from benchmarks.figures import Figure, figure_of
from benchmarks.processes import program, python, redis_server, wait_until
from benchmarks.rounds import tell
from inferq.queue.producer.producer import Producer
from inferq.queue.producer.submission import Submission
from inferq.queue.schema.record import parse_record
from inferq.settings import Settings, load_settings

_SECONDS = 0.1
_JOBS_PER_WORKER = 60
_QUICK_JOBS_PER_WORKER = 15
_LINEAR = 0.95
_DATA = b"[[5.1,3.5,1.4,0.2]]"


def measure(quick: bool) -> list[Figure]:
    """Lets more and more workers drain as many jobs each."""
    each = _QUICK_JOBS_PER_WORKER if quick else _JOBS_PER_WORKER
    counts = (1, 2, 4) if quick else (1, 2, 4, 8)
    rates = {count: _rate(count, each) for count in counts}
    figures = []
    for count, rate in rates.items():
        target, met = "", None
        if count > 1:
            target, met = f"≥ {_LINEAR} of linear", rate >= _LINEAR * count * rates[1]
        name = f"{count} worker{'s' if count > 1 else ''}"
        figures.append(figure_of("replicas", name, [rate], "jobs/s", target=target, met=met))
    return figures


def _rate(workers: int, jobs_each: int) -> float:
    """Jobs per second between the first end and the last."""
    with redis_server() as url, redis.Redis.from_url(url) as client, ExitStack() as stack:
        for number in range(workers):
            stack.enter_context(
                program(
                    python("-m", "inferq", "worker"),
                    f"worker {number + 1}",
                    url=url,
                    settings={"INFERQ_SIMULATED_RUN_SECONDS": str(_SECONDS)},
                )
            )
        wait_until(lambda: client.zcard("workers") == workers, "all workers report")
        ids = asyncio.run(_submit(load_settings(redis_url=url), workers * jobs_each))
        seconds = 3 * jobs_each * _SECONDS + 10
        wait_until(
            lambda: not client.zcard("queue:iris:open:normal"), "the queue is drained", seconds=seconds
        )
        ends = sorted(
            int(parse_record(record).get("ended_ms", 0)) for record in client.hmget("jobs:records", ids)
        )
    rate = (len(ends) - workers) / (ends[-1] - ends[workers - 1]) * 1000
    tell(f"replicas: {workers} workers end {rate:.1f} jobs/s")
    return rate


async def _submit(settings: Settings, count: int) -> list[str]:
    producer = Producer.from_settings(settings)
    try:
        began = time.monotonic()
        ids = list(await asyncio.gather(*(producer.submit(Submission("iris", _DATA)) for _ in range(count))))
        tell(f"replicas: {count} jobs queued in {time.monotonic() - began:.2f} s")
        return ids
    finally:
        await producer.close()
