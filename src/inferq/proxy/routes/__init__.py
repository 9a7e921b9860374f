"""The endpoints."""

from fastapi import APIRouter

from inferq.proxy.routes import about, jobs, models

router = APIRouter()
for one in (jobs, models, about):
    router.include_router(one.router)
