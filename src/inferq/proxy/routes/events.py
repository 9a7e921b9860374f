"""The states of a job as Server-Sent Events."""

import json
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from starlette.types import Receive, Scope, Send

from inferq.errors import ErrorKind, JobNotFoundError
from inferq.job_json import write_job_json
from inferq.jobs import Job
from inferq.proxy.http.openapi import add_not_found, add_problem
from inferq.proxy.http.responses import EVENT_STREAM_HEADERS, HEARTBEAT, yield_parts
from inferq.proxy.http.schemas.job_schemas import EXAMPLE_JOB_ID, JobView
from inferq.proxy.services.dependencies import get_services
from inferq.proxy.services.jobs.job_responses import read_view_lines
from inferq.proxy.services.jobs.job_subscription import JobSubscription, compute_revision, name_event
from inferq.proxy.transport import FastRoute

HEARTBEAT_SECONDS = 15.0
"""How often a stream without events sends a comment, so that no intermediary closes it as idle."""

_EXAMPLE_PATH = f"/job/{EXAMPLE_JOB_ID}/events"

fast_router = APIRouter(tags=["streams"], route_class=FastRoute)


class EventStream(Response):
    """A job's states, one event for each, until the job ends, the client disconnects, or this process stops.

    Args:
        request: The request.
        job_id: The job's id.
    """

    media_type = "text/event-stream"

    def __init__(self, request: Request, job_id: str) -> None:
        self._request = request
        self._job_id = job_id
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it. What `JobSubscription.read` raises at first is raised before anything is sent."""
        with JobSubscription.open(self._request, self._job_id, counts_position=True) as subscription:
            job = await subscription.read()
            is_known = compute_revision(job) == self._request.headers.get("last-event-id")
            if is_known and job.status.is_final:  # tells a browser's EventSource not to reconnect
                await Response(status_code=204)(scope, receive, send)
                return
            await send({"type": "http.response.start", "status": 200, "headers": EVENT_STREAM_HEADERS})
            if not is_known and not await self._send_event(job, send):
                return
            if job.status.is_final:
                return
            with (
                subscription.watch_client(receive),
                suppress(JobNotFoundError),
            ):  # its keys expired: the stream ends
                before = job
                async for changed in subscription.follow(HEARTBEAT_SECONDS):
                    if changed is None:
                        await send(_make_message(HEARTBEAT))
                        continue
                    if not await self._send_event(changed, send, before) or changed.status.is_final:
                        return
                    before = changed
            await send(_make_message(b"", is_last=True))

    async def _send_event(self, job: Job, send: Send, before: Job | None = None) -> bool:
        """Sends a job's state; the last event ends the stream. Returns False if it cannot be sent."""
        if job.large_result is None:
            await send(_make_message(_encode_event(job, before), is_last=job.status.is_final))
            return True
        await send(_make_message(_encode_event_head(job, before) + b"data: "))
        async for part in yield_parts(read_view_lines(get_services(self._request).producer, job)):
            if part is None:
                return False  # the server closes the connection: the client ignores the unfinished event
            await send(_make_message(part))
        await send(_make_message(b"\n\n", is_last=True))
        return True


def _make_message(body: bytes, *, is_last: bool = False) -> dict[str, object]:
    return {"type": "http.response.body", "body": body, "more_body": not is_last}


def _encode_event_head(job: Job, before: Job | None) -> bytes:
    return f"id: {compute_revision(job)}\nevent: {name_event(job, before)}\n".encode()


def _encode_event(job: Job, before: Job | None) -> bytes:
    # a result of an outside worker may be JSON of several lines, which the client joins
    data = b"\n".join(b"data: %b" % line for line in write_job_json(job).splitlines())
    return b"%b%b\n\n" % (_encode_event_head(job, before), data)


def _make_example() -> str:
    completed, pending, *_ = JobView.model_json_schema()["examples"]
    return "".join(
        f"id: {revision}\nevent: {name}\ndata: {json.dumps(view)}\n\n"
        for revision, name, view in (
            ("pending-0-0-3", "status", pending),
            ("completed-1-1769860800004", "end", completed),
        )
    )


_ANSWERS = add_not_found(
    {
        200: {
            "description": "The job's states: events `status`, of a large job `progress`, at last `end`, "
            "each with a job view as data.",
            "content": {EventStream.media_type: {"example": _make_example()}},
        },
        204: {"description": "The client has seen the end already."},
    },
    ErrorKind.JOB_NOT_FOUND,
    _EXAMPLE_PATH,
)
add_problem(_ANSWERS, ErrorKind.REDIS_UNAVAILABLE, _EXAMPLE_PATH)


_LAST_EVENT_ID = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "The `id` of the last event that the client has got: it is not sent again.",
    "schema": {"type": "string"},
}


@fast_router.get(
    "/job/{job_id:path}/events",
    status_code=200,
    response_class=EventStream,
    responses=_ANSWERS,
    openapi_extra={"parameters": [_LAST_EVENT_ID]},
)
async def events(
    request: Request,
    job_id: Annotated[str, Path(description="What POST /predict answered.")],
) -> Response:
    """Sends a job's state, then each change of its status or its place in the queue, then its end.

    A place in the queue is told at most once a second, the progress of a large job at most four times; a
    comment comes every 15 s.
    """
    return EventStream(request, job_id)
