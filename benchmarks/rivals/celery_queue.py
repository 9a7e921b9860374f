"""Celery with Redis as broker and result backend."""

import os
from typing import Any

from celery import Celery

from benchmarks.processes import URL_VARIABLE
from benchmarks.rivals import iris

app = Celery("benchmark", broker=os.environ[URL_VARIABLE], backend=os.environ[URL_VARIABLE])
app.conf.update(
    task_acks_late=True,
    task_ignore_result=False,
    worker_prefetch_multiplier=64,
    worker_send_task_events=False,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)


@app.task(name="predict")
def predict(rows: list[list[float]]) -> dict[str, Any]:
    """Runs the model."""
    return iris.predict(rows)


def enqueue(count: int) -> list[str]:
    """Queues one-row jobs; returns their ids."""
    with app.producer_pool.acquire(block=True) as producer:
        return [predict.apply_async((iris.ROW,), producer=producer).id for _ in range(count)]
