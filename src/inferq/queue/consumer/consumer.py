"""The consumer's side of the queue, as one object: what a worker process needs of Redis."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Self

from inferq.jobs import ClaimedJob, Outcome, WorkerInfo
from inferq.queue.blob_access import BlobAccess
from inferq.queue.consumer.access import QueueAccess
from inferq.queue.consumer.blobs.blob_data import BlobData
from inferq.queue.consumer.blobs.blob_removal import BlobRemoval
from inferq.queue.consumer.blobs.blob_sweep import BlobSweep
from inferq.queue.consumer.blobs.large_data import LargeData, NoteSettled, ignore_settled
from inferq.queue.consumer.blobs.result_offload import ResultOffload
from inferq.queue.consumer.blobs.result_upload import ResultUpload
from inferq.queue.consumer.chunks.chunk_jobs import ChunkJobs
from inferq.queue.consumer.chunks.chunk_removal import ChunkRemoval
from inferq.queue.consumer.chunks.chunk_results import JoinedResults
from inferq.queue.consumer.claims.blocking_claim import BLOCK_SECONDS, BlockingClaimer, WaitResult
from inferq.queue.consumer.claims.claim import Claimer, Limit, Popped
from inferq.queue.consumer.claims.claim_order import ClaimOrder
from inferq.queue.consumer.claims.prefetch import PrefetchedClaim, Prefetcher, PrefetchResult
from inferq.queue.consumer.claims.served_queues import ServedQueues
from inferq.queue.consumer.lease import renew_leases
from inferq.queue.consumer.recovery.orphans import OrphanScan
from inferq.queue.consumer.recovery.recovery import USUAL_TIMES, Recovered, Recovery, RecoveryTimes
from inferq.queue.consumer.registry import WorkerRegistry
from inferq.queue.consumer.sent_finish import SentFinish
from inferq.queue.consumer.settle import Settler
from inferq.queue.consumer.shadows.shadow_findings import ShadowFindings
from inferq.queue.consumer.shadows.shadow_jobs import ShadowJobs
from inferq.queue.ended_jobs import NoteEnded, ignore_ended
from inferq.queue.redis_client.connection import redis_errors
from inferq.queue.redis_client.outage import Outage
from inferq.queue.redis_client.requirements import check_server
from inferq.queue.retry_policy import RetryPolicy
from inferq.rollout import Rollout
from inferq.settings import Settings


class Consumer:
    """Claims and settles jobs for one worker; its parts say how. All methods raise RedisUnavailableError.

    `wait_and_claim`, a claim of what it left, and prefetches are for one thread at a time; everything else
    may be called from any.

    Args:
        settings: Where the server is, lifetimes, and the key prefix.
        worker_id: Who claims.
        models: Names of the models it serves.
        versions: What each of them runs with, as the text of a `Provenance`, which its jobs are to show; none
            for one that is left out. `serve` replaces both.
        retries: When a failed job runs again, and how often; the policy for jobs if left out.
        times: How long recovery waits before it acts.
        note_ended: Is told of each job that it ends, or finds to have ended outside, and has not run.
        note_settled: Is told of attempts that it ends itself, as their data cannot be fetched.
        outage: Where it is noted that the server is away; one of its own if left out.
        shard: Number of the shard that this is.

    Attributes:
        access: The server.
        outage: See above.
        waits: Waits for jobs and claims them.
        shadow_jobs: Submits jobs that are to run on another version too.
        shadow_findings: Counts what comes of it.
        chunks: Chunks of large jobs.
        chunk_removal: Removes them.
        joined_results: What large jobs result in.
    """

    def __init__(
        self,
        settings: Settings,
        worker_id: str,
        models: Sequence[str],
        versions: Mapping[str, str] | None = None,
        *,
        retries: RetryPolicy | None = None,
        times: RecoveryTimes = USUAL_TIMES,
        note_ended: NoteEnded = ignore_ended,
        note_settled: NoteSettled = ignore_settled,
        outage: Outage | None = None,
        shard: int = 0,
    ) -> None:
        self.outage = outage or Outage()
        retries = retries or RetryPolicy.for_jobs(settings)
        self.access = access = QueueAccess(settings)
        self._blobs = blobs = BlobAccess(settings)
        self._removal = BlobRemoval(access, blobs)
        self._results = ResultOffload(blobs, self._removal)
        versions = versions or {}
        self._queues = queues = ServedQueues({name: versions.get(name, "") for name in models})
        self._order = ClaimOrder(access.keys, settings.lower_priority_share)
        self._settler = Settler(access, retries, note_ended)
        self._large_data = LargeData(access, self._settler, note_settled)
        self._blob_data = BlobData(access, blobs, self._settler, note_settled)
        self._claimer = Claimer(
            access, self._order, self._large_data, self._blob_data, queues, worker_id, note_ended, shard
        )
        self.waits = BlockingClaimer(access, self._order, self._claimer, self._settler)
        self._prefetcher = Prefetcher(access, self._order, self._claimer, self._settler)
        self._registry = WorkerRegistry(access, worker_id, settings.model_ttl_seconds)
        self._recovery = Recovery(access, queues, retries, times, note_ended)
        self._orphans = OrphanScan(access, queues, times)
        self._sweep = BlobSweep(access, blobs, self._removal)
        self.shadow_jobs = ShadowJobs(access, blobs, self._removal, note_ended)
        self.shadow_findings = ShadowFindings(access, blobs)
        self.chunks = ChunkJobs(access, blobs)
        self.chunk_removal = ChunkRemoval(access, self._removal)
        self.joined_results = JoinedResults(access, blobs)

    def shard_of(self, job: ClaimedJob) -> Self:  # noqa: ARG002 - all are in this one
        """Returns the consumer of the shard that a job is in, for what belongs to this job alone."""
        return self

    @property
    def is_blocked_by_solo_job(self) -> bool:
        """Whether a claim left a job that must run alone: its list stands still until a prefetch takes it."""
        return self._order.solo_priority is not None

    @property
    def awaiting_data(self) -> Sequence[ClaimedJob]:
        """Jobs that are leased already, whose large data is on its way: their leases have to be renewed."""
        return [*self._large_data.awaiting, *self._blob_data.awaiting]

    def serve(self, versions: Mapping[str, str]) -> None:
        """Replaces the queues that are served.

        Args:
            versions: Name of each to what it runs with, as the text of a `Provenance`.
        """
        self._queues.versions = versions

    def check_server(self) -> None:
        """Makes sure that the server can keep our promises; see `requirements.check_server`."""
        check_server(self.access.redis, self.access.settings.durability)

    def ping(self) -> None:
        """Does nothing but ask whether the server answers."""
        with redis_errors():
            self.access.redis.ping()

    def wait_and_claim(
        self,
        limit: Limit,
        outcomes: Sequence[Outcome] = (),
        timeout_seconds: float = BLOCK_SECONDS,
        note_stored: Callable[[list[str]], None] | None = None,
    ) -> WaitResult:
        """See `BlockingClaimer`."""
        return self.waits.wait_and_claim(limit, outcomes, timeout_seconds, note_stored)

    def requeue_in_doubt(self) -> None:
        """See `BlockingClaimer`."""
        self.waits.requeue_in_doubt()

    def claim(
        self, limit: Limit, popped: Popped | None = None, token: str = "", *, takes_solo: bool = True
    ) -> list[ClaimedJob]:
        """See `Claimer`."""
        return self._claimer.claim(limit, popped, token, takes_solo=takes_solo)

    def finish(self, outcomes: Iterable[Outcome]) -> list[str]:
        """See `Settler`."""
        return self._settler.finish(outcomes)

    def requeue(self, jobs: Sequence[ClaimedJob]) -> list[str]:
        """See `Settler`."""
        return self._settler.requeue(jobs)

    def prepare_finish(self, outcomes: Sequence[Outcome]) -> SentFinish:
        """See `SentFinish`."""
        return SentFinish(self.access, self._settler, outcomes)

    def prepare_upload(self, outcome: Outcome) -> ResultUpload:
        """See `Settler`."""
        return self._settler.prepare_upload(outcome)

    def offload_results(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """See `ResultOffload`."""
        return self._results.offload(outcomes)

    def remove_settled_blobs(self, outcomes: Sequence[Outcome], verdicts: Sequence[str]) -> None:
        """See `ResultOffload`."""
        self._results.remove_settled(outcomes, verdicts)

    def identify_blob_store(self) -> str:
        """Returns the id of the blob store; empty where there is none that this process can use."""
        return self._blobs.identify_store()

    def prepare_prefetch(
        self, outcomes: Sequence[Outcome], limits: Mapping[str, int], *, takes_solo: bool = True
    ) -> PrefetchedClaim:
        """See `Prefetcher`."""
        return self._prefetcher.prepare_prefetch(outcomes, limits, takes_solo=takes_solo)

    def finish_and_claim(
        self, outcomes: Sequence[Outcome], limit: Limit, token: str = "", *, takes_solo: bool = True
    ) -> PrefetchResult:
        """See `Prefetcher`."""
        return self._prefetcher.finish_and_claim(outcomes, limit, token, takes_solo=takes_solo)

    def renew(
        self, running: Mapping[ClaimedJob, float], waiting: Collection[ClaimedJob] = ()
    ) -> dict[ClaimedJob, str]:
        """See `renew_leases`."""
        return renew_leases(self.access, running, waiting)

    def recover(self) -> Recovered:
        """See `Recovery`."""
        return self._recovery.recover()

    def recover_queue(self, queue: str) -> None:
        """See `Recovery`."""
        self._recovery.recover_queue(queue)

    def remove_unneeded_chunks(self) -> None:
        """See `ChunkRemoval`."""
        self.chunk_removal.remove_unneeded()

    def acquire_scan_step(self) -> bool:
        """See `OrphanScan`."""
        return self._orphans.acquire_scan_step()

    def requeue_orphans(self) -> list[str]:
        """See `OrphanScan`."""
        return self._orphans.requeue_orphans()

    def sweep_blobs(self) -> int:
        """Makes a step of `BlobSweep`, and removes what `BlobRemoval` has; returns how many blobs.

        Raises:
            StoreUnavailableError: The store cannot be used.
        """
        try:
            self._sweep.sweep_next()
        finally:
            removed = self._removal.remove_due()
        return removed

    def announce(self, documents: Mapping[str, bytes]) -> None:
        """See `WorkerRegistry`."""
        self._registry.announce(documents)

    def read_rollouts(self) -> dict[str, Rollout]:
        """See `WorkerRegistry`."""
        return self._registry.read_rollouts()

    def heartbeat(self, worker: WorkerInfo, documents: Mapping[str, bytes], ttl_seconds: float) -> int:
        """See `WorkerRegistry`."""
        return self._registry.heartbeat(worker, documents, ttl_seconds)

    def withdraw(self, names: Sequence[str]) -> list[str]:
        """See `WorkerRegistry`."""
        return self._registry.withdraw(names)

    def retire(self) -> None:
        """See `WorkerRegistry`."""
        self._registry.retire()

    def close(self) -> None:
        """Closes the connections."""
        self.access.close()
