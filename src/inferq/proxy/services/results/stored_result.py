"""The result of a job as it is stored, read where it is asked for: no process holds a whole large one."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

from inferq.jobs import Job
from inferq.queue import AnyResults
from inferq.tensors.envelope import is_envelope
from inferq.tensors.result_tensors import ResultHead, check_length, measure_head, read_result_head

_LONGEST_ON_LOOP_BYTES = 65536
"""A longer head is parsed in a thread."""


class StoredResult:
    """The result of a completed job.

    Args:
        length: How long it is, bytes.
        read_part: Reads a part of it, from a byte on.
    """

    def __init__(self, length: int, read_part: Callable[[int], Awaitable[bytes]]) -> None:
        self._read_part = read_part
        self._first = b""
        self.length = length

    @classmethod
    def open(cls, results: AnyResults, job: Job) -> "StoredResult":
        """Returns the result of a job that has one.

        Args:
            results: Reads large results.
            job: The job.
        """
        if job.result is not None:
            return cls.hold(job.result)
        return cls(job.result_bytes, partial(results.read_part, job))

    @classmethod
    def hold(cls, whole: bytes) -> "StoredResult":
        """Returns a result that is in memory."""

        async def read_part(start: int) -> bytes:
            return whole[start:]

        return cls(len(whole), read_part)

    async def read_first(self) -> bytes:
        """Returns the first part; all of a short result.

        Raises:
            JobNotFoundError: The result has gone since the job was read.
            RedisUnavailableError: Redis does not answer in time.
        """
        if not self._first and self.length:
            self._first = await self._read_part(0)
        return self._first

    async def read_parts(self, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Yields the bytes from one to another, part by part; see `read_first`.

        While one is sent the next is read, no more. What is beyond the end is left out: the head of a result
        from outside may promise any length.
        """
        stop = self.length if end is None else min(end, self.length)
        first = await self.read_first()
        if start < min(stop, len(first)):
            yield first[start:stop]
            start = len(first)
        parts: list[bytes] = []  # a task that returned its part would keep that as long as itself is kept
        reading: asyncio.Task[None] | None = None
        try:
            while start < stop:
                await (reading or self._read_into(parts, start))
                part = parts.pop()[: stop - start]
                start += len(part)
                reading = asyncio.create_task(self._read_into(parts, start)) if start < stop else None
                yield part
        finally:
            if reading is not None:
                reading.cancel()  # and what it has raised is no one's concern

    async def _read_into(self, parts: list[bytes], start: int) -> None:
        parts.append(await self._read_part(start))

    async def read(self, start: int = 0, end: int | None = None) -> bytes:
        """Returns the bytes from one to another at once; see `read_first`."""
        return b"".join([part async for part in self.read_parts(start, end)])

    async def read_head(self) -> ResultHead | None:
        """Returns what the head of an envelope says; None where the result is none. See `read_first`.

        Raises:
            InvalidInputError: It is damaged.
        """
        first = await self.read_first()
        if not is_envelope(first):
            return None
        length = measure_head(first)
        if length > _LONGEST_ON_LOOP_BYTES:
            head = await asyncio.to_thread(read_result_head, await self.read(0, length))
        else:
            head = read_result_head(first)
        check_length(head, self.length)
        return head
