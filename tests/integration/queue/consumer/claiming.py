"""What a worker does with a job."""

from inferq.jobs import ClaimedJob, Outcome
from inferq.queue.consumer.consumer import Consumer


def claim_next(consumer: Consumer, limit: int = 1) -> list[ClaimedJob]:
    """Waits and claims, with the second claim where the first cannot tell what was popped."""
    _, jobs, unclaimed = consumer.wait_and_claim(limit)
    return consumer.claim(limit, unclaimed) if unclaimed else jobs


def complete(consumer: Consumer, job: ClaimedJob, result: bytes = b'{"prediction":0}') -> list[str]:
    """Finishes a job with a result; returns the verdict."""
    return consumer.finish([Outcome(job, result=result)])
