"""What happens in all queues, read a few times a second: how many jobs change, and some of them.

Read, not heard: the channel of events has a message for each batch, of which a proxy can take some thousand
a second, while this costs the same however many jobs there are.
"""

from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any, NamedTuple

from inferq.jobs import Status
from inferq.model_names import is_of_workers
from inferq.queue.redis_client import scripts
from inferq.queue.redis_client.bounded import BoundedRedis
from inferq.queue.redis_client.script_calls import ScriptCall
from inferq.queue.schema.decoding import decode_text
from inferq.queue.schema.ids import decode_id

MOST_CHANGED = 20
"""Most jobs that a sample names."""


class ChangedJob(NamedTuple):
    """A job whose status has changed.

    Attributes:
        id: The job's id.
        model: Its model.
        status: What it has turned to; it may have changed again since.
        owner: Name of the API key it was submitted with; empty if there was none.
    """

    id: str
    model: str
    status: Status
    owner: str

    def is_readable_by(self, owner: str | None) -> bool:
        """Whether a key of this name may read the job; None stands for a service without keys."""
        return owner is None or self.owner in ("", owner)


@dataclass(frozen=True, slots=True)
class ActivitySample:
    """What has happened since the sample before.

    Attributes:
        counts: How many jobs of all models have turned to each status. Completed and failed ones are counted;
            `processing` follows from them and from those that run, without attempts that were retried.
        jobs: Some of these jobs, at most `MOST_CHANGED`: of each model and status the latest. All of them
            where they are few, but for states that came and went in between.
    """

    counts: dict[Status, int]
    jobs: list[ChangedJob]


class _Totals(NamedTuple):
    """Numbers of one model: all but the last have only ever grown."""

    submitted: int
    retried: int
    completed: int
    failed: int
    unrun: int
    running: int


_NONE = _Totals(0, 0, 0, 0, 0, 0)


class ActivitySampler:
    """Reads one sample after the other.

    Args:
        redis: The server.
    """

    def __init__(self, redis: BoundedRedis) -> None:
        self._redis = redis
        self._since_ms: int | None = None
        self._totals: dict[str, _Totals] = {}
        self._named: frozenset[tuple[str, Status]] = frozenset()

    async def read(self) -> ActivitySample:
        """Reads what has happened to users' jobs since the call before; nothing has at the first.

        Raises:
            RedisUnavailableError: Redis does not answer in time. The next call tells of this time too.
        """
        since = "" if self._since_ms is None else self._since_ms
        call = ScriptCall(scripts.ACTIVITY, [self._redis.keys.models], [since, MOST_CHANGED])
        async with self._redis.limit_time():
            now, models, changes = await self._redis.run(call)
        totals = {
            model: _Totals(*numbers)
            for name, *numbers in models
            if not is_of_workers(model := decode_text(name))
        }
        before = totals if self._since_ms is None else self._totals
        counts = _count_changes(before, totals)
        jobs = self._choose(changes)
        named = frozenset((job.id, job.status) for job in jobs)
        # changes of this same millisecond are read again
        self._named = self._named | named if now == self._since_ms else named
        self._since_ms, self._totals = now, totals
        return ActivitySample(counts, jobs)

    def _choose(self, changes: list[list[Any]]) -> list[ChangedJob]:
        """Chooses jobs of all models and statuses in turn, without those that were named already."""
        groups: dict[tuple[str, Status], list[ChangedJob]] = {}
        for job_id, model, status, owner in changes:
            job = ChangedJob(
                decode_id(job_id), decode_text(model), Status(status.decode()), decode_text(owner)
            )
            if not is_of_workers(job.model) and (job.id, job.status) not in self._named:
                groups.setdefault((job.model, job.status), []).append(job)
        in_turn = chain.from_iterable(zip_longest(*groups.values()))
        return [job for job in in_turn if job is not None][:MOST_CHANGED]


def _count_changes(before: dict[str, _Totals], now: dict[str, _Totals]) -> dict[Status, int]:
    counts = dict.fromkeys(Status, 0)
    for model, numbers in now.items():
        earlier = before.get(model, _NONE)
        change = _Totals(*(number - other for number, other in zip(numbers, earlier, strict=True)))
        ran = change.completed + change.failed - change.unrun
        counts[Status.PENDING] += max(0, change.submitted + change.retried)
        counts[Status.PROCESSING] += max(0, change.running + ran)
        counts[Status.COMPLETED] += max(0, change.completed)
        counts[Status.FAILED] += max(0, change.failed)
    return counts
