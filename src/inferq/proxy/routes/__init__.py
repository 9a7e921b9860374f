"""The endpoints."""

from fastapi import APIRouter

from inferq.proxy.lean import LeanRoute
from inferq.proxy.routes import about, batch, jobs, listing, models

router = APIRouter()
for one in (jobs.lean, jobs.router, batch.router, listing.router, models.router, about.router):
    router.include_router(one)

lean_routes = [route for route in jobs.lean.routes if isinstance(route, LeanRoute)]
