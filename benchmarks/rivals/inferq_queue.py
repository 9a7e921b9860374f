"""inferq itself: its jobs submitted by its own producer, with everything that it keeps for each."""

import asyncio

from benchmarks.rivals import iris
from inferq.queue.producer.producer import Producer
from inferq.queue.producer.submission import Submission
from inferq.settings import load_settings

_AT_ONCE = 16


def enqueue(count: int) -> list[str]:
    """Queues one-row jobs; returns their ids, roughly in the order in which they wait."""
    return asyncio.run(_enqueue(count))


async def _enqueue(count: int) -> list[str]:
    producer = Producer.from_settings(load_settings(max_queued=10 * count))
    data = str(iris.ROW).encode()
    ids: list[str] = []
    try:
        while len(ids) < count:
            wanted = min(_AT_ONCE, count - len(ids))
            ids += await asyncio.gather(*(producer.submit(Submission("iris", data)) for _ in range(wanted)))
    finally:
        await producer.close()
    return ids
