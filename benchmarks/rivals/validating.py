"""The parts alone: a FastAPI endpoint that validates the same body with pydantic and returns a constant."""

from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class PredictRequest(BaseModel):
    """The body of a request."""

    data: list[list[float]]


@app.post("/predict")
async def predict(request: PredictRequest) -> dict[str, str]:  # noqa: ARG001 - validating it is what is measured
    """Returns a constant."""
    return {"job_id": "0123456789abcdef0123456789abcdef"}
