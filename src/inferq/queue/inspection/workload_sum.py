"""The workloads of several shards as one: the same workers run the jobs of all."""

from collections.abc import Sequence
from dataclasses import replace

from inferq.jobs import Priority
from inferq.queue.inspection.workload import ModelLoad, RunningClaim, Workload


def add_workloads(first: Workload, others: Sequence[Workload]) -> Workload:
    """Adds workloads up.

    Args:
        first: The workload of one shard; the sum has its time.
        others: Those of the others, read at about the same moment, each by the clock of its own server.
    """
    shifted = [first, *(_shift(other, first.at) for other in others)]
    names = dict.fromkeys(name for workload in shifted for name in workload.models)
    return Workload(
        first.at,
        {name: _add([one.models[name] for one in shifted if name in one.models]) for name in names},
        list({worker.id: worker for workload in reversed(shifted) for worker in workload.workers}.values()),
    )


def _shift(workload: Workload, at: float) -> Workload:
    """Returns a workload with its times by another server's clock, which showed `at` when it was read."""
    ahead_ms = round((workload.at - at) * 1000)
    models = {
        name: ModelLoad(load.waiting, [_shift_claim(claim, ahead_ms) for claim in load.claims])
        for name, load in workload.models.items()
    }
    return Workload(at, models, workload.workers)


def _shift_claim(claim: RunningClaim, ahead_ms: int) -> RunningClaim:
    return replace(claim, started_ms=claim.started_ms - ahead_ms)


def _add(loads: Sequence[ModelLoad]) -> ModelLoad:
    waiting = {priority: sum(load.waiting[priority] for load in loads) for priority in Priority}
    return ModelLoad(waiting, [claim for load in loads for claim in load.claims])
