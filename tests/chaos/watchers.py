"""Watch a run: states by polling, and events as they are published."""

import asyncio
import time
from random import Random
from typing import Any, cast

import redis.asyncio
from redis.exceptions import RedisError

from inferq.jobs import Status
from tests.chaos.journal import Journal

_POLL_SECONDS = 0.4
_CHUNK = 1000
_RECHECKS = 200
_RECONNECT_SECONDS = 0.05

AWAY = (RedisError, OSError, TimeoutError)


class Poller:
    """Reads the states of open jobs again and again, and of some that have ended: those must not change.

    Args:
        redis_url: The server.
        journal: What is known.
    """

    def __init__(self, redis_url: str, journal: Journal) -> None:
        self._redis = redis.asyncio.Redis.from_url(redis_url, socket_timeout=5.0)
        self._journal = journal
        self._random = Random(0)
        self._ended: list[str] = []
        self.rechecks = 0

    async def run(self) -> None:
        """Polls until cancelled."""
        try:
            while True:
                await self.poll()
                await asyncio.sleep(_POLL_SECONDS)
        finally:
            await self._redis.aclose()

    async def poll(self) -> None:
        """Reads the states once."""
        open_ids = list(self._journal.open)
        before = self._random.sample(self._ended, min(_RECHECKS, len(self._ended)))
        for start in range(0, len(open_ids), _CHUNK):
            chunk = open_ids[start : start + _CHUNK]
            await self._read(chunk)
            self._ended += [job_id for job_id in chunk if job_id not in self._journal.open]
        if before:
            await self._read(before)
            self.rechecks += len(before)

    async def _read(self, job_ids: list[str]) -> None:
        now = time.monotonic()
        try:
            found = await self._redis.mget([f"job:{job_id}:status" for job_id in job_ids])
        except AWAY:
            return
        for job_id, stored in zip(job_ids, cast("list[bytes | None]", found), strict=True):
            self._journal.see(
                self._journal.entries[job_id], None if stored is None else Status(stored.decode()), now
            )


class EventWatcher:
    """Hears every job end, and that none does so twice.

    Args:
        redis_url: The server.
        journal: What is known.
    """

    def __init__(self, redis_url: str, journal: Journal) -> None:
        self._redis = redis.asyncio.Redis.from_url(redis_url, socket_timeout=None)
        self._journal = journal
        self.heard: dict[str, tuple[str, float]] = {}

    async def run(self) -> None:
        """Listens until cancelled."""
        try:
            while True:
                try:
                    await self._listen()
                except AWAY:
                    await asyncio.sleep(_RECONNECT_SECONDS)
        finally:
            await self._redis.aclose()

    async def _listen(self) -> None:
        async with self._redis.pubsub() as channel:
            await channel.subscribe("events")
            async for message in channel.listen():
                if message["type"] == "message":
                    self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        now = time.monotonic()
        for event in message["data"].decode().split(","):
            job_id, _, status = event.rpartition(":")
            if status not in ("completed", "failed"):
                continue
            earlier = self.heard.get(job_id)
            if earlier is not None and not self._journal.may_be_lost(earlier[1]):
                self._journal.violate(f"job {job_id} ended twice: {earlier[0]}, then {status}")
            self.heard[job_id] = (status, now)
