"""Huey with Redis."""

import os
from typing import Any

from huey import RedisHuey

from benchmarks.processes import URL_VARIABLE
from benchmarks.rivals import iris

huey = RedisHuey("benchmark", url=os.environ[URL_VARIABLE], blocking=True)


@huey.task()
def predict(rows: list[list[float]]) -> dict[str, Any]:
    """Runs the model."""
    return iris.predict(rows)


def enqueue(count: int) -> list[str]:
    """Queues one-row jobs; returns their ids."""
    return [predict(iris.ROW).id for _ in range(count)]
