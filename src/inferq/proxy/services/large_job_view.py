"""A job whose result is too large to be held at once."""

import asyncio
import codecs
from collections.abc import AsyncIterator

from pydantic_core import to_json

from inferq.job_json import is_json, write_job_frame
from inferq.jobs import Job, LargeResult
from inferq.queue import PART_BYTES, LargeResults

MOST_PARSED_BYTES = 16 * 1024 * 1024
"""Of a longer result of an outside worker only both ends are checked: parsed, it would fill the memory."""

_JSON_BEGINS, _JSON_ENDS = b'{["-0123456789tfn', b'}]"0123456789el'
_SPACE = b" \t\r\n"


class LargeJobView:
    """The JSON of a job with a large result. A result that is not JSON is shown as a string.

    Args:
        results: Reads large results.
        job: The job.
        first: The first part of its result.
    """

    def __init__(self, results: LargeResults, job: Job, first: bytes) -> None:
        self._results, self._job, self._first = results, job, first
        self._head, self._tail = write_job_frame(job)
        self._is_json = True
        self.length = 0

    @classmethod
    async def open(cls, results: LargeResults, job: Job, large: LargeResult) -> "LargeJobView":
        """Reads as much of the result as tells whether it is JSON.

        Raises:
            JobNotFoundError: It has expired since the job was read.
            RedisUnavailableError: Redis does not answer in time.
        """
        view = cls(results, job, await results.read_part(job, 0))
        view._is_json = job.is_json_known or await view._looks_like_json(large.length)
        length = large.length if view._is_json else sum([len(part) async for part in view._read_as_string()])
        view.length = len(view._head) + length + len(view._tail)
        return view

    async def _looks_like_json(self, length: int) -> bool:
        if length <= MOST_PARSED_BYTES:
            stored = b"".join([part async for part in self._read_stored()])
            return await asyncio.to_thread(is_json, stored)
        last = await self._results.read_part(self._job, length - PART_BYTES)
        begin, end = self._first.lstrip(_SPACE)[:1], last.rstrip(_SPACE)[-1:]
        return bool(begin and end) and begin in _JSON_BEGINS and end in _JSON_ENDS

    async def read(self) -> AsyncIterator[bytes]:
        """Yields the JSON of the job."""
        yield self._head
        async for part in self._read_stored() if self._is_json else self._read_as_string():
            yield part
        yield self._tail

    async def _read_stored(self) -> AsyncIterator[bytes]:
        yield self._first
        async for part in self._results.read_parts(self._job, PART_BYTES):
            yield part

    async def _read_as_string(self) -> AsyncIterator[bytes]:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        yield b'"'
        async for part in self._read_stored():
            yield to_json(decoder.decode(part))[1:-1]
        yield to_json(decoder.decode(b"", final=True))[1:-1] + b'"'
