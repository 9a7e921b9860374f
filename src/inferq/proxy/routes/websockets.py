"""The states of jobs over WebSockets."""

from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Path, WebSocket, WebSocketDisconnect

from inferq.errors import InferqError, JobNotFoundError, RedisUnavailableError, StoreUnavailableError
from inferq.jobs import Job
from inferq.proxy.services.dependencies import get_services
from inferq.proxy.services.jobs.job_responses import read_whole_view
from inferq.proxy.services.jobs.job_subscription import JobSubscription, name_event
from inferq.proxy.services.jobs.websocket_session import WebSocketSession

NOT_FOUND_CODE = 4404
"""Closes a WebSocket whose job does not exist."""
TRY_AGAIN_LATER_CODE = 1013
"""Closes a WebSocket where Redis is out of reach; from the IANA registry of close codes."""
SERVICE_RESTART_CODE = 1012
"""Closes a WebSocket because this process is about to stop; from the same registry."""

_LONGEST_REASON = 120

router = APIRouter()


@router.websocket("/job/{job_id:path}/ws")
async def follow(socket: WebSocket, job_id: Annotated[str, Path()]) -> None:
    """Sends a job's state, then each change of its status or its place in the queue, then its end."""
    await socket.accept()
    try:
        with JobSubscription.open(socket, job_id, counts_position=True) as subscription:
            job = await subscription.read()
            await _send(socket, job)
            with subscription.watch_client(socket.receive):
                async for changed in subscription.follow():
                    if changed is not None:
                        await _send(socket, changed, job)
                        job = changed
            if job.status.is_final or not subscription.has_left:
                await socket.close(1000 if job.status.is_final else SERVICE_RESTART_CODE)
    except JobNotFoundError as error:
        await _close(socket, NOT_FOUND_CODE, error)
    except (RedisUnavailableError, StoreUnavailableError) as error:
        await _close(socket, TRY_AGAIN_LATER_CODE, error)
    except WebSocketDisconnect:
        pass


@router.websocket("/ws")
async def session(socket: WebSocket) -> None:
    """Takes jobs and tells of them; see `WebSocketSession`."""
    await socket.accept()
    await WebSocketSession(socket).run()


async def _send(socket: WebSocket, job: Job, before: Job | None = None) -> None:
    event = name_event(job, before)
    view = await read_whole_view(get_services(socket).producer, job)
    await socket.send_text(f'{{"event":"{event}","job":{view.decode("utf-8", "replace")}}}')


async def _close(socket: WebSocket, code: int, error: InferqError) -> None:
    with suppress(WebSocketDisconnect):
        await socket.close(code, error.message.encode()[:_LONGEST_REASON].decode(errors="ignore"))
