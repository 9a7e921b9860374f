"""Jobs as clients see them, large results handed on while they are read."""

import asyncio
import codecs
from collections.abc import AsyncIterator, Sequence

import structlog
from fastapi import Response
from pydantic_core import to_json
from starlette.types import Receive, Scope, Send

from inferq.errors import JobNotFoundError, RedisUnavailableError
from inferq.job_json import is_json, job_frame, job_json
from inferq.jobs import Job, LargeResult
from inferq.proxy.http.openapi import JSON, JsonResponse
from inferq.queue.inspection.large_results import PART_BYTES, LargeResults
from inferq.queue.producer.producer import Producer

MOST_PARSED_BYTES = 16 * 1024 * 1024
"""A longer result of an outside worker is taken for JSON by its two ends: parsed, it would fill memory."""

_JSON_BEGINS, _JSON_ENDS = b'{["-0123456789tfn', b'}]"0123456789el'
_SPACE = b" \t\r\n"
_LINES_TO_SPACES = bytes.maketrans(b"\r\n", b"  ")

log = structlog.get_logger()


class PartedResponse(Response):
    """JSON that is sent while it is made. If it cannot be made to its end, the connection is closed before.

    Args:
        parts: The JSON.
        length: Its length, bytes; None if that is not known.
    """

    media_type = JSON

    def __init__(self, parts: AsyncIterator[bytes], length: int | None) -> None:
        self.parts = parts
        self.status_code = 200
        self.background = None
        self.body = b""
        self.raw_headers = [(b"content-type", b"application/json")]
        if length is not None:
            self.raw_headers.insert(0, (b"content-length", b"%d" % length))

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it, until the client goes away."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        leaving = asyncio.create_task(_disconnected(receive))
        try:
            async for part in whole_or_cut(self.parts):
                if part is None or leaving.done():
                    return  # without an end: the server closes the connection
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            leaving.cancel()


async def whole_or_cut(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes | None]:
    """The parts; None at the end where they cannot be had to their end, which is logged."""
    try:
        async for part in parts:
            yield part
    except (RedisUnavailableError, JobNotFoundError) as error:
        log.warning("answer_cut_short", reason=error.message)
        yield None


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def job_response(producer: Producer, job: Job) -> Response:
    """Answers with a job.

    Raises:
        JobNotFoundError: It has a large result, which has gone since the job was read.
        RedisUnavailableError: Redis does not answer in time.
    """
    if job.large_result is None:
        return JsonResponse(job_json(job))
    shown = await _Shown.of(producer.results, job, job.large_result)
    return PartedResponse(shown.view(), shown.length)


async def view_parts(producer: Producer, job: Job) -> AsyncIterator[bytes]:
    """The JSON of a job, part by part; nothing is yielded before it is known that there is something.

    Raises:
        JobNotFoundError: It has a large result, which has gone since the job was read.
        RedisUnavailableError: Redis does not answer in time.
    """
    if job.large_result is None:
        yield job_json(job)
        return
    shown = await _Shown.of(producer.results, job, job.large_result)
    async for part in shown.view():
        yield part


async def view_lines(producer: Producer, job: Job) -> AsyncIterator[bytes]:
    """The same in one line, for a stream of lines: in JSON a line's end means no more than a space."""
    async for part in view_parts(producer, job):
        yield part.translate(_LINES_TO_SPACES)


async def whole_view(producer: Producer, job: Job) -> bytes:
    """The same at once, for a message that cannot be sent in parts."""
    if job.large_result is None:
        return job_json(job)
    return b"".join([part async for part in view_parts(producer, job)])


def list_response(producer: Producer, jobs: Sequence[Job | None], head: bytes, tail: bytes) -> Response:
    """Answers with jobs.

    Args:
        producer: The queue.
        jobs: The jobs; null is shown for None, and for one that has gone since it was read.
        head: What the JSON begins with.
        tail: What it ends with.
    """
    if any(job is not None and job.large_result for job in jobs):
        return PartedResponse(_list_parts(producer, jobs, head, tail), None)
    views = (b"null" if job is None else job_json(job) for job in jobs)
    return JsonResponse(b"".join((head, b",".join(views), tail)))


async def _list_parts(
    producer: Producer, jobs: Sequence[Job | None], head: bytes, tail: bytes
) -> AsyncIterator[bytes]:
    yield head
    async for part in _join_views(producer, jobs):
        yield part
    yield tail


async def _join_views(producer: Producer, jobs: Sequence[Job | None]) -> AsyncIterator[bytes]:
    for number, job in enumerate(jobs):
        if number:
            yield b","
        if job is None:
            yield b"null"
            continue
        parts = view_parts(producer, job)
        try:
            first = await anext(parts)
        except JobNotFoundError:
            first = b"null"
        yield first
        async for part in parts:
            yield part


class _Shown:
    """A job with a large result, as it is shown. What is not JSON is shown as a string, as with any other."""

    def __init__(self, results: LargeResults, job: Job, first: bytes) -> None:
        self._results, self._job, self._first = results, job, first
        self._head, self._tail = job_frame(job)
        self._is_json = True
        self.length = 0

    @classmethod
    async def of(cls, results: LargeResults, job: Job, large: LargeResult) -> "_Shown":
        """Looks at the result as far as need be.

        Raises:
            JobNotFoundError: It has gone since the job was read.
            RedisUnavailableError: Redis does not answer in time.
        """
        shown = cls(results, job, await results.part(job, 0))
        shown._is_json = large.is_json or await shown._looks_like_json(large.length)
        length = large.length if shown._is_json else sum([len(part) async for part in shown._as_string()])
        shown.length = len(shown._head) + length + len(shown._tail)
        return shown

    async def _looks_like_json(self, length: int) -> bool:
        if length <= MOST_PARSED_BYTES:
            stored = b"".join([part async for part in self._stored()])
            return await asyncio.to_thread(is_json, stored)
        last = await self._results.part(self._job, length - PART_BYTES)
        begin, end = self._first.lstrip(_SPACE)[:1], last.rstrip(_SPACE)[-1:]
        return bool(begin and end) and begin in _JSON_BEGINS and end in _JSON_ENDS

    async def view(self) -> AsyncIterator[bytes]:
        """The JSON of the job."""
        yield self._head
        async for part in self._stored() if self._is_json else self._as_string():
            yield part
        yield self._tail

    async def _stored(self) -> AsyncIterator[bytes]:
        yield self._first
        async for part in self._results.parts(self._job, PART_BYTES):
            yield part

    async def _as_string(self) -> AsyncIterator[bytes]:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        yield b'"'
        async for part in self._stored():
            yield to_json(decoder.decode(part))[1:-1]
        yield to_json(decoder.decode(b"", final=True))[1:-1] + b'"'
