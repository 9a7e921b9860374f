"""The endpoints."""

from fastapi import APIRouter

from inferq.proxy.lean import LeanRoute, LeanTable
from inferq.proxy.routes import about, batch, jobs, listing, models, sockets, streams

router = APIRouter()
# those whose paths go on after a job's id, which may be any text, come before the job's own
for one in (
    streams.lean,
    sockets.router,
    jobs.lean,
    jobs.router,
    batch.router,
    listing.router,
    models.router,
    about.router,
):
    router.include_router(one)

lean_table = LeanTable(
    route for one in (streams.lean, jobs.lean) for route in one.routes if isinstance(route, LeanRoute)
)
