"""Reads and writes the records of jobs, which are otherwise the scripts' alone."""

import json
from typing import Any

import redis

from inferq.queue.record import POSITIONAL, fields_of


def record(client: redis.Redis, job_id: str) -> dict[str, Any]:
    """The fields of a job's record; none if there is no record."""
    return fields_of(client.hget("jobs:records", job_id))


def leased(client: redis.Redis, model: str = "iris") -> list[str]:
    """The ids of the jobs that are leased, claim by claim."""
    tokens = [token.decode() for token in client.zrange(f"queue:{model}:leases", 0, -1)]
    return [job_id.decode() for token in tokens for job_id in client.lrange(f"claim:{token}", 1, -1)]


def write_record(client: redis.Redis, job_id: str, **fields: object) -> None:
    """Writes a record with these fields and no other."""
    first = [str(fields.pop(name, "")) for name in POSITIONAL]
    client.hset("jobs:records", job_id, "|".join([*first, json.dumps(fields) if fields else ""]))


def change_record(client: redis.Redis, job_id: str, **fields: object) -> None:
    """Sets some fields of a record."""
    write_record(client, job_id, **record(client, job_id) | fields)
