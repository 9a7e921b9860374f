"""Recovery: jobs whose worker has died, and orphans that are in no list at all, are queued again.

Chunks of large jobs that have ended are removed.
"""

import structlog

from inferq.observability.log_context import log_jobs
from inferq.queue import AnyConsumer, Outage, show_id
from inferq.worker.periodic import Periodic

PAUSE_SECONDS = 1.0

log = structlog.get_logger()


class Recoverer(Periodic):
    """Makes a recovery pass every second, and scans for orphans when it is this worker's turn.

    Args:
        consumer: The queue.
        outage: Where it is noted that Redis is away.
    """

    def __init__(self, consumer: AnyConsumer, outage: Outage) -> None:
        super().__init__("recoverer", PAUSE_SECONDS, outage)
        self._consumer = consumer

    def run_once(self) -> bool:
        """Makes one pass of each kind; one that fails does not hold up the others."""
        try:
            self._recover()
        finally:
            try:
                self._consumer.remove_unneeded_chunks()
            finally:
                self._requeue_orphans()
        return True

    def _recover(self) -> None:
        recovered = self._consumer.recover()
        if recovered.lapsed or recovered.missing or recovered.failed:
            with log_jobs(recovered.requeued):
                log.warning(
                    "jobs_recovered",
                    lapsed=recovered.lapsed,
                    missing=recovered.missing,
                    failed=recovered.failed,
                )
        if recovered.lost:
            log.warning("jobs_lost", job_ids=list(map(show_id, recovered.lost)))

    def _requeue_orphans(self) -> None:
        if self._consumer.acquire_scan_step() and (orphans := self._consumer.requeue_orphans()):
            log.warning("orphans_requeued", job_ids=orphans)
