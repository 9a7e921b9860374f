"""What a worker does that waits for a job."""

from inferq.jobs import ClaimedJob
from inferq.queue.consumer.consumer import Consumer, Popped


def take(consumer: Consumer, limit: int = 1) -> list[ClaimedJob]:
    """Takes what waits, with the second claim where the first cannot tell what was popped."""
    taken = consumer.take(limit)
    return consumer.claim(limit, taken) if isinstance(taken, Popped) else taken
