"""Watch a run: states by polling, and events as they are published."""

import asyncio
import time
from collections.abc import Sequence
from random import Random
from typing import Any, cast

import redis.asyncio
from redis.exceptions import RedisError

from inferq.jobs import Status
from inferq.queue.redis_client.connection import close_async, connect_async
from inferq.queue.schema.keys import Keys
from inferq.settings import Settings
from tests.chaos.journal import Journal

_POLL_SECONDS = 0.4
_CHUNK = 1000
_RECHECKS = 200
_RECONNECT_SECONDS = 0.05

AWAY = (RedisError, OSError, TimeoutError)


class Poller:
    """Reads the states of open jobs again and again, and of some that have ended: those must not change.

    Args:
        shards: The settings of each shard.
        journal: What is known.
    """

    def __init__(self, shards: Sequence[Settings], journal: Journal) -> None:
        self._shards = [(connect_async(shard), Keys(shard.key_prefix)) for shard in shards]
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
            for client, _ in self._shards:
                await close_async(client)

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
        for number in range(len(self._shards)):
            here = [job_id for job_id in job_ids if self._journal.entries[job_id].shard == number]
            if here:
                await self._read_shard(number, here)

    async def _read_shard(self, number: int, job_ids: list[str]) -> None:
        client, keys = self._shards[number]
        now = time.monotonic()
        try:
            found = await client.mget([keys.job(job_id, "status") for job_id in job_ids])
        except AWAY:
            return
        for job_id, stored in zip(job_ids, cast("list[bytes | None]", found), strict=True):
            self._journal.see(
                self._journal.entries[job_id], None if stored is None else Status(stored.decode()), now
            )


class EventWatcher:
    """Hears every job end, and that none does so twice.

    Args:
        shards: The settings of each shard.
        journal: What is known.
    """

    def __init__(self, shards: Sequence[Settings], journal: Journal) -> None:
        self._shards = shards
        self._journal = journal
        self.heard: dict[str, tuple[str, float]] = {}

    async def run(self) -> None:
        """Listens until cancelled."""
        async with asyncio.TaskGroup() as group:
            for shard in self._shards:
                group.create_task(self._listen_on(shard))

    async def _listen_on(self, shard: Settings) -> None:
        client = connect_async(shard)
        try:
            while True:
                try:
                    await self._listen(client, Keys(shard.key_prefix).events)
                except AWAY:
                    await asyncio.sleep(_RECONNECT_SECONDS)
        finally:
            await close_async(client)

    async def _listen(self, client: redis.asyncio.Redis, name: str) -> None:
        async with client.pubsub() as channel:
            await channel.subscribe(name)
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
