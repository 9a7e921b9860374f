"""Jobs as clients see them. Large results are sent while they are read."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from fastapi import Response
from pydantic_core import to_json

from inferq.errors import JobNotFoundError, StoreUnavailableError
from inferq.job_json import make_result_path, write_job_frame, write_job_json
from inferq.jobs import Job
from inferq.proxy.http.responses import JsonResponse, StreamedResponse
from inferq.proxy.services.results.large_job_view import LargeJobView
from inferq.queue import AnyProducer
from inferq.tensors.envelope import is_envelope

_LINES_TO_SPACES = bytes.maketrans(b"\r\n", b"  ")


async def make_job_response(producer: AnyProducer, job: Job) -> Response:
    """Makes the response that shows a job.

    Raises:
        JobNotFoundError: It has a large result, which has expired since the job was read.
        RedisUnavailableError: Redis does not answer in time.
    """
    if job.large_result is None:
        return JsonResponse(write_job_json(job))
    view = await LargeJobView.open(producer.large_results, job)
    return StreamedResponse(view.read(), view.length)


async def read_view_parts(producer: AnyProducer, job: Job) -> AsyncIterator[bytes]:
    """Yields the JSON of a job in parts. The first part comes only once the result is known to be there.

    Raises:
        JobNotFoundError: It has a large result, which has expired since the job was read.
        RedisUnavailableError: Redis does not answer in time.
    """
    if job.large_result is None:
        yield write_job_json(job)
        return
    view = await LargeJobView.open(producer.large_results, job)
    async for part in view.read():
        yield part


async def read_view_lines(producer: AnyProducer, job: Job) -> AsyncIterator[bytes]:
    """Yields the same in one line, for a stream of lines: in JSON a line break means no more than a space."""
    async for part in read_view_parts(producer, job):
        yield part.translate(_LINES_TO_SPACES)


async def read_whole_view(producer: AnyProducer, job: Job) -> bytes:
    """Returns the same at once, for a message that cannot be sent in parts."""
    if job.large_result is None:
        return write_job_json(job)
    return b"".join([part async for part in read_view_parts(producer, job)])


def make_list_response(
    producer: AnyProducer, jobs: Sequence[Job | None], head: bytes, tail: bytes
) -> Response:
    """Makes the response that shows a list of jobs.

    Args:
        producer: The queue.
        jobs: The jobs. None, and a job that has expired since it was read, are shown as null. In the place of
            a result that lies in a blob store out of reach stands where to ask for it.
        head: The JSON before the first job.
        tail: The JSON after the last job.
    """
    if any(job is not None and (job.large_result or is_envelope(job.result or b"")) for job in jobs):
        return StreamedResponse(_read_list_parts(producer, jobs, head, tail), None)
    views = (b"null" if job is None else write_job_json(job) for job in jobs)
    return JsonResponse(b"".join((head, b",".join(views), tail)))


async def _read_list_parts(
    producer: AnyProducer, jobs: Sequence[Job | None], head: bytes, tail: bytes
) -> AsyncIterator[bytes]:
    yield head
    for number, job in enumerate(jobs):
        if number:
            yield b","
        if job is None:
            yield b"null"
            continue
        parts = read_view_parts(producer, job)
        try:
            first = await anext(parts)
        except JobNotFoundError:
            first = b"null"
        except StoreUnavailableError:  # all others can be shown
            head_of_job, tail_of_job = write_job_frame(job)
            first = head_of_job + to_json({"href": make_result_path(job.id)}) + tail_of_job
        yield first
        async for part in parts:
            yield part
        await asyncio.sleep(0)  # tensors as JSON take some milliseconds
    yield tail
