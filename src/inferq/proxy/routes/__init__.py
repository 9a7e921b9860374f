"""The endpoints: a file per resource."""

from fastapi import APIRouter

from inferq.proxy.routes import (
    about,
    activity,
    batches,
    events,
    health,
    job_actions,
    job_data,
    job_errors,
    job_list,
    job_result,
    job_statuses,
    jobs,
    metrics,
    model_rollouts,
    model_shadow,
    models,
    predictions,
    queue,
    queue_history,
    stream_tickets,
    uploads,
    v2_inference,
    v2_models,
    v2_repository,
    v2_server,
    websockets,
)
from inferq.proxy.transport import FastRoute

router = APIRouter()
# a job's id may be any text: paths that continue after the id come before the path of the job
for one in (
    events.fast_router,
    job_data.fast_router,
    job_result.fast_router,
    job_result.router,
    websockets.router,
    predictions.fast_router,
    jobs.fast_router,
    predictions.router,
    jobs.router,
    batches.router,
    job_statuses.router,
    job_list.router,
    job_errors.router,
    job_actions.router,
    queue.router,
    queue_history.router,
    activity.router,
    stream_tickets.router,
    uploads.router,
    model_rollouts.router,
    models.router,
    model_shadow.router,
    v2_inference.fast_router,
    v2_server.router,
    v2_models.router,
    v2_repository.router,
    about.router,
    health.router,
    metrics.router,
):
    router.include_router(one)

fast_routes = [
    route
    for one in (
        events.fast_router,
        job_data.fast_router,
        job_result.fast_router,
        predictions.fast_router,
        jobs.fast_router,
        v2_inference.fast_router,
    )
    for route in one.routes
    if isinstance(route, FastRoute)
]
