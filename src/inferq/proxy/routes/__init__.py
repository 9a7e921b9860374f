"""The endpoints."""

from fastapi import APIRouter

from inferq.proxy.routes import about, batches, events, jobs, models, queue, websockets
from inferq.proxy.transport.fast_route import LeanRoute, LeanTable

router = APIRouter()
# those whose paths go on after a job's id, which may be any text, come before the job's own
for one in (
    events.lean,
    websockets.router,
    jobs.lean,
    jobs.router,
    batches.router,
    queue.router,
    models.router,
    about.router,
):
    router.include_router(one)

lean_table = LeanTable(
    route for one in (events.lean, jobs.lean) for route in one.routes if isinstance(route, LeanRoute)
)
