"""Draws the jobs that are to run on another version too, and submits them there once they have completed."""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter

import structlog

from inferq.errors import RedisUnavailableError
from inferq.jobs import ClaimedJob, Outcome
from inferq.model_names import QueueName
from inferq.provenance import Provenance
from inferq.queue import AnyConsumer, Outage, ShadowSample
from inferq.worker.periodic import Periodic
from inferq.worker.serving.served_models import ServedModels

log = structlog.get_logger()

PAUSE_SECONDS = 0.2
_MOST_JOB_BYTES = 16 * 1024 * 1024
"""Of a job's data, and of its result: a longer one is not compared."""
_MOST_KEPT_BYTES = 64 * 1024 * 1024
"""Of data of all jobs that are drawn and not submitted yet."""
_REST_SECONDS = 0.5
"""After so long it is tried again whether there is room for more shadow jobs."""
_CHECK_SECONDS = 1.0
_COMPLETED = {"completed", "late"}
"""Verdicts after which a result is there to be compared with."""


class ShadowSampler(Periodic):
    """Keeps the data of jobs that are drawn until their results are stored, and submits their shadow jobs.

    The thread that runs jobs only draws them. What cannot be kept or submitted is skipped and counted: no job
    of a user waits for a shadow job.

    Args:
        consumer: The queue.
        served: What is served, and the rollouts.
        outage: Where it is noted that Redis is away.
    """

    def __init__(self, consumer: AnyConsumer, served: ServedModels, outage: Outage) -> None:
        super().__init__("shadow-sampler", PAUSE_SECONDS, outage)
        self._consumer = consumer
        self._served = served
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str], ShadowSample] = {}  # their results are not stored yet; by lease
        self._ready: list[ShadowSample] = []
        self._kept_bytes = 0
        self._skipped = Counter[str]()
        self._full_until: dict[str, float] = {}  # monotonic times, by queue
        self._suspended: frozenset[str] = frozenset()
        self._checked_at = 0.0

    def draw(self, outcomes: Sequence[Outcome]) -> None:
        """Draws among jobs of one queue whose run is over. For the thread that runs them.

        Args:
            outcomes: How they ended, with their data; at least one.
        """
        queue_name = outcomes[0].job.model
        table = self._served.table
        rollout = table.rollouts.get(queue_name)
        if rollout is None or not rollout.shadow:
            return
        serving = table.find(queue_name).document.version
        for outcome in outcomes:
            candidate = rollout.choose_shadow(outcome.job.id)
            if candidate in (None, serving) or outcome.result is None:
                continue
            # not of a version that has a share: what is compared would change from job to job
            if Provenance.parse(outcome.made_by or outcome.job.claimed_for).version == serving:
                self._keep(outcome, str(QueueName(queue_name, candidate, "shadow")), rollout.tolerance)

    def run_once(self) -> bool:
        """Submits what has completed since the last time; suspends candidates that do harm."""
        has_checked = self._check_candidates()
        with self._lock:
            ready, self._ready = self._ready, []
            skipped, self._skipped = self._skipped, Counter()
            self._kept_bytes -= sum(len(sample.job.data) for sample in ready)
        by_queue = attrgetter("queue_name")
        skipped.update(map(by_queue, ready))  # until they are accepted
        try:
            for queue_name, samples in groupby(sorted(ready, key=by_queue), by_queue):
                if queue_name in self._suspended:
                    continue
                some = list(samples)
                refused = self._consumer.shadow_jobs.submit(some)
                skipped[queue_name] -= len(some) - refused
                if refused:
                    self._full_until[queue_name] = time.monotonic() + _REST_SECONDS
            for queue_name in [*+skipped]:
                self._consumer.shadow_findings.note_skipped(queue_name, skipped.pop(queue_name))
        except RedisUnavailableError:
            with self._lock:
                self._skipped += skipped
            raise
        return has_checked or bool(ready or skipped)

    def _check_candidates(self) -> bool:
        """Suspends candidates that kill workers or hang; returns whether Redis was asked."""
        if time.monotonic() < self._checked_at + _CHECK_SECONDS:
            return False
        self._checked_at = time.monotonic()
        rollouts = self._served.table.rollouts.items()
        names = [
            str(QueueName(model, one, "shadow")) for model, rollout in rollouts for one in rollout.shadow
        ]
        harmful = {name for name in names if self._consumer.shadow_findings.is_harmful(name)}
        for name in harmful - self._suspended:
            log.warning("candidate_suspended", model=name, reason="it kills workers, or takes too long")
        self._suspended = frozenset(harmful)
        for name in harmful:
            self._consumer.shadow_jobs.cancel_waiting(name)
        return bool(names)

    def jobs_claimed(self, jobs: Sequence[ClaimedJob]) -> None:
        """Does nothing."""

    def run_ended(self, model: str, jobs: int, rows: int, seconds: float) -> None:
        """Does nothing."""

    def jobs_ended(self, outcomes: Sequence[Outcome], verdicts: Sequence[str]) -> None:
        """Lets the shadow jobs of jobs that have completed be submitted."""
        if not self._kept:
            return
        with self._lock:
            for outcome, verdict in zip(outcomes, verdicts, strict=True):
                sample = self._kept.pop((outcome.job.token, outcome.job.id), None)
                if sample is None:
                    continue
                if verdict in _COMPLETED:
                    self._ready.append(sample)
                else:
                    self._kept_bytes -= len(sample.job.data)

    def _keep(self, outcome: Outcome, queue_name: str, tolerance: float) -> None:
        if queue_name not in self._served.table.versions:
            return  # it cannot be loaded, or not here
        job, size = outcome.job, len(outcome.job.data)
        result_bytes = len(outcome.result or b"")
        is_full = queue_name in self._suspended or time.monotonic() < self._full_until.get(queue_name, 0.0)
        # one that is in the blob store already came from chunks, and is long
        is_long = max(size, result_bytes) > _MOST_JOB_BYTES or outcome.offloaded_at is not None
        # the queue has then only the URL of the result, which is the user's to change
        is_elsewhere = bool(job.output)
        with self._lock:
            if is_full or is_long or is_elsewhere or self._kept_bytes + size > _MOST_KEPT_BYTES:
                self._skipped[queue_name] += 1
                return
            self._kept_bytes += size
            self._kept[job.token, job.id] = ShadowSample(
                job, queue_name, outcome.run_seconds, outcome.batch_jobs, result_bytes, tolerance
            )
