"""Recovery, as the workers of a test make it."""

import redis

from inferq.queue.consumer.consumer import Consumer
from tests.servers import wait_until


def recover_until_failed(consumer: Consumer, client: redis.Redis, job_id: str) -> None:
    """Makes passes of recovery until they have failed a job, whose time may not be over yet."""

    def has_failed():
        consumer.recover()
        return client.get(f"job:{job_id}:status") == b"failed"

    wait_until(has_failed, what="the end of the job")
