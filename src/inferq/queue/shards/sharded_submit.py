"""Submits jobs to one of several shards."""

import hashlib
import random
from collections.abc import Awaitable, Callable, Sequence

from inferq.errors import QueueFullError
from inferq.queue.producer.data_upload import DataUpload
from inferq.queue.producer.submission import Idempotency, Submission
from inferq.queue.schema.shard_ids import add_shard, find_shard
from inferq.queue.shards.producer_shard import NothingSentError, ProducerShard
from inferq.queue.shards.shard_backlogs import ShardBacklogs
from inferq.queue.shards.shard_calls import ask_first
from inferq.tensors.values import Buffer

_MOST_TRIES = 3
_DRAWN = 2
"""Of so many the one with the shorter backlog: nearly as even as the shortest of all, and no rush for it."""


class ShardedSubmit:
    """Chooses the shard of new jobs: by their Idempotency-Key; else one with a short backlog, which answers.

    The id of a submission tells it from then on.

    Args:
        shards: The shards, by number.
        backlogs: How many jobs wait where.
    """

    def __init__(self, shards: Sequence[ProducerShard], backlogs: ShardBacklogs) -> None:
        self._shards = shards
        self._backlogs = backlogs

    async def submit(self, submission: Submission, idempotency: Idempotency | None = None) -> str:
        """Submits a job; see `JobSubmit.submit`. Where its shard cannot be reached, another one takes it.

        One with an Idempotency-Key has one shard alone. What may have been sent is never sent to another:
        the job would run twice. So has one whose data was uploaded: it is in that shard's part of the store.
        """
        if submission.blob_bytes:
            shard = self._shards[find_shard(submission.id, len(self._shards)) or 0]
            return await shard.submit(lambda shard: shard.producer.submit(submission, idempotency))

        job_id = submission.id

        async def send(shard: ProducerShard) -> str:
            submission.id = add_shard(job_id, shard.number)
            return await shard.producer.submit(submission, idempotency)

        return await self._send(submission, 1, _get_key(idempotency), send)

    async def open_upload(
        self,
        submission: Submission,
        size: int,
        key: str | None = None,
        observe: Callable[[Buffer], object] | None = None,
    ) -> DataUpload | None:
        """Begins to write long data of a job to the blob store; see `JobSubmit.open_upload`.

        This chooses its shard.
        """
        job_id = submission.id

        async def send(shard: ProducerShard) -> DataUpload | None:
            submission.id = add_shard(job_id, shard.number)
            return await shard.producer.open_upload(submission, size, key, observe)

        upload = await self._send(submission, 1, key, send)
        if upload is None:
            submission.id = job_id
        return upload

    async def submit_batch(
        self, submissions: Sequence[Submission], idempotency: Idempotency | None = None
    ) -> list[str]:
        """Submits many jobs to one shard, all or nothing; see `BatchSubmit.submit`."""
        ids = [one.id for one in submissions]

        async def send(shard: ProducerShard) -> list[str]:
            for one, job_id in zip(submissions, ids, strict=True):
                one.id = add_shard(job_id, shard.number)
            return await shard.producer.submit_batch(submissions, idempotency)

        return await self._send(submissions[0], len(submissions), _get_key(idempotency), send)

    async def _send[T](
        self,
        first: Submission,
        jobs: int,
        key: str | None,
        send: Callable[[ProducerShard], Awaitable[T]],
    ) -> T:
        if key is not None:
            return await self._find(first.owner, key).submit(send)
        tried: list[ProducerShard] = []
        full: QueueFullError | None = None
        while True:
            shard = self._choose(first.model, tried)
            self._backlogs.add(shard.number, first.model, jobs)
            try:
                return await shard.submit(send)
            except (NothingSentError, QueueFullError) as error:
                tried.append(shard)
                full = error if isinstance(error, QueueFullError) else full
                if len(tried) == min(_MOST_TRIES, len(self._shards)):
                    if full is not None:
                        raise full from None  # a shard that is there, and has no room, tells more
                    raise

    def _find(self, owner: str, key: str) -> ProducerShard:
        """Returns the shard of an owner's Idempotency-Key."""
        digest = hashlib.sha256(f"{owner}\0{key}".encode()).digest()
        return self._shards[int.from_bytes(digest[:8]) % len(self._shards)]

    def _choose(self, model: str, tried: Sequence[ProducerShard]) -> ProducerShard:
        """Chooses one that was not tried, away only if all of these are."""
        left = [shard for shard in self._shards if shard not in tried]
        usable = [shard for shard in left if shard.takes_jobs] or left
        drawn = random.sample(usable, min(_DRAWN, len(usable)))
        return min(drawn, key=lambda shard: self._backlogs.get(shard.number, model))

    async def check_takes_jobs(self) -> None:
        """Returns if a job could be stored now, in whichever shard; see `JobSubmit.check_takes_jobs`.

        Raises:
            RedisUnavailableError: No shard takes jobs.
        """
        await ask_first(self._shards, lambda shard: shard.submit(lambda own: own.producer.check_takes_jobs()))


def _get_key(idempotency: Idempotency | None) -> str | None:
    return None if idempotency is None else idempotency.key
