"""The consumer's side of the queue, as one object: what a worker process needs of Redis."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from inferq.jobs import ClaimedJob, Outcome, WorkerInfo
from inferq.queue.blob_access import BlobAccess
from inferq.queue.consumer.access import QueueAccess
from inferq.queue.consumer.blob_data import BlobData
from inferq.queue.consumer.blob_removal import BlobRemoval
from inferq.queue.consumer.blob_sweep import BlobSweep
from inferq.queue.consumer.blocking_claim import BLOCK_SECONDS, BlockingClaimer, WaitResult
from inferq.queue.consumer.claim import Claimer, Limit, Popped
from inferq.queue.consumer.claim_order import ClaimOrder
from inferq.queue.consumer.large_data import LargeData, NoteSettled, ignore_settled
from inferq.queue.consumer.lease import renew_leases
from inferq.queue.consumer.orphans import OrphanScan
from inferq.queue.consumer.prefetch import PrefetchedClaim, Prefetcher, PrefetchResult
from inferq.queue.consumer.recovery import USUAL_TIMES, Recovered, Recovery, RecoveryTimes
from inferq.queue.consumer.registry import WorkerRegistry
from inferq.queue.consumer.result_offload import ResultOffload
from inferq.queue.consumer.result_upload import ResultUpload
from inferq.queue.consumer.settle import Settler
from inferq.queue.ended_jobs import NoteEnded, ignore_ended
from inferq.queue.redis_client.requirements import check_server
from inferq.queue.retry_policy import RetryPolicy
from inferq.settings import Settings


class Consumer:
    """Claims and settles jobs for one worker; its parts say how. All methods raise RedisUnavailableError.

    `wait_and_claim`, a claim of what it left, and prefetches are for one thread at a time; everything else
    may be called from any.

    Args:
        settings: Where the server is, lifetimes, and the key prefix.
        worker_id: Who claims.
        models: Names of the models it serves.
        versions: The version of each of them, which its jobs are to show; none for one that is left out.
        retries: When a failed job runs again, and how often; the policy for jobs if left out.
        times: How long recovery waits before it acts.
        note_ended: Is told of each job that it ends, or finds to have ended outside, and has not run.
        note_settled: Is told of attempts that it ends itself, as their data cannot be fetched.

    Attributes:
        access: The server.
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
    ) -> None:
        retries = retries or RetryPolicy.for_jobs(settings)
        self.access = access = QueueAccess(settings)
        self._blobs = blobs = BlobAccess(settings)
        self._removal = BlobRemoval(access, blobs)
        self._results = ResultOffload(blobs, self._removal)
        self._order = ClaimOrder(access.keys, models, settings.lower_priority_share)
        self._settler = Settler(access, retries, note_ended)
        self._large_data = LargeData(access, self._settler, note_settled)
        self._blob_data = BlobData(access, blobs, self._settler, note_settled)
        self._claimer = Claimer(
            access, self._order, self._large_data, self._blob_data, worker_id, versions or {}, note_ended
        )
        self._blocking = BlockingClaimer(access, self._order, self._claimer, self._settler)
        self._prefetcher = Prefetcher(access, self._order, self._claimer, self._settler)
        self._registry = WorkerRegistry(access, worker_id)
        self._recovery = Recovery(access, models, retries, times, note_ended)
        self._orphans = OrphanScan(access, models, times)
        self._sweep = BlobSweep(access, blobs, self._removal)

    @property
    def is_blocked_by_solo_job(self) -> bool:
        """Whether a claim left a job that must run alone: its list stands still until a prefetch takes it."""
        return self._order.solo_priority is not None

    @property
    def awaiting_data(self) -> Sequence[ClaimedJob]:
        """Jobs that are leased already, whose large data is on its way: their leases have to be renewed."""
        return [*self._large_data.awaiting, *self._blob_data.awaiting]

    def check_server(self) -> None:
        """Makes sure that the server can keep our promises; see `requirements.check_server`."""
        check_server(self.access.redis, self.access.settings.durability)

    def wait_and_claim(
        self,
        limit: Limit,
        outcomes: Sequence[Outcome] = (),
        timeout_seconds: float = BLOCK_SECONDS,
        note_stored: Callable[[list[str]], None] | None = None,
    ) -> WaitResult:
        """See `BlockingClaimer`."""
        return self._blocking.wait_and_claim(limit, outcomes, timeout_seconds, note_stored)

    def requeue_in_doubt(self) -> None:
        """See `BlockingClaimer`."""
        self._blocking.requeue_in_doubt()

    def claim(self, limit: Limit, popped: Popped | None = None, token: str = "") -> list[ClaimedJob]:
        """See `Claimer`."""
        return self._claimer.claim(limit, popped, token)

    def finish(self, outcomes: Iterable[Outcome]) -> list[str]:
        """See `Settler`."""
        return self._settler.finish(outcomes)

    def requeue(self, jobs: Sequence[ClaimedJob]) -> list[str]:
        """See `Settler`."""
        return self._settler.requeue(jobs)

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

    def renew(self, running: Mapping[ClaimedJob, float]) -> dict[ClaimedJob, str]:
        """See `renew_leases`."""
        return renew_leases(self.access, running)

    def recover(self) -> Recovered:
        """See `Recovery`."""
        return self._recovery.recover()

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

    def heartbeat(self, worker: WorkerInfo, documents: Mapping[str, bytes], ttl_seconds: float) -> None:
        """See `WorkerRegistry`."""
        self._registry.heartbeat(worker, documents, ttl_seconds)

    def retire(self) -> None:
        """See `WorkerRegistry`."""
        self._registry.retire()

    def close(self) -> None:
        """Closes the connections."""
        self.access.close()
