"""Who takes part in `drain`: how each is filled with jobs and started, and how its results are seen."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import redis

from benchmarks.processes import python, run_python

_LONGEST_ENQUEUE_SECONDS = 180.0
_BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Subject:
    """A queue with a worker.

    Attributes:
        name: As the tables call it.
        module: Module of `benchmarks.rivals` whose `enqueue(count)` queues jobs and returns how to find them.
        worker: Command line of its one worker process.
        jobs: How many jobs a round has.
        quick_jobs: The same in a quick run.
        read_command: The Redis command that reads a job's result or status, by what `enqueue` returned.
        mark: What its answer contains once the job has completed.
    """

    name: str
    module: str
    worker: list[str]
    jobs: int
    quick_jobs: int
    read_command: Callable[[str], tuple[str | int, ...]]
    mark: bytes = b"setosa"

    def enqueue(self, url: str, count: int) -> list[str]:
        """Queues one-row jobs of the iris model.

        Args:
            url: The server.
            count: How many.

        Returns:
            How to find each, in the order in which they wait.
        """
        module = f"benchmarks.rivals.{self.module}"
        code = f"import json; from {module} import enqueue; print(json.dumps(enqueue({count})))"
        output = run_python("-c", code, url=url, seconds=_LONGEST_ENQUEUE_SECONDS)
        found: list[str] = json.loads(output.splitlines()[-1])
        return found

    def completed(self, client: redis.Redis, jobs: Sequence[str]) -> list[bool]:
        """Which of these jobs have completed."""
        pipeline = client.pipeline(transaction=False)
        for job in jobs:
            pipeline.execute_command(*self.read_command(job))  # type: ignore[no-untyped-call]
        return [answer is not None and self.mark in answer for answer in pipeline.execute()]


INFERQ = Subject(
    "inferq",
    "inferq_queue",
    python("-m", "src.backend.worker"),
    50_000,
    5_000,
    lambda job: ("GET", f"job:{job}:result"),
)
SEED = Subject(
    "seed's loop",
    "seed_worker",
    python("-m", "benchmarks.rivals.seed_worker"),
    10_000,
    1_000,
    lambda job: ("GET", f"job:{job}:status"),
    b"completed",
)
CONTRACT = Subject(
    "the contract alone, in batches",
    "contract_worker",
    python("-m", "benchmarks.rivals.contract_worker"),
    50_000,
    5_000,
    SEED.read_command,
    SEED.mark,
)
CELERY = Subject(
    "Celery",
    "celery_queue",
    [
        *(str(_BIN / "celery"), "--app", "benchmarks.rivals.celery_queue", "worker"),
        *("--pool", "prefork", "--concurrency", "1", "--loglevel", "WARNING"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    ],
    10_000,
    800,
    lambda job: ("GET", f"celery-task-meta-{job}"),
)
SAQ = Subject(
    "SAQ",
    "saq_queue",
    [str(_BIN / "saq"), "benchmarks.rivals.saq_queue.settings", "--quiet"],
    10_000,
    800,
    lambda job: ("GET", job),
)
DRAMATIQ = Subject(
    "Dramatiq",
    "dramatiq_queue",
    [str(_BIN / "dramatiq"), "benchmarks.rivals.dramatiq_queue", "--processes", "1", "--threads", "32"],
    10_000,
    800,
    lambda job: ("LINDEX", job, 0),
)
HUEY = Subject(
    "Huey",
    "huey_queue",
    [
        *(str(_BIN / "huey_consumer"), "benchmarks.rivals.huey_queue.huey"),
        *("--workers", "2", "--worker-type", "thread", "--no-periodic", "--quiet"),
    ],
    10_000,
    800,
    lambda job: ("HGET", "huey.results.benchmark", job),
)
