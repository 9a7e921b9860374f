"""What waits and runs of every model, and how fast the workers are that live, in one round trip."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import batched
from typing import Any

from inferq.jobs import Pace, Priority
from inferq.queue.redis_client import scripts
from inferq.queue.redis_client.bounded import BoundedRedis
from inferq.queue.redis_client.script_calls import ScriptCall
from inferq.queue.schema.decoding import decode_paces, decode_text
from inferq.queue.schema.ids import decode_id

_MOST_DIGITS = 15
"""No job has data of more bytes, or takes longer."""


@dataclass(frozen=True, slots=True)
class RunningClaim:
    """Jobs that a worker has claimed together and that have not ended.

    Attributes:
        worker: Id of the worker.
        started_ms: When it claimed them, ms since 1970.
        jobs: How many are left.
        first_bytes: Bytes of data of the first that is left; None where its record does not tell.
        left_chunks: How many chunks of a large job are not done, which others share; 0 for other jobs.
        left_seconds: How long one worker would take for them.
    """

    worker: str
    started_ms: int
    jobs: int
    first_bytes: int | None = None
    left_chunks: int = 0
    left_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ModelLoad:
    """What waits and runs of one model.

    Attributes:
        waiting: Waiting jobs, by priority.
        claims: What runs.
    """

    waiting: Mapping[Priority, int]
    claims: Sequence[RunningClaim] = ()


@dataclass(frozen=True, slots=True)
class LiveWorker:
    """A worker, as far as it matters when jobs are taken.

    Attributes:
        id: Its id.
        models: Names of the models that it serves.
        paces: Name to pace of those of which it has run jobs.
    """

    id: str
    models: Sequence[str]
    paces: Mapping[str, Pace]


@dataclass(frozen=True, slots=True)
class Workload:
    """What there is to do, and who does it.

    Attributes:
        at: When that was so, by the server's clock, seconds since 1970.
        models: Name to load of the models of which anything waits or runs.
        workers: The live workers.
    """

    at: float
    models: Mapping[str, ModelLoad]
    workers: Sequence[LiveWorker]


async def read_workload(redis: BoundedRedis) -> Workload:
    """Reads it; for use within `limit_time`. The cost follows the number of models, workers and claims."""
    now_ms, models, workers = await redis.run(ScriptCall(scripts.WORKLOAD, [redis.keys.models], []))
    return Workload(
        now_ms / 1000,
        {decode_text(name): _decode_load(*load) for name, *load in models},
        [
            LiveWorker(decode_id(worker_id), tuple(decode_text(names).split()), decode_paces(paces or b"{}"))
            for worker_id, names, paces in workers
            if names is not None
        ],
    )


def _decode_load(high: int, normal: int, low: int, claims: list[Any]) -> ModelLoad:
    return ModelLoad(
        dict(zip(Priority, (high, normal, low), strict=True)),
        [
            RunningClaim(
                decode_id(worker),
                int(started_ms),
                jobs,
                _decode_number(size),
                _decode_number(left_chunks) or 0,
                (_decode_number(left_ms) or 0) / 1000,
            )
            for worker, started_ms, jobs, size, left_chunks, left_ms in batched(claims, 6, strict=True)
            if started_ms.isdigit()
        ],
    )


def _decode_number(number: bytes) -> int | None:
    return int(number) if number.isdigit() and len(number) <= _MOST_DIGITS else None
