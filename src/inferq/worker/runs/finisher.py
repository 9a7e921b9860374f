"""Stores how attempts ended."""

import threading
from collections.abc import Sequence

from inferq.errors import ResultTooLargeError
from inferq.jobs import ClaimedJob, Outcome
from inferq.observability.observer import JobObserver
from inferq.queue import KEPT, LARGE_RESULT_BYTES, AnyConsumer, AnyUpload, Outage
from inferq.worker.runs.held_jobs import HeldJobs
from inferq.worker.runs.output_writer import LONGEST_SECONDS, OutputWriter

_LARGE_DATA_BYTES = 64 * 1024
"""More data of a claim is not kept once its runs are over."""


class Finisher:
    """Stores outcomes in Redis, and notes what became of them.

    Redis may refuse a large result, so each of these is stored by itself.

    Args:
        consumer: The queue.
        held: The jobs that this worker holds; those whose ends are stored are removed.
        outage: Waits while Redis is away.
        given_up: Ends that wait.
        observer: Is told what is stored.
        outputs: Writes results to where their jobs ask for them; None: all are stored.
    """

    def __init__(
        self,
        consumer: AnyConsumer,
        held: HeldJobs,
        outage: Outage,
        given_up: threading.Event,
        observer: JobObserver,
        outputs: OutputWriter | None = None,
    ) -> None:
        self._consumer = consumer
        self._held = held
        self._outage = outage
        self._given_up = given_up
        self._observer = observer
        self._outputs = outputs
        self._is_writing = False
        self._upload: AnyUpload | None = None

    @property
    def storing_seconds(self) -> float:
        """How long it may take to store the large result that is being stored; 0 if there is none."""
        upload = self._upload
        writing_seconds = LONGEST_SECONDS if self._is_writing else 0.0
        return writing_seconds + (upload.longest_seconds if upload else 0.0)

    def stop_storing(self, job: ClaimedJob, *, is_cancelled: bool) -> None:
        """Stops storing a large result whose job is not this worker's any more. For other threads.

        Args:
            job: The job; nothing happens unless its result is being stored.
            is_cancelled: Whether it is cancelled. If not, its lease is lost, and the present try may go on.
        """
        upload = self._upload
        if upload is None or (upload.job.id, upload.job.token) != (job.id, job.token):
            return
        if is_cancelled:
            upload.stop()
        else:
            upload.limit_attempts()

    def note_finished(self, outcomes: list[Outcome], data_bytes: int) -> list[Outcome]:
        """Notes that runs are over, and returns the outcomes without long data: nobody needs it any more.

        Args:
            outcomes: How they ended.
            data_bytes: How much data all jobs of the claim have.
        """
        if data_bytes > _LARGE_DATA_BYTES:
            outcomes = [outcome._replace(job=outcome.job._replace(data=b"")) for outcome in outcomes]
            self._held.add(outcome.job for outcome in outcomes)
        self._held.note_finished(outcome.job for outcome in outcomes)
        return outcomes

    def finish(self, outcomes: Sequence[Outcome]) -> None:
        """Stores outcomes; does nothing if there are none."""
        if not outcomes:
            return
        verdicts = self._outage.retry_until_available(lambda: self._consumer.finish(outcomes), self._given_up)
        if verdicts:
            self.note_stored(outcomes, verdicts)

    def store_large(self, outcomes: list[Outcome]) -> list[Outcome]:
        """Puts long results into the blob store; stores other large ones, each by itself, after the rest.

        Returns:
            What is still to be stored: all if no result is large, else how those failed that were refused.
        """
        if any(outcome.job.output for outcome in outcomes):
            outcomes = self._write_outputs(outcomes)
        outcomes = self._consumer.offload_results(outcomes)
        large = [outcome for outcome in outcomes if len(outcome.result or b"") > LARGE_RESULT_BYTES]
        if not large:
            return outcomes
        self.finish([outcome for outcome in outcomes if outcome not in large])
        return [refused for outcome in large if (refused := self._store(outcome))]

    def _write_outputs(self, outcomes: list[Outcome]) -> list[Outcome]:
        """Writes results to where their jobs ask for them, once the others are stored.

        Returns:
            What is still to be stored.
        """
        asked = [outcome for outcome in outcomes if outcome.job.output and outcome.result is not None]
        others = [outcome for outcome in outcomes if not outcome.job.output or outcome.result is None]
        if not asked or self._outputs is None:
            return self._forget_outputs(outcomes)
        self.finish(self.store_large(self._forget_outputs(others)))
        self._is_writing = True
        try:
            return self._outputs.write(asked)
        finally:
            self._is_writing = False

    def _forget_outputs(self, outcomes: list[Outcome]) -> list[Outcome]:
        return [outcome._replace(job=outcome.job._replace(output="")) for outcome in outcomes]

    def note_stored(self, outcomes: Sequence[Outcome], verdicts: Sequence[str]) -> None:
        """Notes that outcomes are stored: their jobs are held no longer.

        Args:
            outcomes: How each attempt ended; at least one.
            verdicts: What became of each; see `Consumer.finish`.
        """
        self._held.discard(outcome.job for outcome in outcomes)
        if KEPT in verdicts:  # the consumer tells of these when they are stored
            ends = [end for end in zip(outcomes, verdicts, strict=True) if end[1] != KEPT]
            outcomes, verdicts = [outcome for outcome, _ in ends], [verdict for _, verdict in ends]
            if not ends:
                return
        self._consumer.remove_settled_blobs(outcomes, verdicts)
        self._observer.jobs_ended(outcomes, verdicts)

    def _store(self, outcome: Outcome) -> Outcome | None:
        """Stores one large result; returns how its job failed if the result is refused."""
        upload = self._upload = self._consumer.prepare_upload(outcome)
        try:
            if verdict := self._outage.retry_until_available(upload.store, self._given_up):
                self.note_stored([outcome], [verdict])
        except ResultTooLargeError as error:
            return outcome._replace(result=None, error=error)
        finally:
            self._upload = None
        return None
