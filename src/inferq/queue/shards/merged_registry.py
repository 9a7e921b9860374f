"""What is announced and set in several shards, as one: workers and models report to all of them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from inferq.jobs import WorkerInfo

_EPOCH = datetime.fromtimestamp(0, UTC)


def merge_workers(reports: Iterable[Sequence[WorkerInfo]]) -> list[WorkerInfo]:
    """Returns each worker once, as it reported last, the oldest first."""
    latest: dict[str, WorkerInfo] = {}
    for worker in (worker for report in reports for worker in report):
        known = latest.get(worker.id)
        if known is None or _read_time(known) < _read_time(worker):
            latest[worker.id] = worker
    return sorted(latest.values(), key=lambda worker: worker.started_at)


def _read_time(worker: WorkerInfo) -> datetime:
    """When it reported: by its own clock, if it tells, as the servers' may differ."""
    return worker.sent_at or worker.seen_at or _EPOCH


def merge_documents(documents: Sequence[Mapping[str, bytes]]) -> dict[str, bytes]:
    """Returns the document of each model, from the first shard that has it."""
    merged: dict[str, bytes] = {}
    for of_shard in documents:
        merged = {**of_shard, **merged}
    return merged


def merge_names(names: Iterable[Iterable[str]]) -> set[str]:
    """Returns the names that any shard has."""
    return {name for of_shard in names for name in of_shard}


def find_latest(moments: Iterable[datetime | None]) -> datetime | None:
    """Returns the latest moment; None where there is none."""
    return max((moment for moment in moments if moment is not None), default=None)
