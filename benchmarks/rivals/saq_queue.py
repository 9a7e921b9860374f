"""SAQ: its settings as its command line takes them."""

import asyncio
import os
from typing import Any

from saq import Queue

from benchmarks.processes import URL_VARIABLE
from benchmarks.rivals import iris

queue = Queue.from_url(os.environ[URL_VARIABLE])


async def predict(_context: dict[str, Any], *, rows: list[list[float]]) -> dict[str, Any]:
    """Runs the model."""
    return iris.predict(rows)


settings = {"queue": queue, "functions": [predict], "concurrency": 32}


def enqueue(count: int) -> list[str]:
    """Queues one-row jobs; returns their ids."""
    return asyncio.run(_enqueue(count))


async def _enqueue(count: int) -> list[str]:
    await queue.connect()
    try:
        jobs = [await queue.enqueue("predict", rows=iris.ROW) for _ in range(count)]
        # holds the lock of the sweeper, as another worker would: a lone one otherwise aborts, as it starts,
        # jobs that it has just taken itself, and waits five seconds for each of them
        await queue.sweep()
    finally:
        await queue.disconnect()
    return [job.id for job in jobs if job is not None]
