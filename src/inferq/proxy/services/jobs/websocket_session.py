"""One WebSocket over which a client submits and follows many jobs."""

import asyncio
from contextlib import suppress

from fastapi import WebSocket, WebSocketDisconnect
from pydantic_core import to_json

from inferq.errors import BodyTooLargeError, InferqError, QueueFullError
from inferq.jobs import Job
from inferq.observability.log_context import begin_log_ids
from inferq.proxy.http import problems
from inferq.proxy.services.dependencies import get_services
from inferq.proxy.services.jobs.job_responses import read_whole_view
from inferq.proxy.services.jobs.job_subscription import JobSubscription, name_event
from inferq.proxy.services.requests.job_submission import run_check, trace_submission
from inferq.proxy.services.requests.request_checks import SocketMessage, check_message

MOST_JOBS = 1000
"""Most jobs that one connection follows at the same time."""
_MOST_ANSWERS = 32
"""Most answers besides that wait until a client reads them."""


class WebSocketSession:
    """The jobs of one connection. They continue to run when it ends.

    Args:
        socket: The connection, accepted.
    """

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serves each message by itself, until the client goes away or the server closes the connection."""
        try:
            while (message := await self._socket.receive())["type"] == "websocket.receive":
                text = message.get("text")
                task = asyncio.create_task(self._answer(message["bytes"] if text is None else text.encode()))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                # a client that does not read its answers is not read from until they are sent
                while len(self._tasks) > MOST_JOBS + _MOST_ANSWERS:
                    await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in list(self._tasks):
                task.cancel()

    async def _answer(self, raw: bytes) -> None:
        path = self._socket.scope["path"]
        ref = None
        begin_log_ids(dict(self._socket.scope["state"]))  # other messages are about other jobs
        with suppress(WebSocketDisconnect):  # `run` ends by that
            try:
                message = await self._read(raw)
                del raw  # it may be long, and the job may take hours
                ref = message.ref
                job_id = await self._begin(message)
                del message
                await self._follow(ref, job_id)
            except InferqError as error:
                await self._send("error", ref, "problem", to_json(problems.make_document(path, error)))
            except WebSocketDisconnect:
                raise
            except Exception as error:  # noqa: BLE001 - logged, and told as that of any endpoint
                unexpected = problems.log_unexpected(path, "WebSocket", error)
                await self._send("error", ref, "problem", to_json(unexpected))

    async def _read(self, raw: bytes) -> SocketMessage:
        services = get_services(self._socket)
        limit = services.settings.max_body_bytes
        if len(raw) > limit:
            raise BodyTooLargeError(
                f"The message is longer than {limit} bytes (INFERQ_MAX_BODY_BYTES). Split it into several."
            )
        with services.body_budget.open_share() as share:
            share.take(len(raw))
            return await run_check(self._socket, check_message, raw)

    async def _begin(self, message: SocketMessage) -> str:
        if message.error is not None:
            raise message.error
        if len(self._tasks) > MOST_JOBS:
            raise QueueFullError(
                f"This connection follows {MOST_JOBS} jobs that have not ended, and takes no more. "
                "Wait for some of them, or open another connection."
            )
        if message.submission is None:
            return message.watched or ""
        producer = get_services(self._socket).producer
        submission = message.submission
        with (
            producer.share_time_limit(len(submission.data)),
            trace_submission(self._socket, (submission,)),
        ):
            job_id = await producer.submit(submission)
        await self._send("accepted", message.ref, "job_id", to_json(job_id))
        return job_id

    async def _follow(self, ref: str | None, job_id: str) -> None:
        with JobSubscription.open(self._socket, job_id, counts_position=True) as subscription:
            before = await subscription.read()
            await self._send_state(ref, before)
            async for job in subscription.follow():
                if job is not None:
                    await self._send_state(ref, job, before)
                    before = job

    async def _send_state(self, ref: str | None, job: Job, before: Job | None = None) -> None:
        await self._send(
            name_event(job, before),
            ref,
            "job",
            await read_whole_view(get_services(self._socket).producer, job),
        )

    async def _send(self, event: str, ref: str | None, name: str, value: bytes) -> None:
        head = to_json({"event": event, "ref": ref})
        await self._socket.send_text(f'{head[:-1].decode()},"{name}":{value.decode("utf-8", "replace")}}}')
