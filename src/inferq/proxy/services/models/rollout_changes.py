"""Changes of rollouts, and reloads: they are written down, and workers follow with their next heartbeat."""

import asyncio
from dataclasses import dataclass, replace
from typing import Any

from fastapi import Request

from inferq.errors import NoWorkerError, RolloutStateError
from inferq.jobs import WorkerInfo
from inferq.proxy.http.prefer import parse_query_wait
from inferq.proxy.services.dependencies import get_services
from inferq.proxy.services.models.known_models import KnownModels
from inferq.proxy.services.models.model_versions import Change, ModelVersions
from inferq.queue import show_id
from inferq.rollout import Rollout

_PAUSE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class FollowReport:
    """Which workers follow a change.

    Attributes:
        generation: What they report once they do.
        missing: Live workers that have not in time, or never will: they are of an earlier version, or serve
            another version of the model, as they cannot load the one that is to serve.
        known: What is known of the models since.
    """

    generation: int
    missing: list[WorkerInfo]
    known: KnownModels

    def describe(self) -> dict[str, Any]:
        """Returns what is shown of it; see `Followed`."""
        missing = [show_id(worker.id) for worker in self.missing]
        return {"generation": self.generation, "is_followed": not missing, "missing": missing}


async def find_model_versions(request: Request, name: str) -> tuple[ModelVersions, Rollout | None]:
    """Finds the versions of a model, and what was set by request.

    Raises:
        UnknownModelError: There is no such model.
        ModelUnavailableError: The workers that should serve it cannot.
        NoWorkerError: No worker has announced any model.
        RedisUnavailableError: Redis does not answer in time.
    """
    services = get_services(request)
    model = ModelVersions.find(await services.catalog.read(), name)
    stored = (await services.producer.read_rollouts()).get(name)
    if stored is None and not model.versions:
        await services.catalog.locate(name)
    return model, stored


async def change_rollout(request: Request, name: str, change: Change) -> tuple[Rollout | None, FollowReport]:
    """Changes the rollout of a model, and waits until workers follow it.

    Args:
        request: The request; `wait` in its query says for how long.
        name: Name of the model.
        change: The change.

    Returns:
        The new rollout; and who follows it.

    Raises:
        InferqError: The change refuses, or `wait` is no time.
        RedisUnavailableError: Redis does not answer in time.
    """
    seconds = _read_wait(request)
    rollout, generation = await get_services(request).producer.change_rollout(name, change)
    report = await _wait_for_workers(request, generation, seconds)
    if rollout is None or rollout.serve is None or rollout.is_unloaded:
        return rollout, report
    workers = await get_services(request).producer.read_workers()
    astray = [one for one in workers if one.model_versions.get(name, rollout.serve) != rollout.serve]
    missing = {one.id: one for one in (*report.missing, *astray)}
    return rollout, replace(report, missing=[*missing.values()])


async def reload_models(request: Request) -> FollowReport:
    """Lets workers read the model repository again, and waits until they have.

    Raises:
        NoWorkerError: No worker lives.
        InferqError: As `change_rollout` does.
    """
    services, seconds = get_services(request), _read_wait(request)
    await check_has_worker(request)
    return await _wait_for_workers(request, await services.producer.request_reload(), seconds)


async def check_has_worker(request: Request) -> None:
    """Refuses what only workers can do, while there are none.

    Raises:
        NoWorkerError: No worker lives.
        RedisUnavailableError: Redis does not answer in time.
    """
    if not await get_services(request).producer.read_workers():
        raise NoWorkerError("No worker lives that could read the model repository. Start one and try again.")


async def check_can_change(request: Request, model: ModelVersions, stored: Rollout | None) -> None:
    """Refuses to change which version of a model serves while none does.

    Raises:
        RolloutStateError: It is unloaded.
        InferqError: It is not there, or cannot be served.
    """
    if stored is not None and stored.is_unloaded:
        raise RolloutStateError(
            f"Model {model.name!r} is unloaded. Load it first: POST /v2/repository/models/{model.name}/load."
        )
    if not model.versions:
        await get_services(request).catalog.locate(model.name)


def _read_wait(request: Request) -> float:
    longest = get_services(request).settings.max_wait_seconds
    return parse_query_wait(request.scope["query_string"], longest, default=longest)


async def _wait_for_workers(request: Request, generation: int, seconds: float) -> FollowReport:
    """Waits until all live workers have reported a generation, the time is up, or this process is to stop."""
    services, clock = get_services(request), asyncio.get_running_loop().time
    until = clock() + seconds
    while True:
        workers = await services.producer.read_workers()
        behind = [one for one in workers if (one.repository_generation or 0) < generation]
        # those of an earlier version report none, and never will
        is_over = all(one.repository_generation is None for one in behind)
        if is_over or clock() >= until or services.subscriber.is_closed:
            return FollowReport(generation, behind, await services.catalog.read_again())
        await asyncio.sleep(_PAUSE_SECONDS)
