"""Prolongs the leases of jobs that run."""

from collections.abc import Collection, Mapping
from typing import Any

from inferq.jobs import ClaimedJob
from inferq.queue.consumer.access import QueueAccess
from inferq.queue.redis_client import scripts
from inferq.queue.redis_client.connection import redis_errors
from inferq.queue.schema.ids import encode_id
from inferq.queue.schema.times import to_milliseconds


def renew_leases(
    access: QueueAccess, running: Mapping[ClaimedJob, float], waiting: Collection[ClaimedJob] = ()
) -> dict[ClaimedJob, str]:
    """Prolongs leases.

    Args:
        access: The server.
        running: The jobs that are held, each with the longest time in seconds since its claim for which its
            lease may be prolonged.
        waiting: Those of them that only wait for files, and are not to blame if the worker dies.

    Returns:
        For each: renewed, overdue (not prolonged), cancelled, or lost.

    Raises:
        RedisUnavailableError: Redis is away.
    """
    if not running:
        return {}
    arguments: list[Any] = [to_milliseconds(access.settings.lease_seconds), access.lifetime_ms]
    for job, longest_seconds in running.items():
        arguments += [encode_id(job.id), job.token, to_milliseconds(longest_seconds), int(job in waiting)]
    with redis_errors():
        answers = access.call(scripts.RENEW, [access.keys.models], arguments)
    return {job: answer.decode() for job, answer in zip(running, answers, strict=True)}
