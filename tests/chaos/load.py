"""The clients of a run: submitters over HTTP, outside producers, and those who change their mind."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from random import Random

import httpx
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from inferq.errors import JobStateError, RedisUnavailableError
from inferq.queue.producer.producer import Producer
from inferq.queue.redis_client.connection import close_async, connect_async
from inferq.queue.schema.shard_ids import find_shard
from inferq.settings import Settings
from tests.chaos.cases import KILLER, Case, Cases
from tests.chaos.journal import Entry, Journal, Origin

_CANCELLED = 0.01
_FOREIGN = 0.04
_CONNECTIONS = 12


class Pace:
    """Spreads calls over time; what an outage held up is made up for.

    Args:
        per_second: How many.
    """

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._started = time.monotonic()
        self._rounds = 0

    async def turn(self) -> int:
        """Waits for the next turn and returns its number."""
        number = self._rounds
        self._rounds += 1
        due = self._started + number / self._per_second
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        return number


class Load:
    """Submits jobs at a steady pace until told to stop.

    Args:
        urls: The proxies.
        shards: The settings of each shard, for outside producers.
        cases: What to submit.
        journal: Where each accepted job is noted.
        seed: Decides which jobs.
        per_second: Jobs submitted.
        killers: How many of them kill each worker that runs them, spread over the first `jobs`.
        jobs: How many are wanted at least.
    """

    def __init__(
        self,
        urls: list[str],
        shards: Sequence[Settings],
        cases: Cases,
        journal: Journal,
        *,
        seed: int,
        per_second: float,
        killers: int,
        jobs: int,
    ) -> None:
        self._urls = urls
        self._cases = cases
        self._journal = journal
        self._random = Random(seed)
        self._pace = Pace(per_second)
        self._per_second = per_second
        self._killers = {(number + 1) * jobs // (killers + 1) for number in range(killers)}
        self._producers = [Producer.from_settings(shard) for shard in shards]
        self._outside = [connect_async(shard) for shard in shards]
        for client in self._outside:
            # a push that was carried out, and sent again as its answer was lost, would be a second job
            client.set_retry(Retry(NoBackoff(), 0))
        self._changes_of_mind: set[asyncio.Task[None]] = set()
        self.stopping = asyncio.Event()
        self.counts: Counter[str] = Counter()

    async def run(self) -> None:
        """Submits until `stopping` is set."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(_CONNECTIONS):
                    group.create_task(self._submit_on())
                group.create_task(self._push_on())
            await asyncio.gather(*self._changes_of_mind)
        finally:
            for producer in self._producers:
                await producer.close()
            for client in self._outside:
                await close_async(client)

    async def _submit_on(self) -> None:
        async with httpx.AsyncClient(timeout=60.0) as client:
            while not self.stopping.is_set():
                number = await self._pace.turn()
                case = KILLER if number in self._killers else self._cases.draw(self._random)
                while not await self._submit(client, case) and not self.stopping.is_set():
                    await asyncio.sleep(0.05)

    async def _submit(self, client: httpx.AsyncClient, case: Case) -> bool:
        """Submits a job; returns False if that must be tried again, since nobody listened."""
        url = self._random.choice(self._urls)
        body = b'{"model":"%b","data":%b}' % (case.model.encode(), case.data)
        try:
            answer = await client.post(f"{url}/predict", content=body)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            self.counts["refused connections"] += 1
            return False
        except (httpx.ReadTimeout, httpx.PoolTimeout):
            self._journal.violate(f"{url} did not answer POST /predict within 60 s")
            return True
        except httpx.TransportError:
            self.counts["answers cut off"] += 1
            return True
        if answer.status_code == 202:
            self._note_accepted(answer.json()["job_id"], case)
        elif answer.status_code == 503:
            self.counts["answers 503"] += 1
            return case is not KILLER  # there are few
        else:
            self._journal.violate(f"POST /predict was answered {answer.status_code}: {answer.text[:300]}")
        return True

    def _note_accepted(self, job_id: str, case: Case) -> None:
        shard = find_shard(job_id, len(self._producers))
        if shard is None:
            self._journal.violate(f"the id {job_id} tells no shard")
            return
        entry = Entry(job_id, Origin.HTTP, case.expected, case.kind, shard)
        self._journal.add(entry)
        if self._random.random() < _CANCELLED:
            task = asyncio.create_task(self._cancel(entry, self._random.choice((0.0, 0.005, 0.02))))
            self._changes_of_mind.add(task)
            task.add_done_callback(self._changes_of_mind.discard)

    async def _cancel(self, entry: Entry, after_seconds: float) -> None:
        await asyncio.sleep(after_seconds)
        entry.cancel_unanswered = True
        try:
            await self._producers[entry.shard].cancel(entry.id)
        except (JobStateError, RedisUnavailableError):
            # it has ended already, perhaps by the first of several tries of this very call
            self.counts["cancellations refused"] += 1
        else:
            entry.cancelled_at = time.monotonic()
            self.counts["cancelled"] += 1

    async def _push_on(self) -> None:
        pace = Pace(self._per_second * _FOREIGN)
        while not self.stopping.is_set():
            number = await pace.turn()
            case = self._cases.draw_foreign(self._random)
            shard = number % len(self._producers)
            entry = Entry(f"foreign-{number}", Origin.FOREIGN, case.expected, case.kind, shard)
            entry.is_accepted = await self._push(entry, case.data)
            entry.accepted_at = time.monotonic()
            self._journal.add(entry)

    async def _push(self, entry: Entry, data: bytes) -> bool:
        """Does what the seed's proxy does, as one transaction; returns whether the server said yes."""
        keys = self._producers[entry.shard].redis.keys
        pipeline = self._outside[entry.shard].pipeline(transaction=True)
        pipeline.set(keys.job(entry.id, "data"), data)
        pipeline.set(keys.job(entry.id, "status"), "pending")
        pipeline.lpush(keys.queue("iris"), entry.id)
        try:
            await pipeline.execute()
        except (RedisError, OSError, TimeoutError):
            self.counts["outside pushes unanswered"] += 1
            return False
        return True
