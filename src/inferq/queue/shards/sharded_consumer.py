"""The consumer's side of a queue of several shards, as one object."""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from inferq.errors import RedisUnavailableError, StoreUnavailableError
from inferq.jobs import ClaimedJob, Outcome, WorkerInfo
from inferq.queue.consumer.blobs.large_data import NoteSettled
from inferq.queue.consumer.claims.blocking_claim import BLOCK_SECONDS, WaitResult
from inferq.queue.consumer.claims.claim import Limit, Popped
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.consumer.recovery.recovery import Recovered
from inferq.queue.redis_client.outage import Outage
from inferq.queue.shards.consumer_shard import ConsumerShard, call_each, call_first
from inferq.queue.shards.shard_order import ShardOrder
from inferq.queue.shards.shard_upload import ShardUpload
from inferq.queue.shards.sharded_prefetch import ShardedPrefetch, group_by_shard
from inferq.queue.shards.sharded_shadows import ShardedShadowFindings, ShardedShadowJobs
from inferq.queue.shards.shards_wait import ShardsWait
from inferq.rollout import Rollout


class ShardedConsumer:
    """Does what `Consumer` does, on several shards, whose parts stand below it.

    A shard that is away holds up no other: its jobs are left alone, how their runs ended is kept, and what is
    asked of all shards is asked of the others. Methods raise RedisUnavailableError where no shard is there.

    Args:
        count: How many shards there are.
        make_consumer: Makes the consumer of a shard, from its number and what is to be told of its outages.
        note_settled: Is told of outcomes that were kept, once they are stored.

    Attributes:
        shadow_jobs: Submits jobs that are to run on another version too.
        shadow_findings: Counts what comes of it.
    """

    def __init__(
        self,
        count: int,
        make_consumer: Callable[[int, Outage], Consumer],
        note_settled: NoteSettled,
    ) -> None:
        self._shards = shards = [
            ConsumerShard(number, make_consumer, note_settled) for number in range(count)
        ]
        self._order = order = ShardOrder(shards)
        self._wait = ShardsWait(order)
        self._receiving = threading.Lock()
        self._scanning: list[ConsumerShard] = []
        self._generations = [0] * count
        self.shadow_jobs = ShardedShadowJobs(shards)
        self.shadow_findings = ShardedShadowFindings(shards)

    def shard_of(self, job: ClaimedJob) -> Consumer:
        """Returns the consumer of the shard that a job is in, for what belongs to this job alone."""
        return self._shards[job.shard].consumer

    @property
    def is_blocked_by_solo_job(self) -> bool:
        """Whether a claim left a job that must run alone: its list stands still until a prefetch takes it."""
        return self._order.solo_shard is not None

    @property
    def awaiting_data(self) -> Sequence[ClaimedJob]:
        """Jobs that are leased already, whose large data is on its way: their leases have to be renewed."""
        return [job for shard in self._shards for job in shard.consumer.awaiting_data]

    def serve(self, versions: Mapping[str, str]) -> None:
        """Replaces the queues that are served; see `Consumer`."""
        for shard in self._shards:
            shard.consumer.serve(versions)

    def check_server(self) -> None:
        """Makes sure that the servers can keep our promises; one that is away is checked when it is back."""
        call_each(self._shards, lambda shard: shard.check_server())

    def wait_and_claim(
        self,
        limit: Limit,
        outcomes: Sequence[Outcome] = (),
        timeout_seconds: float = BLOCK_SECONDS,
        note_stored: Callable[[list[str]], None] | None = None,
    ) -> WaitResult:
        """Ends attempts, and claims from the next shard that has jobs; waits on all where none has.

        Args:
            limit: Most jobs to claim.
            outcomes: How each attempt ended; see `finish`.
            timeout_seconds: Longest wait.
            note_stored: Is given the verdicts, if there are outcomes, before the wait.

        Returns:
            See `WaitResult`. The jobs are all of one shard, and none is unclaimed.

        Raises:
            RedisUnavailableError: No shard is there, and there are no outcomes.
        """
        verdicts = self.finish(outcomes)
        if verdicts and note_stored:
            note_stored(verdicts)
        try:
            jobs = self._order.claim_next(limit) or self._wait.wait(limit, timeout_seconds)
        except RedisUnavailableError:
            if not verdicts:
                raise
            jobs = []
        return WaitResult(verdicts, jobs)

    def requeue_in_doubt(self) -> None:
        """Requeues what may have been claimed by calls whose answers were lost, and stores what is kept."""
        call_each(self._shards, lambda shard: shard.settle_doubt())
        for shard in self._shards:
            if shard.health.is_there:
                shard.settle()

    def claim(self, limit: Limit, popped: Popped | None = None) -> list[ClaimedJob]:
        """Claims from the next shard that has anything; see `Claimer`."""
        if popped is not None:
            return self._shards[popped.shard].call(lambda consumer: consumer.claim(limit, popped))
        return self._order.claim_next(limit)

    def finish(self, outcomes: Sequence[Outcome]) -> list[str]:
        """Ends attempts, each on its shard; see `Settler`. The verdict on one that is kept is `KEPT`."""
        verdicts = [""] * len(outcomes)
        for number, indexes in group_by_shard(outcomes).items():
            found = self._shards[number].finish([outcomes[index] for index in indexes])
            for index, verdict in zip(indexes, found, strict=True):
                verdicts[index] = verdict
        return verdicts

    def requeue(self, jobs: Sequence[ClaimedJob]) -> list[str]:
        """Requeues jobs, each on its shard; see `Settler`. The verdict is `KEPT` where that has to wait."""
        verdicts: dict[ClaimedJob, str] = {}
        for number in {job.shard for job in jobs}:
            own = [job for job in jobs if job.shard == number]
            verdicts |= zip(own, self._shards[number].requeue(own), strict=True)
        return [verdicts[job] for job in jobs]

    def prepare_upload(self, outcome: Outcome) -> ShardUpload:
        """See `Settler`."""
        return ShardUpload(self._shards[outcome.job.shard], outcome)

    def offload_results(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Puts long results into the stores of their shards; see `ResultOffload`."""
        return [self.shard_of(one.job).offload_results([one])[0] for one in outcomes]

    def remove_settled_blobs(self, outcomes: Sequence[Outcome], verdicts: Sequence[str]) -> None:
        """See `ResultOffload`."""
        for outcome, verdict in zip(outcomes, verdicts, strict=True):
            self.shard_of(outcome.job).remove_settled_blobs([outcome], [verdict])

    def identify_blob_store(self) -> str:
        """Returns the id of the first shard's blob store; each heartbeat carries that of its own shard."""
        return self._shards[0].consumer.identify_blob_store()

    def prepare_prefetch(
        self, outcomes: Sequence[Outcome], limits: Mapping[str, int], *, takes_solo: bool = True
    ) -> ShardedPrefetch:
        """Makes a finish and a claim that are sent and waited for later; see `Prefetcher`."""
        return ShardedPrefetch(
            self._shards, self._order, outcomes, limits, takes_solo=takes_solo, receiving=self._receiving
        )

    def renew(
        self, running: Mapping[ClaimedJob, float], waiting: Collection[ClaimedJob] = ()
    ) -> dict[ClaimedJob, str]:
        """Prolongs leases; see `renew_leases`. Jobs whose shard is away have no answer."""

        def renew(shard: ConsumerShard) -> dict[ClaimedJob, str]:
            own = {job: seconds for job, seconds in running.items() if job.shard == shard.number}
            return shard.consumer.renew(own, waiting)

        answers = call_each(self._shards, renew)
        return {job: answer for some in answers for job, answer in some.items()}

    def recover(self) -> Recovered:
        """Makes a pass over each shard; see `Recovery`."""
        found = call_each(self._shards, lambda shard: shard.consumer.recover())
        return Recovered(
            sum(one.lapsed for one in found),
            sum(one.due for one in found),
            sum(one.missing for one in found),
            sum(one.failed for one in found),
            tuple(job for one in found for job in one.requeued),
            tuple(job_id for one in found for job_id in one.lost),
        )

    def remove_unneeded_chunks(self) -> None:
        """See `ChunkRemoval`."""
        call_each(self._shards, lambda shard: shard.consumer.remove_unneeded_chunks())

    def acquire_scan_step(self) -> bool:
        """Whether the next step of the scan for orphans is this worker's, in any shard; see `OrphanScan`."""
        steps = call_each(self._shards, lambda shard: (shard, shard.consumer.acquire_scan_step()))
        self._scanning = [shard for shard, is_ours in steps if is_ours]
        return bool(self._scanning)

    def requeue_orphans(self) -> list[str]:
        """Makes a step of the scan in the shards where it is this worker's."""
        found = list[str]()
        for shard in self._scanning:
            with suppress(RedisUnavailableError):
                found += shard.call(lambda consumer: consumer.requeue_orphans())
        return found

    def sweep_blobs(self) -> int:
        """Makes a step in each shard's store; see `Consumer.sweep_blobs`.

        Raises:
            StoreUnavailableError: One of them cannot be used. The others have had their step.
        """
        faults: list[StoreUnavailableError] = []

        def sweep(shard: ConsumerShard) -> int:
            try:
                return shard.consumer.sweep_blobs()
            except StoreUnavailableError as error:
                faults.append(error)
                return 0

        removed = sum(call_each(self._shards, sweep))
        if faults:
            raise faults[0]
        return removed

    def announce(self, documents: Mapping[str, bytes]) -> None:
        """See `WorkerRegistry`. A shard that is away learns of it by the heartbeat."""
        call_each(self._shards, lambda shard: shard.consumer.announce(documents))

    def read_rollouts(self) -> dict[str, Rollout]:
        """Returns the rollouts of the shard in which they were changed last, of those that are there."""
        latest = sorted(self._shards, key=lambda shard: -self._generations[shard.number])
        return call_first(latest, lambda shard: shard.consumer.read_rollouts())

    def heartbeat(self, worker: WorkerInfo, documents: Mapping[str, bytes], ttl_seconds: float) -> int:
        """Reports to all shards that this worker lives; see `WorkerRegistry`.

        Returns:
            The latest generation of the model repository that a shard knows of.
        """

        def report(shard: ConsumerShard) -> int:
            own = replace(worker, blob_store=shard.consumer.identify_blob_store())
            generation = shard.consumer.heartbeat(own, documents, ttl_seconds)
            self._generations[shard.number] = generation
            return generation

        return max(call_each(self._shards, report))

    def withdraw(self, names: Sequence[str]) -> list[str]:
        """Takes queues out of the announcements; see `WorkerRegistry`.

        Returns:
            For each: served by another worker; open, if it is in one shard, or that is away; or drained.
        """
        found = call_each(self._shards, lambda shard: shard.consumer.withdraw(names))
        if len(found) < len(self._shards):
            found.append(["open"] * len(names))
        return [
            next((state for state in ("served", "open") if state in states), "drained")
            for states in zip(*found, strict=True)
        ]

    def retire(self) -> None:
        """See `WorkerRegistry`."""
        call_each(self._shards, lambda shard: shard.consumer.retire())

    def close(self) -> None:
        """Closes the connections."""
        for shard in self._shards:
            shard.close()
