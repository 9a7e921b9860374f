"""A job whose result is too large to be held at once."""

import asyncio
import codecs
from collections.abc import AsyncIterator

from pydantic_core import to_json

from inferq.errors import InvalidInputError
from inferq.job_json import is_json, make_result_path, write_job_frame
from inferq.jobs import Job
from inferq.proxy.services.results.stored_result import StoredResult
from inferq.queue import PART_BYTES, AnyResults
from inferq.tensors.result_tensors import write_summary

MOST_PARSED_BYTES = 16 * 1024 * 1024
"""Of a longer result of an outside worker only both ends are checked: parsed, it would fill the memory."""

_JSON_BEGINS, _JSON_ENDS = b'{["-0123456789tfn', b'}]"0123456789el'
_SPACE = b" \t\r\n"


class LargeJobView:
    """The JSON of a job with a large result: of tensors a summary, and a string of what is not JSON.

    Args:
        stored: The result.
        job: The job.
    """

    def __init__(self, stored: StoredResult, job: Job) -> None:
        self._stored = stored
        self._head, self._tail = write_job_frame(job)
        self._summary = b""
        self._is_json = True
        self.length = 0

    @classmethod
    async def open(cls, results: AnyResults, job: Job) -> "LargeJobView":
        """Reads as much of the result as tells what it is.

        Raises:
            JobNotFoundError: It has expired since the job was read.
            RedisUnavailableError: Redis does not answer in time.
        """
        view = cls(StoredResult.open(results, job), job)
        await view._measure(job)
        return view

    async def _measure(self, job: Job) -> None:
        frame = len(self._head) + len(self._tail)
        try:
            head = await self._stored.read_head()
        except InvalidInputError:  # it begins like an envelope, and is none
            self._is_json = False
        else:
            if head is not None:
                self._summary = write_summary(head, make_result_path(job.id))
                self.length = frame + len(self._summary)
                return
            self._is_json = job.is_form_known or await looks_like_json(self._stored)
        length = self._stored.length
        if not self._is_json:
            length = sum([len(part) async for part in self._read_as_string()])
        self.length = frame + length

    async def read(self) -> AsyncIterator[bytes]:
        """Yields the JSON of the job."""
        yield self._head
        if self._summary:
            yield self._summary
        else:
            async for part in self._stored.read_parts() if self._is_json else self._read_as_string():
                yield part
        yield self._tail

    async def _read_as_string(self) -> AsyncIterator[bytes]:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        yield b'"'
        async for part in self._stored.read_parts():
            yield to_json(decoder.decode(part))[1:-1]
        yield to_json(decoder.decode(b"", final=True))[1:-1] + b'"'


async def looks_like_json(stored: StoredResult) -> bool:
    """Whether a result that any program may have stored is JSON; of a long one only its ends are looked at.

    Raises:
        JobNotFoundError: It has expired since the job was read.
        RedisUnavailableError: Redis does not answer in time.
    """
    if stored.length <= MOST_PARSED_BYTES:
        return await asyncio.to_thread(is_json, await stored.read())
    first, last = await stored.read_first(), await stored.read(stored.length - PART_BYTES)
    begin, end = first.lstrip(_SPACE)[:1], last.rstrip(_SPACE)[-1:]
    return bool(begin and end) and begin in _JSON_BEGINS and end in _JSON_ENDS
