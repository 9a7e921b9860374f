"""The seed document's loop: take one job, run the model, store the result. Run: python -m with this name."""

import json
import os

import redis

from benchmarks.processes import URL_VARIABLE
from benchmarks.rivals.iris import ROW, predict

QUEUE = "queue:seed"
TTL_SECONDS = 3600


def enqueue(count: int) -> list[str]:
    """Queues one-row jobs; returns their ids."""
    client = _client()
    ids = [f"{number:032x}" for number in range(count)]
    data = json.dumps(ROW)
    pipeline = client.pipeline(transaction=False)
    for number, job_id in enumerate(ids, start=1):
        pipeline.set(f"job:{job_id}:data", data, ex=TTL_SECONDS)
        pipeline.set(f"job:{job_id}:status", "pending", ex=TTL_SECONDS)
        pipeline.lpush(QUEUE, job_id)
        if number % 500 == 0:
            pipeline.execute()
    pipeline.execute()
    return ids


def main() -> None:
    """Serves for ever."""
    client = _client()
    predict(ROW)
    while True:
        popped = client.brpop([QUEUE], timeout=1)
        if popped:
            _process(client, str(popped[1]))


def _process(client: redis.Redis, job_id: str) -> None:
    try:
        client.set(f"job:{job_id}:status", "processing", ex=TTL_SECONDS)
        data = json.loads(str(client.get(f"job:{job_id}:data")))
        client.set(f"job:{job_id}:result", json.dumps(predict(data)), ex=TTL_SECONDS)
        client.set(f"job:{job_id}:status", "completed", ex=TTL_SECONDS)
    except (ValueError, TypeError, IndexError) as error:
        client.set(f"job:{job_id}:error", str(error), ex=TTL_SECONDS)
        client.set(f"job:{job_id}:status", "failed", ex=TTL_SECONDS)


def _client() -> redis.Redis:
    return redis.Redis.from_url(os.environ[URL_VARIABLE], decode_responses=True)


if __name__ == "__main__":
    main()
