"""The end of a job as the Open Inference Protocol answers it: its outputs, or why there are none."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import Request, Response

from inferq.errors import InvalidInputError
from inferq.job_json import describe_origin
from inferq.jobs import Job, Status
from inferq.proxy.http import problems
from inferq.proxy.http.inference_answer import (
    InferenceAnswer,
    write_answer,
    write_binary_head,
)
from inferq.proxy.http.inference_protocol import BINARY, HEAD_LENGTH, InferenceOptions
from inferq.proxy.http.problem_types import JOB_FAILURES
from inferq.proxy.http.responses import JSON, PreparedResponse, StreamedResponse
from inferq.proxy.services.dependencies import get_services
from inferq.proxy.services.process_pool import LONGEST_ON_LOOP_BYTES
from inferq.proxy.services.results.stored_result import StoredResult
from inferq.tensors.result_tensors import ResultHead, read_result_head

JOB_ID = b"inferq-job-id"
"""The header that tells the job of an answer."""

_UNKNOWN_FAILURE = "model-error"


async def make_outputs_response(
    request: Request, job: Job, options: InferenceOptions, class_names: Sequence[str]
) -> Response:
    """Makes the answer of a job that has ended.

    Args:
        request: The request.
        job: The job.
        options: What the request asks for.
        class_names: Names of the model's classes, by index.

    Raises:
        InvalidInputError: An output cannot be answered in the way that is asked for.
        JobNotFoundError: The result has expired since the job was read.
        RedisUnavailableError: Redis does not answer in time.
        OverloadedError: The result is large, to be written in another form, and too much is under way.
    """
    if job.status is not Status.COMPLETED:
        return make_failure_response(
            request, job.id, job.error_kind or "", job.error or "The job has failed."
        )
    stored = StoredResult.open(get_services(request).producer.large_results, job)
    try:
        head = await stored.read_head()
    except InvalidInputError:
        head = None
    if head is None:
        return make_failure_response(
            request, job.id, "", f"The result of job {job.id} are no tensors. GET /job/{job.id} shows it."
        )
    members = _describe(job, options)
    binary_head = write_binary_head(head, options, members)
    if binary_head is None:
        return _respond(job.id, await _write_answer(request, stored, head, options, members, class_names))
    start = head.outputs[0].start
    if job.large_result is None:
        return _respond(job.id, InferenceAnswer(binary_head, [await stored.read(start)]))
    return StreamedResponse(
        _stream(binary_head, stored, start),
        len(binary_head) + stored.length - start,
        _make_headers(job.id, len(binary_head)),
    )


def make_failure_response(request: Request, job_id: str, kind: str, message: str) -> Response:
    """Makes the answer where there are no outputs.

    Args:
        request: The request.
        job_id: The job.
        kind: Why there are none, by `JOB_FAILURES`.
        message: The same for a person.
    """
    kind = kind if kind in JOB_FAILURES else _UNKNOWN_FAILURE
    failure, members = JOB_FAILURES[kind], {"job_id": job_id}
    response = problems.make_problem(
        request.scope, failure.status, kind, failure.title, message, members=members
    )
    response.raw_headers.append((JOB_ID, job_id.encode()))
    return response


async def _write_answer(
    request: Request,
    stored: StoredResult,
    head: ResultHead,
    options: InferenceOptions,
    members: dict[str, Any],
    class_names: Sequence[str],
) -> InferenceAnswer:
    """Writes an answer for which the result is held as a whole; a long one is written in another process."""
    if stored.length <= LONGEST_ON_LOOP_BYTES:
        return write_answer(await stored.read(), head, options, members, class_names)
    services = get_services(request)
    with services.body_budget.open_share() as share:
        share.take(stored.length)
        arguments = await stored.read(), options, members, class_names
        return await services.process_pool.call(write_in_process, *arguments)


def write_in_process(
    envelope: bytes, options: InferenceOptions, members: dict[str, Any], class_names: Sequence[str]
) -> InferenceAnswer:
    """Does the same in a process of the pool, whose answer can be pickled."""
    head, data = write_answer(envelope, read_result_head(envelope), options, members, class_names)
    return InferenceAnswer(head, None if data is None else [b"".join(data)])


def _describe(job: Job, options: InferenceOptions) -> dict[str, Any]:
    # an id that is null would be refused
    return describe_origin(job) | ({} if options.id is None else {"id": options.id})


def _respond(job_id: str, answer: InferenceAnswer) -> Response:
    if answer.data is None:
        return PreparedResponse(answer.head, ((b"content-type", JSON.encode()), (JOB_ID, job_id.encode())))
    body = b"".join((answer.head, *answer.data))
    return PreparedResponse(body, _make_headers(job_id, len(answer.head)))


def _make_headers(job_id: str, head_bytes: int) -> tuple[tuple[bytes, bytes], ...]:
    return (
        (b"content-type", BINARY.encode()),
        (HEAD_LENGTH, b"%d" % head_bytes),
        (JOB_ID, job_id.encode()),
    )


async def _stream(head: bytes, stored: StoredResult, start: int) -> AsyncIterator[bytes]:
    yield head
    async for part in stored.read_parts(start):
        yield part
