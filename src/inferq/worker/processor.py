"""The worker's main loop: claim, run, finish."""

import threading
import time
from collections.abc import Callable, Sequence

import structlog

from inferq.jobs import ClaimedJob, Outcome, Pace
from inferq.model_names import is_shadow
from inferq.observability.log_context import log_jobs
from inferq.observability.observer import NO_OBSERVER, JobObserver
from inferq.queue import AnyConsumer, Outage
from inferq.worker.large_jobs.coordinator import Coordinator
from inferq.worker.runs.executor import Executor
from inferq.worker.runs.finisher import Finisher
from inferq.worker.runs.held_jobs import HeldJobs
from inferq.worker.runs.job_claims import JobClaims
from inferq.worker.runs.output_writer import OutputWriter
from inferq.worker.runs.pace_meter import PaceMeter
from inferq.worker.serving.served_models import NotServedError, ServedVersion
from inferq.worker.shadows.shadows import Shadows

_LAST_CALL_SECONDS = 2.0
"""How long an idle worker that is told to stop waits for a server that is away."""

_AWAITED_SECONDS = 0.02
"""How long a worker without jobs waits for the files of some before it asks for others."""

_PATIENCE_SECONDS = 1.0
"""How long it waits for them at first where a job that it claims meanwhile may take long: those that wait
would have to wait for that, too."""

log = structlog.get_logger()


