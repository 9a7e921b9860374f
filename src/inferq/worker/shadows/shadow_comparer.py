"""Compares what shadow jobs give with what their primaries gave."""

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import structlog
from pydantic_core import to_json

from inferq.jobs import ClaimedJob, Outcome
from inferq.models.results.result_comparison import Comparison, compare_results
from inferq.observability.log_context import log_jobs
from inferq.queue import AnyConsumer, ShadowFinding, ShadowPrimary

_MOST_BATCHES = 2
"""That wait to be compared: more would only be in memory."""
_PAUSE_SECONDS = 0.1

log = structlog.get_logger()


class _Batch(NamedTuple):
    """Shadow jobs of one queue whose run is over; see `ShadowComparer.take`."""

    outcomes: list[Outcome]
    finish: Callable[[list[Outcome]], None]
    give_back: Callable[[list[ClaimedJob]], None]
    given_up: threading.Event


class ShadowComparer:
    """Compares what shadow jobs have given, counts what it finds, and ends them with that as their results.

    It does so on a thread of its own, so that users' jobs run meanwhile. What is counted is counted before
    the job ends, and once: a worker that dies in between leaves a job that runs again.

    Args:
        consumer: The queue.
    """

    def __init__(self, consumer: AnyConsumer) -> None:
        self._consumer = consumer
        self._batches = queue.Queue[_Batch | None](_MOST_BATCHES)
        self._thread = threading.Thread(target=self._run, name="shadow-comparer", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stops the thread after it has ended what it was given."""
        self._batches.put(None)
        self._thread.join()

    def take(
        self,
        outcomes: list[Outcome],
        finish: Callable[[list[Outcome]], None],
        give_back: Callable[[list[ClaimedJob]], None],
        given_up: threading.Event,
    ) -> None:
        """Takes shadow jobs to end them; waits while it has too many.

        Args:
            outcomes: How their runs ended, all of one queue.
            finish: Stores how they end.
            give_back: Leaves them to run again, as their shard is away for too long.
            given_up: Ends the waiting.
        """
        while not given_up.is_set():
            with suppress(queue.Full):
                self._batches.put(_Batch(outcomes, finish, give_back, given_up), timeout=_PAUSE_SECONDS)
                return

    def _run(self) -> None:
        while (batch := self._batches.get()) is not None:
            try:
                batch.finish(self._compare(batch))
            except Exception:  # one batch that fails must not end the later ones: its jobs run again
                log.exception("shadow_jobs_not_compared", model=batch.outcomes[0].job.model)

    def _compare(self, batch: _Batch) -> list[Outcome]:
        """Returns how the jobs end: with the comparison as the result, or as they have failed."""
        compared = [outcome for outcome in batch.outcomes if outcome.result is not None]
        failed = [outcome for outcome in batch.outcomes if outcome.result is None]
        if not compared:
            return failed
        jobs = [outcome.job for outcome in compared]
        shard = self._consumer.shard_of(jobs[0])
        findings, outage = shard.shadow_findings, shard.outage
        found, ended = list[ShadowFinding](), list[Outcome]()
        primaries = outage.retry_until_available(lambda: findings.read_primaries(jobs), batch.given_up)
        for outcome, primary in zip(compared, primaries or (), strict=False):
            comparison, reason = _compare(outcome, primary)
            found.append(_make_finding(outcome, primary, comparison))
            ended.append(outcome._replace(result=_write_result(primary, comparison, reason)))

        def note() -> bool:
            findings.note(jobs[0].model, found)
            return True

        is_noted = primaries is not None and outage.retry_until_available(note, batch.given_up)
        if is_noted:
            return [*failed, *ended]
        batch.give_back(jobs)  # Redis is away when this process ends, or for too long
        return failed


def _compare(outcome: Outcome, primary: ShadowPrimary | None) -> tuple[Comparison | None, str]:
    """Returns the comparison; or None, and why there is none."""
    if primary is None or primary.result is None:
        return None, "The result of the other version is not kept any more."
    try:
        return compare_results(primary.result, outcome.result or b"", primary.tolerance), ""
    except Exception as error:  # whatever stands there, the worker lives on
        with log_jobs((outcome.job,)):
            log.exception("results_not_compared", model=outcome.job.model)
        return None, f"The results cannot be compared: {error}"


def _make_finding(
    outcome: Outcome, primary: ShadowPrimary | None, comparison: Comparison | None
) -> ShadowFinding:
    made_by = outcome.made_by or outcome.job.claimed_for
    finding = ShadowFinding(outcome.job, made_by, primary, outcome.run_seconds, outcome.batch_jobs, None)
    if comparison is None:
        return finding
    return finding._replace(
        agrees=comparison.agrees,
        absolute=comparison.absolute,
        relative=comparison.relative,
        where=comparison.where,
    )


def _write_result(primary: ShadowPrimary | None, comparison: Comparison | None, reason: str) -> bytes:
    """Returns the result of a shadow job."""
    result: dict[str, object] = {
        "agrees": comparison and comparison.agrees,
        "primary_job_id": primary and primary.id,
    }
    if comparison is None:
        result["reason"] = reason
    else:
        result |= {
            "tolerance": primary and primary.tolerance,
            "largest_difference": comparison.absolute,
            "largest_relative_difference": comparison.relative,
        }
        if comparison.where or not comparison.agrees:
            result |= {
                "where": comparison.where,
                "primary": comparison.primary,
                "candidate": comparison.candidate,
            }
    return to_json(result)
