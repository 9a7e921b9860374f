"""What happens in the whole service, as Server-Sent Events."""

import asyncio
import json
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.types import Receive, Scope, Send

from inferq.errors import ErrorKind
from inferq.proxy.http.openapi import Answers, add_problem
from inferq.proxy.http.responses import EVENT_STREAM_HEADERS, HEARTBEAT
from inferq.proxy.http.schemas.activity_schemas import EXAMPLE_CHANGES, EXAMPLE_SNAPSHOT
from inferq.proxy.services.activity_feed import ActivityFeed
from inferq.proxy.services.dependencies import get_owner, get_services

HEARTBEAT_SECONDS = 15.0
"""How often a stream without events sends a comment, by which it is noticed that a client has gone."""

router = APIRouter(tags=["streams"])


class ActivityStream(Response):
    """Numbers and changes of all jobs, until the client disconnects, or this process stops.

    Args:
        feed: Reads them.
        snapshot: The first event.
        owner: Name of the client's API key; None where none is needed.
    """

    media_type = "text/event-stream"

    def __init__(self, feed: ActivityFeed, snapshot: bytes, owner: str | None) -> None:
        self._feed = feed
        self._snapshot = snapshot
        self._owner = owner
        self.background = None

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it. While the client does not read, nothing is kept for it but the latest events."""
        await send({"type": "http.response.start", "status": 200, "headers": EVENT_STREAM_HEADERS})
        with self._feed.watch(self._snapshot) as watcher:

            async def wait_for_disconnect() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                watcher.end()

            leaving = asyncio.create_task(wait_for_disconnect())
            try:
                while not watcher.is_over:
                    events = await watcher.take(self._owner, HEARTBEAT_SECONDS)
                    await send({"type": "http.response.body", "body": events or HEARTBEAT, "more_body": True})
            finally:
                leaving.cancel()
        await send({"type": "http.response.body", "body": b""})


def _make_answers() -> Answers:
    examples: list[tuple[str, dict[str, Any]]] = [
        ("snapshot", EXAMPLE_SNAPSHOT),
        ("changes", EXAMPLE_CHANGES),
    ]
    example = "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in examples)
    answers: Answers = {
        200: {
            "description": "Events `snapshot` once a second, and `changes` up to five times a second.",
            "content": {ActivityStream.media_type: {"example": example}},
        }
    }
    add_problem(answers, ErrorKind.REDIS_UNAVAILABLE, "/activity")
    return answers


@router.get("/activity", status_code=200, response_class=ActivityStream, responses=_make_answers())
async def activity(request: Request) -> Response:
    """Tells what happens, as it happens: how many jobs wait and run, and which have changed their status.

    All numbers count the jobs of all keys; `jobs` are those that the key may read, of at most 20 that were
    chosen among all. A client that reads slowly skips events. While Redis is away, none come.
    """
    feed = get_services(request).activity
    return ActivityStream(feed, await feed.read_snapshot(), get_owner(request))