class Processor:
    """Runs batches of jobs, one after the other, until told to stop.

                      ┌────────────── the claim drained the queue ──────────────┐
                      ▼                                                         │
        start ──▶   idle   ── wait for jobs ──▶  claimed  ── run ──▶  ran  ─────┤
                                                  │  ▲                          │
                               a full batch came  │  └── finish and claim ──────┘
                                                  ▼         (more jobs wait)
                                             prefetching ── run and claim meanwhile, while batches are full

    - idle: No job is here. The worker waits for one in Redis. What the run before gave is stored in the same
      round trip.
    - claimed: A claim brought fewer jobs than it asked for. They are run.
    - ran: What the run gave is stored in the same round trip that claims the next jobs.
    - prefetching: A claim brought a full batch. The next claim is sent before the batch is run, so that
      neither the model nor Redis waits for the other. Where Redis is slower than the model, one more is
      sent before the first is answered.

    Jobs that name files are held until these are there, and run as soon as a run ends after that. Meanwhile
    the worker claims others, but does not block in Redis. They are not to blame if the worker dies then, nor
    is a job that must run alone before its files are there.

    When it is told to stop, the run under way ends, its outcomes are stored, and claimed jobs are requeued.

    Args:
        consumer: The queue.
        executor: Runs the jobs.
        outage: Waits while Redis is away.
        observer: Is told of claims and ends.
        shadows: Draws jobs that are to run on another version too, and compares what that gives; none if left
            out.
        outputs: Writes results to where their jobs ask for them; all are stored if left out.

    Attributes:
        stopping: Set from outside to stop it.
        given_up: Set from outside to end its waiting for a server that is away.
        jobs_done: Attempts that it has run.
        progressed_at: Monotonic time at which it last began to wait or to run.
        note_waits: Is called where the records of jobs have to say at once whether these only wait for files.
    """

    def __init__(
        self,
        consumer: AnyConsumer,
        executor: Executor,
        outage: Outage,
        observer: JobObserver = NO_OBSERVER,
        shadows: Shadows | None = None,
        outputs: OutputWriter | None = None,
    ) -> None:
        self._consumer = consumer
        self._executor = executor
        self._outage = outage
        self._observer = observer
        self._shadows = shadows
        self._held = HeldJobs()
        self._pace = PaceMeter()
        self._awaited = executor.awaited
        self._claims_from = 0.0  # not before this monotonic time while files are awaited
        self.stopping = threading.Event()
        self.given_up = threading.Event()
        self._finisher = Finisher(consumer, self._held, outage, self.given_up, observer, outputs)
        self._claims = JobClaims(
            consumer, executor, outage, self._held, self._finisher, observer, self.stopping, self.given_up
        )
        self.note_waits: Callable[[Sequence[ClaimedJob]], None] = lambda _: None
        self._coordinator = Coordinator(consumer, self._run_chunks, self.stopping, self.given_up)
        executor.divide = self._coordinator.run
        self.jobs_done = 0
        self.progressed_at = time.monotonic()

    @property
    def held(self) -> list[ClaimedJob]:
        """The jobs leased to this worker at this moment, until their ends are stored."""
        return [*self._held.read(), *self._consumer.awaiting_data]

    def read_paces(self) -> dict[str, Pace]:
        """Returns what the claims of each model cost, once there has been one. For one other thread."""
        return self._pace.read(self._claims.next_limits)

    @property
    def storing_seconds(self) -> float:
        """How long it may take to store the large result that is being stored; 0 if there is none."""
        return self._finisher.storing_seconds

    def stop_storing(self, job: ClaimedJob, *, is_cancelled: bool) -> None:
        """Stops storing a large result; see `Finisher.stop_storing`. For other threads."""
        self._finisher.stop_storing(job, is_cancelled=is_cancelled)

    def stop_sharing(self, job: ClaimedJob) -> None:
        """Ends the work on a large job that is not this worker's; see `Coordinator`. For other threads."""
        self._coordinator.stop(job)

    def stop_awaiting(self, job: ClaimedJob) -> None:
        """Ends the wait for the files of a job that is not this worker's any more. For other threads.

        Args:
            job: The job; nothing happens unless it waits.
        """
        if job in self._awaited:
            self._awaited.give_up(job)
            self._held.discard([job])  # the run under way may last, and its lease is not to be renewed

    def waited_seconds(self, job: ClaimedJob) -> float:
        """Returns how long a job has waited for the files that it names, until the run under way began."""
        return self._held.waited_seconds(job, self.progressed_at)

    def is_waiting(self, job: ClaimedJob) -> bool:
        """Whether a job only waits for the files that it names."""
        return self._held.is_waiting(job)

    def is_unfinished(self, job: ClaimedJob) -> bool:
        """Whether a job is held and its run is not over. After that its end may be stored at any moment."""
        return self._held.is_unfinished(job)

    def receive_prefetched(self, older_than_seconds: float = 0.0) -> None:
        """Receives the answers of claims that were sent before the present run, so that their jobs are held.

        For other threads: the run may last, and the jobs claimed meanwhile must be renewed or requeued.

        Args:
            older_than_seconds: Leaves a claim alone that was sent more recently.

        Raises:
            RedisUnavailableError: Redis is away.
        """
        self._claims.receive_prefetched(older_than_seconds)

    def run(self) -> None:
        """Claims and runs until `stopping` is set; requeues what it has not begun."""
        jobs: list[ClaimedJob] = []
        outcomes: list[Outcome] = []
        while not self.stopping.is_set():
            self.progressed_at = time.monotonic()
            outcomes = self._finisher.store_large(outcomes)
            claims, is_blocked = self._claims, self._consumer.is_blocked_by_solo_job
            if not jobs and self._awaited:
                outcomes, jobs = self._run_or_claim(outcomes)
            elif not jobs and (is_blocked or (outcomes and not claims.has_drained_queue)):
                jobs, outcomes = claims.finish_and_claim(outcomes), []
            elif not jobs:
                self._pace.note_wait()
                jobs, outcomes = claims.wait_and_claim(outcomes)
            elif claims.is_full_batch and not (is_blocked or self._awaited.has_ready):
                outcomes, jobs = self._run_and_prefetch(jobs, outcomes)
            else:
                self._finisher.finish(outcomes)
                outcomes, jobs = self._run_batch(jobs), []
        self._finisher.finish(self._finisher.store_large(outcomes))
        self._requeue(self._awaited.close() + jobs)
        # if Redis is away for longer, recovery does it
        self._outage.retry_until_available(self._consumer.requeue_in_doubt, self.given_up, _LAST_CALL_SECONDS)

    def _run_batch(self, jobs: list[ClaimedJob]) -> list[Outcome]:
        """Runs the jobs of a claim, and empties the list: who called this may have it for long.

        Returns:
            How they ended, but for those whose results could not wait and are stored already; with the jobs,
            but without their data where it is long.
        """
        with log_jobs(jobs):
            log.debug("jobs_started", model=jobs[0].model, jobs=len(jobs))
        size = sum([len(job.data) for job in jobs])
        began = time.perf_counter()
        stored: set[str] = set()

        def store(outcomes: list[Outcome]) -> None:
            stored.update(outcome.job.id for outcome in outcomes)
            self._finisher.finish(self._finisher.store_large(self._note_run(outcomes, size)))

        try:
            outcomes = self._executor.run(jobs, store)
        except NotServedError:
            self._note_waiting(jobs)
            if not_run := [job for job in jobs if job.id not in stored]:
                self._give_back(not_run)
            jobs.clear()
            return []
        ended = time.perf_counter()
        size -= self._note_waiting(jobs)
        if jobs:
            self._pace.note_run(jobs[0].model, len(jobs), size, began, ended)
        self.jobs_done += len(jobs)
        if len(outcomes) + len(stored) < len(jobs):  # the others were cancelled, and have ended with that
            kept = stored.union(outcome.job.id for outcome in outcomes)
            self._held.discard(job for job in jobs if job.id not in kept)
        jobs.clear()
        return self._note_run(outcomes, size)

    def _note_run(self, outcomes: list[Outcome], data_bytes: int) -> list[Outcome]:
        """Notes that runs are over; see `Finisher.note_finished`. Shadow jobs are ended by another thread."""
        if self._shadows is None or not outcomes:
            return self._finisher.note_finished(outcomes, data_bytes)
        if not is_shadow(outcomes[0].job.model):
            self._shadows.sampler.draw(outcomes)
            return self._finisher.note_finished(outcomes, data_bytes)
        outcomes = self._finisher.note_finished(outcomes, data_bytes)
        self._shadows.comparer.take(outcomes, self._finisher.finish, self._give_back, self.given_up)
        return []

    def _note_waiting(self, jobs: list[ClaimedJob]) -> int:
        """Takes those out of the jobs of a run that wait for files now; returns how much data these have."""
        waiting = [job for job in jobs if job in self._awaited] if self._awaited else []
        if waiting:
            self._held.note_waiting(waiting)
            if alone := [job for job in waiting if job.runs_alone]:
                self.note_waits(alone)  # else they would be charged with what runs next
            jobs[:] = [job for job in jobs if job not in self._awaited]
            if self._claims.is_slow_possible and any(map(self._awaited.is_under_way, waiting)):
                self._claims_from = time.monotonic() + _PATIENCE_SECONDS
        return sum([len(job.data) for job in waiting])

    def _run_chunks(self, served: ServedVersion, jobs: list[ClaimedJob]) -> None:
        """Runs chunks of a large job, and stores how they ended."""
        self._held.add(jobs)
        self.progressed_at = time.monotonic()
        self._observer.jobs_claimed(jobs)
        outcomes = self._executor.run_chunks(served, jobs)
        outcomes = self._finisher.note_finished(outcomes, sum([len(job.data) for job in jobs]))
        self._finisher.finish(self._finisher.store_large(outcomes))
        self._held.discard(jobs)  # also those that were cancelled

    def _run_or_claim(self, outcomes: list[Outcome]) -> tuple[list[Outcome], list[ClaimedJob]]:
        """Stores outcomes, and runs jobs whose files are there; if none are, claims others meanwhile.

        Returns:
            What the run gave, and the jobs that were claimed.
        """
        ready, given_up = self._awaited.take()
        self._held.discard(given_up)
        self._held.note_ready(ready, self.progressed_at)
        if ready:
            self._finisher.finish(outcomes)
            self.note_waits(ready)  # else their run would not be to blame if it killed the worker at once
            return self._run_batch(ready), []
        jobs = list[ClaimedJob]()
        if self._claims.next_limits and time.monotonic() >= self._claims_from:
            jobs = self._claims.finish_and_claim(outcomes)
        else:
            self._finisher.finish(outcomes)
            self._claims.plan_next()
        if not jobs:
            self._pace.note_wait()
            self._awaited.wait(_AWAITED_SECONDS)
        return [], jobs

    def _run_and_prefetch(
        self, jobs: list[ClaimedJob], outcomes: list[Outcome]
    ) -> tuple[list[Outcome], list[ClaimedJob]]:
        """Runs a full batch, and others that are claimed meanwhile as long as they are full.

        Returns:
            What the last one gave, and the jobs that were claimed.
        """
        claims = self._claims
        claim = claims.send(claims.prepare(outcomes))
        while True:
            outcomes = self._finisher.store_large(self._run_batch(jobs))
            following = claims.prepare(outcomes)
            is_sent = claims.may_send_before(claim)
            if is_sent:
                claims.send(following)
            is_full = claims.has_brought_full_batch(claim)
            goes_on = is_full and not (self.stopping.is_set() or self._awaited.has_ready)
            if goes_on and not is_sent:
                claims.send(following)  # before anything else, since Redis is idle
            jobs = claims.complete(claim)
            if not (goes_on or is_sent):
                return outcomes, jobs
            if not (goes_on and jobs):  # not full, or the data of the jobs could not be fetched
                return self._join(jobs, claims.complete(following))
            claim = following
            self.progressed_at = time.monotonic()

    def _join(
        self, jobs: list[ClaimedJob], following: list[ClaimedJob]
    ) -> tuple[list[Outcome], list[ClaimedJob]]:
        """Makes one claim of two; runs the first one where they are not alike, as a run is of one queue.

        Returns:
            What the run gave, and the jobs that are left.
        """
        if not jobs or not following or self.stopping.is_set():
            return [], jobs + following
        if (jobs[0].model, jobs[0].shard) == (following[0].model, following[0].shard):
            return [], jobs + following
        return self._finisher.store_large(self._run_batch(jobs)), following

    def _give_back(self, jobs: list[ClaimedJob]) -> None:
        """Leaves jobs to other workers, or to later, whose model is not served any more or is not ready."""
        log.info("jobs_given_back", model=jobs[0].model, jobs=len(jobs))
        self._requeue(jobs)
        self._held.discard(jobs)

    def _requeue(self, jobs: list[ClaimedJob]) -> None:
        if jobs:
            self._outage.retry_until_available(lambda: self._consumer.requeue(jobs), self.given_up)
