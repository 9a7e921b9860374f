"""Ids that tell the shard of their job: `<32 hex digits>-<number>`, without a number for shard 0."""

import re

_JOB = re.compile("[0-9a-f]{32}(?:-([1-9][0-9]{0,2}))?")
_JOB_OR_CHUNK = re.compile(f"{_JOB.pattern}(?:-chunk[0-9]+)?")


def is_own_id(text: str) -> bool:
    """Whether this is the whole id of a job that inferq itself may have made."""
    return _JOB.fullmatch(text) is not None


def add_shard(job_id: str, shard: int) -> str:
    """Returns the id of a job that goes into a shard.

    Args:
        job_id: An id as `new_job_id` makes it.
        shard: Number of the shard.
    """
    return f"{job_id}-{shard}" if shard else job_id


def find_shard(job_id: str, shards: int) -> int | None:
    """Returns the shard in which to look first; an id that another program has made may be in any.

    Args:
        job_id: Any id.
        shards: How many shards there are.

    Returns:
        Its number; None where the id tells none.
    """
    found = _JOB_OR_CHUNK.fullmatch(job_id)
    if found is None:
        return None
    shard = int(found[1] or 0)
    return shard if shard < shards else None
