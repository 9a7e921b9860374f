"""Reads and writes the records of jobs, which are otherwise the scripts' alone."""

import json
from typing import Any

import redis

from inferq.queue.schema.record import FIELDS, parse_record

TIMES = ("submitted_ms", "started_ms", "missing_ms", "ended_ms", "webhook_ms")


def record(client: redis.Redis, job_id: str) -> dict[str, Any]:
    """The fields of a job's record; none if there is no record."""
    return parse_record(client.hget("jobs:records", job_id))


def known(client: redis.Redis) -> set[str]:
    """The ids of all jobs that have a record."""
    return {job_id.decode() for job_id in client.hkeys("jobs:records")} - {"|bytes"}


def leased(client: redis.Redis, model: str = "iris") -> list[str]:
    """The ids of the jobs that are leased, claim by claim."""
    tokens = [token.decode() for token in client.zrange(f"queue:{model}:leases", 0, -1)]
    return [job_id.decode() for token in tokens for job_id in client.lrange(f"claim:{token}", 1, -1)]


def write_record(client: redis.Redis, job_id: str, **fields: object) -> None:
    """Writes a record with these fields and no other."""
    first = [str(fields.pop(name, "")) for name in FIELDS]
    client.hset("jobs:records", job_id, "|".join([*first, json.dumps(fields) if fields else ""]))


def change_record(client: redis.Redis, job_id: str, **fields: object) -> None:
    """Sets some fields of a record."""
    write_record(client, job_id, **record(client, job_id) | fields)


def turn_clock(client: redis.Redis, seconds: float, model: str = "iris") -> None:
    """Makes everything in Redis look as if so much time had passed, or the clock been set back."""
    shift = round(seconds * 1000)
    keys = client.keys("*")
    lives = client.pipeline()
    for key in keys:
        lives.pttl(key)
    changes = client.pipeline()
    for key, life in zip(keys, lives.execute(), strict=True):
        if life >= 0:
            changes.pexpire(key, max(0, life - shift))
        if key.endswith(b":missing") or key == b"workers:seen":
            changes.set(key, int(client.get(key)) - shift, keepttl=True)
        if key.startswith(b"worker:"):
            changes.hincrby(key, "seen_ms", -shift)
    indexes = [f"queue:{model}:{name}" for name in ("leases", "retries", "dead", "completed")]
    for index in (*indexes, "webhooks", "workers"):
        for member, score in client.zrange(index, 0, -1, withscores=True):
            changes.zadd(index, {member: score - shift})
    changes.execute()
    for job_id in known(client):
        fields = record(client, job_id)
        attempts = [value for name, value in fields.items() if name.startswith("attempt:")]
        for times in (fields, *(attempt for attempt in attempts if isinstance(attempt, dict))):
            times.update({name: int(times[name]) - shift for name in TIMES if name in times})
        write_record(client, job_id, **fields)
