"""What is wrong with the workers, as their heartbeats show them, and with the queues that they serve."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from inferq.doctor.finding import Finding, fail, ok, warn
from inferq.doctor.server_checks import check_clock
from inferq.jobs import WorkerInfo
from inferq.settings import Settings

if TYPE_CHECKING:
    from inferq.queue import QueueNumbers, QueueStats

_MOST_NAMED = 20
_MISSED_HEARTBEATS = 2


def check_workers(
    stats: "QueueStats", last_heartbeat: datetime | None, own_version: str, settings: Settings
) -> Iterator[Finding]:
    """Judges the live workers.

    Args:
        stats: The queues, and the live workers.
        last_heartbeat: When any worker last reported; None if none ever has.
        own_version: Version of this inferq.
        settings: How often a heartbeat is due.
    """
    if not stats.workers:
        since = f"since {last_heartbeat:%Y-%m-%d %H:%M:%S} UTC" if last_heartbeat else "yet"
        yield fail(
            "workers", f"No live worker has reported {since}.", "Start one: inferq worker; or read its log."
        )
    if shards := ", ".join(map(str, stats.unattended_shards)):
        yield fail(
            "workers",
            f"No live worker reports to shard {shards}, so its jobs wait.",
            "Give all proxies and workers the same INFERQ_REDIS_URL and INFERQ_SHARDS.",
        )
    for worker in stats.workers[:_MOST_NAMED]:
        yield _check_heartbeat(worker, stats.at, settings.heartbeat_seconds)
        yield from _check_version(worker, own_version)
        if worker.sent_at and worker.seen_at:
            ahead = (worker.sent_at - worker.seen_at) / timedelta(seconds=1)
            finding = check_clock("worker-clock", f"The clock of worker {worker.id}", ahead)
            if finding.remedy:
                yield finding
    if len(stats.workers) > _MOST_NAMED:
        yield ok("workers", f"{len(stats.workers) - _MOST_NAMED} more workers are alive.")


def check_queues(models: Mapping[str, "QueueNumbers"]) -> Iterator[Finding]:
    """Finds jobs that nobody will run."""
    for name, queue in models.items():
        waiting = sum(queue.waiting.values())
        if waiting and not queue.workers:
            yield fail(
                "queue",
                f"{waiting} jobs wait for the model {name!r}, which no live worker serves.",
                f"Start a worker that has it, or drop them: inferq jobs cancel --model {name}.",
            )


def _check_heartbeat(worker: WorkerInfo, now: datetime, pause_seconds: float) -> Finding:
    seconds = max(0.0, (now - worker.seen_at) / timedelta(seconds=1)) if worker.seen_at else 0.0
    served = ", ".join(f"{name} {worker.model_versions.get(name, '')}".strip() for name in worker.models)
    message = f"{worker.id}: heartbeat {seconds:.1f} s ago; {worker.jobs_done} jobs done; "
    message += f"serves {served or 'nothing'}."
    if seconds <= _MISSED_HEARTBEATS * pause_seconds:
        return ok("workers", message)
    return warn(
        "workers", message, "Read its log: it misses heartbeats, or has another INFERQ_HEARTBEAT_SECONDS."
    )


def _check_version(worker: WorkerInfo, own_version: str) -> Iterator[Finding]:
    if worker.inferq_version != own_version:
        yield warn(
            "versions",
            f"{worker.id} runs inferq {worker.inferq_version or 'of an older version'}; "
            f"this command is {own_version}.",
            "Bring all to one version: stop the old processes before new ones start.",
        )
