"""What Prometheus scrapes."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from starlette.exceptions import HTTPException

from inferq.proxy.http.openapi import Answers
from inferq.proxy.services.dependencies import get_owner, get_services

router = APIRouter(tags=["health"])

_EXAMPLE = """\
# HELP inferq_redis_up Whether Redis answered this scrape: 1 or 0.
# TYPE inferq_redis_up gauge
inferq_redis_up 1.0
"""
_ANSWERS: Answers = {
    200: {
        "description": "The metrics; as OpenMetrics where `Accept` prefers it, compressed where "
        "`Accept-Encoding` has gzip.",
        "content": {
            "text/plain": {"schema": {"type": "string"}, "example": _EXAMPLE},
            "application/openmetrics-text": {"schema": {"type": "string"}, "example": f"{_EXAMPLE}# EOF\n"},
        },
    }
}


@router.get("/metrics", response_class=PlainTextResponse, responses=_ANSWERS)
async def metrics(request: Request) -> Response:
    """Tells the metrics of the whole service, and of this process, in Prometheus's text format.

    Where INFERQ_METRICS_KEYS is set, a key of one of these names is needed. While Redis is away, this
    process's own metrics are told, and `inferq_redis_up` is 0.
    """
    reader = get_services(request).metrics
    if not reader.is_open_to(get_owner(request)):
        raise HTTPException(
            403, "This key may not read the metrics. INFERQ_METRICS_KEYS names those that may."
        )
    headers = request.headers
    written = await reader.write(headers.get("accept", ""), headers.get("accept-encoding", ""))
    return Response(written.body, headers=written.headers)
