"""How long one worker process takes to empty a queue, seen from outside."""

import time

import redis

from benchmarks.processes import BenchmarkError, program, redis_server, wait_until
from benchmarks.subjects import Subject

_LONGEST_DRAIN_SECONDS = 120.0
_POLL_SECONDS = 0.004
_FIRST_JOBS = 512
"""So many of the first jobs are counted at the first sight of a result: a batch completes at one moment."""


def jobs_per_second(subject: Subject, quick: bool, cpu: int | None = None) -> float:
    """Queues jobs, starts one worker, and times it from the first completed job to the last.

    Looking costs the server one command every few milliseconds, the same for every subject.

    Args:
        subject: Whose queue and worker.
        quick: Whether fewer jobs are enough.
        cpu: The one processor for server and worker; None for any.

    Returns:
        Jobs in a second; the start of the worker is not in it.

    Raises:
        BenchmarkError: The worker ended, took too long, or a job did not complete.
    """
    count = subject.quick_jobs if quick else subject.jobs
    with redis_server(cpu) as url, redis.Redis.from_url(url) as client:
        jobs = subject.enqueue(url, count)
        if len(jobs) != count or any(subject.completed(client, jobs[:1])):
            raise BenchmarkError(f"{subject.name}: {len(jobs)} jobs wait, {count} not yet run were expected.")
        with program(subject.worker, f"{subject.name}'s worker", url=url, cpu=cpu) as worker:
            wait_until(
                lambda: any(subject.completed(client, jobs[:1])),
                f"{subject.name} completes its first job",
                pause=_POLL_SECONDS,
                alive=worker,
            )
            first = time.perf_counter()
            already = sum(subject.completed(client, jobs[:_FIRST_JOBS]))
            wait_until(
                lambda: all(subject.completed(client, jobs[-1:])),
                f"{subject.name} completes its last job",
                seconds=_LONGEST_DRAIN_SECONDS,
                pause=_POLL_SECONDS,
                alive=worker,
            )
            last = _last(subject, client, jobs)
    return (count - already) / (last - first)


def _last(subject: Subject, client: redis.Redis, jobs: list[str]) -> float:
    """Waits until the jobs that were overtaken have completed too; returns when that was seen."""
    seen = time.perf_counter()
    deadline = seen + _LONGEST_DRAIN_SECONDS
    while jobs := [job for job, done in zip(jobs, subject.completed(client, jobs), strict=True) if not done]:
        if time.perf_counter() > deadline:
            raise BenchmarkError(f"{subject.name}: {len(jobs)} jobs did not complete, such as {jobs[0]}.")
        time.sleep(_POLL_SECONDS)
        seen = time.perf_counter()
    return seen
