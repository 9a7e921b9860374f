"""One WebSocket over which a client submits and follows many jobs."""

import asyncio
from contextlib import suppress
from typing import Any

from fastapi import WebSocket, WebSocketDisconnect
from pydantic_core import from_json, to_json

from inferq.jobs import (
    BodyTooLargeError,
    InferqError,
    InvalidInputError,
    InvalidJsonError,
    Job,
    QueueFullError,
)
from inferq.proxy import problems
from inferq.proxy.body import count_strings, refuse_duplicates
from inferq.proxy.following import Following
from inferq.proxy.results import whole_view
from inferq.proxy.routes.jobs import submit
from inferq.proxy.state import producer_of, settings_of

MOST_JOBS = 1000
"""Most jobs that one connection follows at the same time."""
_MOST_ANSWERS = 32
"""Most answers besides that wait until a client reads them."""

_LONGEST_REF = 256
_EXAMPLE = 'An example: {"data": [[5.1, 3.5, 1.4, 0.2]], "ref": "a"}, or {"watch": "JOB_ID", "ref": "a"}'


def parse_message(raw: bytes) -> dict[str, Any]:
    """Reads a message, which must be a JSON object.

    Raises:
        InvalidJsonError: It is none.
    """
    try:
        # NaN and Infinity are let through here, so that validation can say where they stand
        message = from_json(raw, allow_inf_nan=True)
    except ValueError as error:
        raise InvalidJsonError(f"The message is not valid JSON: {error}. {_EXAMPLE}") from error
    if not isinstance(message, dict):
        raise InvalidJsonError(f"The message must be a JSON object. {_EXAMPLE}")
    return message


def ref_of(message: dict[str, Any]) -> str | None:
    """What a client calls its message; None if nothing.

    Raises:
        InvalidInputError: It is no string, or a long one.
    """
    ref = message.get("ref")
    if ref is not None and (not isinstance(ref, str) or len(ref) > _LONGEST_REF):
        raise InvalidInputError(f"ref must be a string of at most {_LONGEST_REF} characters. {_EXAMPLE}")
    return ref


def watched_by(message: dict[str, Any]) -> str | None:
    """The id of the job that a message asks to follow; None where it asks to submit one.

    Raises:
        InvalidInputError: It is no id, or does not stand alone.
    """
    if "watch" not in message:
        return None
    watch = message["watch"]
    if not isinstance(watch, str) or message.keys() - {"watch", "ref"}:
        raise InvalidInputError(f"watch must be the id of a job, alone or with a ref. {_EXAMPLE}")
    return watch


def predict_body_of(message: dict[str, Any], raw: bytes) -> bytes:
    """The body of `POST /predict` that a message is besides its `ref`, of the same as it came."""
    if "ref" not in message:
        return raw
    rest = {name: value for name, value in message.items() if name != "ref"}
    return to_json(rest, inf_nan_mode="constants")


class Session:
    """The jobs of one connection. When it ends they run on, but nobody is told.

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
                # whoever sends and does not read is not read from any more, until answers have got through
                while len(self._tasks) > MOST_JOBS + _MOST_ANSWERS:
                    await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in list(self._tasks):
                task.cancel()

    async def _answer(self, raw: bytes) -> None:
        path = self._socket.scope["path"]
        ref = None
        with suppress(WebSocketDisconnect):  # `run` ends by that
            try:
                self._check_room(raw)
                message = parse_message(raw)
                ref = ref_of(message)
                if message.keys() & {"ref", "watch"}:  # any other is looked at as the body that it is
                    refuse_duplicates(raw, count_strings(message))
                job_id = await self._begin(ref, message, raw)
                del message, raw  # they may be long, and the job may take hours
                await self._follow(ref, job_id)
            except InferqError as error:
                await self._send("error", ref, "problem", to_json(problems.document(path, error)))
            except WebSocketDisconnect:
                raise
            except Exception as error:  # noqa: BLE001 - logged, and told as that of any endpoint
                unforeseen = problems.unforeseen(path, "WebSocket", error)
                await self._send("error", ref, "problem", to_json(unforeseen))

    def _check_room(self, raw: bytes) -> None:
        limit = settings_of(self._socket).max_body_bytes
        if len(raw) > limit:
            raise BodyTooLargeError(
                f"The message is longer than {limit} bytes (INFERQ_MAX_BODY_BYTES). Split it into several."
            )

    async def _begin(self, ref: str | None, message: dict[str, Any], raw: bytes) -> str:
        if len(self._tasks) > MOST_JOBS:
            raise QueueFullError(
                f"This connection follows {MOST_JOBS} jobs that have not ended, and takes no more. "
                "Wait for some of them, or open another connection."
            )
        job_id = watched_by(message)
        if job_id is None:
            job_id = await submit(self._socket, predict_body_of(message, raw))
            await self._send("accepted", ref, "job_id", to_json(job_id))
        return job_id

    async def _follow(self, ref: str | None, job_id: str) -> None:
        with Following.of(self._socket, job_id, counts_position=True) as following:
            await self._send_state(ref, await following.state())
            async for job in following.changes():
                if job is not None:
                    await self._send_state(ref, job)

    async def _send_state(self, ref: str | None, job: Job) -> None:
        await self._send(
            "end" if job.status.is_final else "status",
            ref,
            "job",
            await whole_view(producer_of(self._socket), job),
        )

    async def _send(self, event: str, ref: str | None, name: str, value: bytes) -> None:
        head = to_json({"event": event, "ref": ref})
        await self._socket.send_text(f'{head[:-1].decode()},"{name}":{value.decode()}}}')
