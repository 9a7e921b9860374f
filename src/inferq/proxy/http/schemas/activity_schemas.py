"""The data of the events of `GET /activity`, and of what opens a stream, as OpenAPI shows them."""

from pydantic import BaseModel, ConfigDict, Field

from inferq.proxy.http.schemas.job_schemas import EXAMPLE_JOB_ID

EXAMPLE_SNAPSHOT = {
    "at": "2026-01-31T12:00:00.000Z",
    "models": [
        {
            "model": "iris",
            "waiting": {"high": 0, "normal": 3, "low": 0},
            "running": 1,
            "retrying": 0,
            "dead_letters": 2,
            "workers": 1,
            "submitted": 1438,
            "completed": 1432,
            "failed": 2,
        }
    ],
    "workers": [
        {
            "id": "host-1-4f2a",
            "host": "host",
            "models": ["iris"],
            "jobs_done": 1434,
            "seen_at": "2026-01-31T11:59:59.000Z",
        }
    ],
}
EXAMPLE_CHANGES = {
    "counts": {"pending": 1, "processing": 1, "completed": 0, "failed": 0},
    "jobs": [{"job_id": EXAMPLE_JOB_ID, "model": "iris", "status": "processing"}],
}


class StreamTicket(BaseModel):
    """What opens one event stream."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"ticket": "Jq0x1m3rWc4uHk2TzVb9sPfLdYeG7nAo", "expires_in": 30}]}
    )

    ticket: str = Field(description="Send it as the query parameter of that name. It can be used once.")
    expires_in: int = Field(description="For how many seconds it can be used.")
