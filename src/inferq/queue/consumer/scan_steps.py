"""Scans that all workers share: whichever comes first makes the next step."""

from inferq.queue.consumer.access import QueueAccess
from inferq.queue.redis_client import scripts


def acquire_step(access: QueueAccess, key: str, step_ms: int, longest_ms: int = 0) -> bool:
    """Whether the next step of a scan is this worker's.

    Args:
        access: The server.
        key: Which scan; there while a step is under way, or none is due.
        step_ms: How long until the next step is due, ms.
        longest_ms: The same after the last step of a round, if that is longer.

    Raises:
        RedisError: The server cannot be reached.
    """
    if access.call(scripts.WRITE_AT_OOM, [key], ["SET", "1", "NX", "PX", step_ms]) is not None:
        return True
    if access.redis.pttl(key) <= max(step_ms, longest_ms):
        return False
    # it was set before the clock was set back
    return access.call(scripts.WRITE_AT_OOM, [key], ["SET", "1", "PX", step_ms]) is not None
