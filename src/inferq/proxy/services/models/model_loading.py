"""Models that are loaded and unloaded by a request, as the Open Inference Protocol has it."""

from fastapi import Request

from inferq.errors import InferqError
from inferq.model_names import get_model_name
from inferq.proxy.services.dependencies import get_services
from inferq.proxy.services.models.model_versions import ModelVersions, load, unload
from inferq.proxy.services.models.rollout_changes import (
    FollowReport,
    change_rollout,
    check_has_worker,
    find_model_versions,
    reload_models,
)
from inferq.queue import show_id


async def load_model(request: Request, name: str) -> str | None:
    """Lets workers load a model, or what is new of it, and waits until they have.

    Returns:
        Why they have not; None where all live workers follow and at least one serves it.

    Raises:
        InferqError: There can be no such model, no worker lives, or Redis does not answer in time.
    """
    services = get_services(request)
    ModelVersions.find(await services.catalog.read(), name)
    stored = (await services.producer.read_rollouts()).get(name)
    if stored is None or not stored.is_unloaded:
        report = await reload_models(request)
    else:
        await check_has_worker(request)
        _, report = await change_rollout(request, name, load)
    return _find_missing(report) or _find_failure(report, name)


async def unload_model(request: Request, name: str) -> str | None:
    """Lets workers serve a model no more, once the jobs that wait for it have run.

    Returns:
        Why they have not begun to; None where all live workers follow.

    Raises:
        InferqError: There is no such model, no worker lives, or Redis does not answer in time.
    """
    await find_model_versions(request, name)
    await check_has_worker(request)
    _, report = await change_rollout(request, name, unload)
    return _find_missing(report)


def _find_missing(report: FollowReport) -> str | None:
    if not report.missing:
        return None
    workers = ", ".join(show_id(worker.id) for worker in report.missing)
    return f"These workers have not followed in time, or are of a version that never does: {workers}."


def _find_failure(report: FollowReport, name: str) -> str | None:
    known = report.known
    left_out = {one: why for one, why in known.unavailable.items() if get_model_name(one) == name}
    if left_out:
        return " ".join(f"{one}: {why}" for one, why in left_out.items())
    try:
        _, model = known.locate(name)
    except InferqError as error:
        return error.message
    if model is None or (known.served is not None and name not in known.served):
        return f"No live worker has a model {name!r} in its repository."
    return None
