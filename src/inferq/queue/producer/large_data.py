"""Data that is too large to pass through a script: it is stored beside it."""

from inferq.queue.producer.submission import Submission
from inferq.queue.redis_client.script_calls import Command
from inferq.queue.redis_client.scripts import INLINE_BYTES
from inferq.queue.schema.keys import Keys


def split_data(submission: Submission, keys: Keys, ttl_ms: int) -> tuple[bytes | memoryview, list[Command]]:
    """Splits a job's data off, if it is large.

    Args:
        submission: The job.
        keys: Names of the keys.
        ttl_ms: How long the data is kept, ms.

    Returns:
        What the script is to store, empty if the data is large; and the commands that store large data.
    """
    data = submission.data
    if len(data) <= INLINE_BYTES:
        return data, []
    return b"", [("SET", keys.job(submission.id, "data"), data, "PX", ttl_ms)]
