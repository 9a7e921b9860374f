"""The seed document's endpoints as plain functions, which FastAPI runs in its threads."""

import json
import os
from typing import Any
from uuid import uuid4

import redis
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

from benchmarks.processes import URL_VARIABLE
from benchmarks.rivals.seed_worker import QUEUE, TTL_SECONDS

app = FastAPI()
_redis = redis.Redis.from_url(os.environ[URL_VARIABLE], decode_responses=True)


class PredictRequest(BaseModel):
    """The body of a request."""

    data: list[list[float]]


@app.post("/predict")
def predict(request: PredictRequest) -> dict[str, str]:
    """Stores a job, queues it and returns its id."""
    job_id = uuid4().hex
    _redis.set(f"job:{job_id}:data", json.dumps(request.data), ex=TTL_SECONDS)
    _redis.set(f"job:{job_id}:status", "pending", ex=TTL_SECONDS)
    _redis.lpush(QUEUE, job_id)
    return {"job_id": job_id}


@app.get("/job/{job_id}")
def job(job_id: str) -> dict[str, Any]:
    """Returns a job as it is now."""
    status = _redis.get(f"job:{job_id}:status")
    if status is None:
        raise HTTPException(404, "job not found")
    result = _redis.get(f"job:{job_id}:result") if status == "completed" else None
    error = _redis.get(f"job:{job_id}:error") if status == "failed" else None
    return {
        "job_id": job_id,
        "status": status,
        "result": None if result is None else json.loads(str(result)),
        "error": error,
    }
