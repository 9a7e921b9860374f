"""Dramatiq with Redis as broker and result backend."""

import os
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from benchmarks.processes import URL_VARIABLE
from benchmarks.rivals import iris

broker = RedisBroker(url=os.environ[URL_VARIABLE])
backend = RedisBackend(url=os.environ[URL_VARIABLE])
broker.add_middleware(Results(backend=backend))
dramatiq.set_broker(broker)


@dramatiq.actor(store_results=True)
def predict(rows: list[list[float]]) -> dict[str, Any]:
    """Runs the model."""
    return iris.predict(rows)


def enqueue(count: int) -> list[str]:
    """Queues one-row jobs; returns the keys of their results."""
    return [backend.build_message_key(predict.send(iris.ROW)) for _ in range(count)]
