"""How calls find their shard, and what becomes of the answers of several."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Concatenate

from inferq.errors import JobNotFoundError, RedisUnavailableError
from inferq.queue.inspection.job_reader import job_not_found
from inferq.queue.producer.producer import Producer
from inferq.queue.redis_client.bounded import run_side_by_side
from inferq.queue.schema.shard_ids import find_shard
from inferq.queue.shards.producer_shard import ProducerShard
from inferq.queue.shards.shard_health import ALL_AWAY

type Call[**P, T] = Callable[P, Awaitable[T]]


class ShardCalls:
    """Calls the producers of the shards.

    Args:
        shards: The shards, by number.

    Attributes:
        shards: See above.
    """

    def __init__(self, shards: Sequence[ProducerShard]) -> None:
        self.shards = shards

    def find(self, job_id: str) -> ProducerShard | None:
        """Returns the shard in which to look first for a job; None where its id tells none."""
        number = find_shard(job_id, len(self.shards))
        return None if number is None else self.shards[number]

    def by_id[**P, T](
        self, method: Callable[[Producer], Call[Concatenate[str, P], T]]
    ) -> Call[Concatenate[str, P], T]:
        """Makes a method that calls the producer of a job's shard.

        Args:
            method: Returns the method of a producer. Its first argument is the job's id.
        """

        async def call(job_id: str, /, *args: P.args, **kwargs: P.kwargs) -> T:
            return await self.of_job(job_id, lambda shard: method(shard.producer)(job_id, *args, **kwargs))

        return call

    async def of_job[T](self, job_id: str, call: Callable[[ProducerShard], Awaitable[T]]) -> T:
        """Calls the producer of a job's shard: that of its id; where it is not there, that where it is.

        Args:
            job_id: The job's id.
            call: What to do.

        Raises:
            JobNotFoundError: No shard has it.
            RedisUnavailableError: Its shard does not answer, or one where it may be.
        """
        first = self.find(job_id)
        not_found = None
        if first is not None:
            try:
                return await first.call(call)
            except JobNotFoundError as error:
                not_found = error
        elsewhere = await self._locate(job_id, first)
        if elsewhere is None:
            raise not_found or job_not_found(job_id)
        return await elsewhere.call(call)

    async def _locate(self, job_id: str, known: ProducerShard | None) -> ProducerShard | None:
        """Finds a job in the other shards."""
        others = [shard for shard in self.shards if shard is not known]
        found = await self.ask(others, lambda shard: shard.producer.read_many([job_id]))
        fault = None
        for shard, answer in zip(others, found, strict=True):
            if isinstance(answer, RedisUnavailableError):
                fault = answer
            elif answer[0] is not None:
                return shard
        if fault is not None:
            raise RedisUnavailableError(f"Job {job_id!r} may be in a shard that is away. {fault.message}")
        return None

    async def ask[T](
        self,
        shards: Sequence[ProducerShard],
        call: Callable[[ProducerShard], Awaitable[T]],
        *,
        can_be_left_out: bool = False,
    ) -> list[T | RedisUnavailableError]:
        """Asks shards at the same time; those that are known to be away only if all are.

        Args:
            shards: Which ones.
            call: What to ask.
            can_be_left_out: Whether the answer goes without those that refuse; see `ProducerShard.call`.

        Returns:
            The answer of each, or why there is none.
        """
        spares_away = not all(shard.is_away for shard in self.shards)

        async def ask_one(shard: ProducerShard) -> T:
            if spares_away and shard.fault is not None and shard.is_away:
                raise shard.name_in(shard.fault)
            return await shard.call(call, can_be_left_out=can_be_left_out)

        return await run_side_by_side([ask_one(shard) for shard in shards])

    async def ask_reachable[T](
        self,
        call: Callable[[ProducerShard], Awaitable[T]],
        shards: Sequence[ProducerShard] | None = None,
    ) -> dict[int, T]:
        """Asks shards, and leaves out those that are away or refuse; `Producer.away_shards` tells which.

        Args:
            call: What to ask.
            shards: Which shards; None for all.

        Returns:
            Number of a shard to its answer.

        Raises:
            RedisUnavailableError: None answers.
        """
        asked = self.shards if shards is None else shards
        answers = await self.ask(asked, call, can_be_left_out=True)
        numbered = zip((shard.number for shard in asked), answers, strict=True)
        found = {
            number: answer for number, answer in numbered if not isinstance(answer, RedisUnavailableError)
        }
        if not found:
            raise next(answer for answer in answers if isinstance(answer, RedisUnavailableError))
        return found

    async def ask_all[T](
        self,
        call: Callable[[ProducerShard], Awaitable[T]],
        shards: Sequence[ProducerShard] | None = None,
    ) -> list[T]:
        """Asks shards of which none may be missing.

        Args:
            call: What to ask.
            shards: Which shards; None for all.

        Returns:
            The answer of each.

        Raises:
            RedisUnavailableError: One does not answer.
        """
        answers = await self.ask(self.shards if shards is None else shards, call)
        for answer in answers:
            if isinstance(answer, RedisUnavailableError):
                raise answer
        return [answer for answer in answers if not isinstance(answer, RedisUnavailableError)]

    def merged[**P, T, U](
        self, method: Callable[[Producer], Call[P, T]], merge: Callable[[Sequence[T]], U]
    ) -> Call[P, U]:
        """Makes a method that merges what the shards answer that are there.

        Args:
            method: Returns the method of a producer.
            merge: Makes one answer of several, at least one.
        """

        async def call(*args: P.args, **kwargs: P.kwargs) -> U:
            answers = await self.ask_reachable(lambda shard: method(shard.producer)(*args, **kwargs))
            return merge(list(answers.values()))

        return call

    def merged_of_all[**P, T, U](
        self, method: Callable[[Producer], Call[P, T]], merge: Callable[[Sequence[T]], U]
    ) -> Call[P, U]:
        """The same of all shards: it raises where one does not answer."""

        async def call(*args: P.args, **kwargs: P.kwargs) -> U:
            return merge(await self.ask_all(lambda shard: method(shard.producer)(*args, **kwargs)))

        return call


async def ask_first[T](shards: Sequence[ProducerShard], call: Callable[[ProducerShard], Awaitable[T]]) -> T:
    """Asks one shard after the other until one answers, those first that take jobs.

    Args:
        shards: The shards.
        call: What to ask.

    Raises:
        RedisUnavailableError: None answers; it says why the first did not.
    """
    fault: RedisUnavailableError | None = None
    for shard in sorted(shards, key=lambda shard: not shard.takes_jobs):
        try:
            return await call(shard)
        except RedisUnavailableError as error:
            fault = fault or error
    raise fault or RedisUnavailableError(ALL_AWAY)
