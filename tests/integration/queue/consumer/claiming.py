"""What a worker does that waits for a job."""

from inferq.jobs import ClaimedJob
from inferq.queue.consumer.consumer import Consumer


def claim_next(consumer: Consumer, limit: int = 1) -> list[ClaimedJob]:
    """Waits and claims, with the second claim where the first cannot tell what was popped."""
    _, jobs, unclaimed = consumer.wait_and_claim(limit)
    return consumer.claim(limit, unclaimed) if unclaimed else jobs
