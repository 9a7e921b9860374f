"""Inference requests: a job like any other, and a client that waits for its end."""

from contextlib import suppress
from functools import partial

from fastapi import Request

from inferq.errors import JobNotFoundError, JobStateError, NotEndedError, RedisUnavailableError
from inferq.jobs import Job
from inferq.proxy.http.bodies.body_budget import BodyShare
from inferq.proxy.http.bodies.body_reader import drop_byte_order_mark, read_body
from inferq.proxy.http.inference_protocol import read_head_length
from inferq.proxy.services.dependencies import get_owner, get_services
from inferq.proxy.services.inference.inference_checks import (
    CheckedInference,
    check_inference,
    make_raw_begin,
    read_model_path,
)
from inferq.proxy.services.inference.inference_models import check_served
from inferq.proxy.services.jobs.job_subscription import JobSubscription
from inferq.proxy.services.requests.body_begin import BEGIN_BYTES
from inferq.proxy.services.requests.body_stream import BodyStream, find_streamed_length
from inferq.proxy.services.requests.job_submission import read_models, run_check
from inferq.proxy.services.requests.parsing_work import measure_work
from inferq.tensors.envelope import write_begin
from inferq.tensors.file_types import FIRST_BYTES


async def receive_inference(
    request: Request, share: BodyShare, path: str, *, is_async: bool
) -> CheckedInference:
    """Receives the body of an inference request, and checks it; of a long one, has the data stored.

    What is stored of it is the body itself, behind what makes an envelope of it.

    Args:
        request: The request.
        share: Counts the body if it is long.
        path: What its path has of the model.
        is_async: Whether the client does not wait, so that no worker need be there.

    Raises:
        InferqError: It is refused, or cannot be checked now.
        ClientDisconnect: The client has disconnected.
    """
    head_bytes = read_head_length(request.scope["headers"])
    begin = write_begin(head_bytes) if head_bytes else b""
    length = None if head_bytes is None else find_streamed_length(request)
    if length is None or head_bytes is None or head_bytes > BEGIN_BYTES:
        raw = await read_body(request, share, get_services(request).settings, begin)
    else:
        stream = BodyStream(request, share, length, begin)
        streamed = await _store_inference(request, stream, path, head_bytes, length, is_async=is_async)
        if streamed is not None:
            return streamed
        raw = await stream.receive_whole()
    if head_bytes is None:
        raw = drop_byte_order_mark(raw)
    check = partial(check_inference, path=path, head_bytes=head_bytes, is_wrapped=bool(begin))
    work = None if head_bytes is None else measure_work(raw) if begin else 0
    checked = await run_check(request, check, raw, parsed_bytes=work)
    if not is_async:
        check_served(await read_models(request), checked.submission.model)
    return checked


async def _store_inference(
    request: Request, stream: BodyStream, path: str, head_bytes: int, length: int, *, is_async: bool
) -> CheckedInference | None:
    """Has a long body stored while it comes; returns None where it has to be received whole."""
    begin, models = await stream.receive_begin(), await read_models(request)
    if head_bytes:
        prefix = write_begin(head_bytes)
    else:
        _, model = models.locate(read_model_path(path))
        if model is None:
            return None
        prefix = make_raw_begin(begin[:FIRST_BYTES], length, model.document)
    payload = stream.preview(begin, prefix)
    if payload is None:
        return None
    rules, owner = get_services(request).request_rules, get_owner(request) or ""
    checked = check_inference(
        payload, rules, models, owner, path=path, head_bytes=head_bytes, is_wrapped=True
    )
    if not is_async:
        check_served(models, checked.submission.model)
    streamed = await stream.store(checked.submission, prefix)
    return None if streamed is None else checked._replace(idempotency=streamed.idempotency)


async def wait_for_outputs(
    request: Request, subscription: JobSubscription, job_id: str, seconds: float, *, is_async: bool
) -> Job:
    """Waits until a job has ended. If the client goes away meanwhile, the job is cancelled.

    It is not where the client will ask for it again: with an `Idempotency-Key`, or since it wants a ticket.

    Args:
        request: The request that has submitted it.
        subscription: To that job.
        job_id: Its id.
        seconds: Longest wait.
        is_async: Whether the client takes a ticket, too.

    Raises:
        NotEndedError: The time is up, this process is about to stop, or the client has gone.
        JobNotFoundError: The job was deleted meanwhile.
        RedisUnavailableError: Redis does not answer in time.
    """
    job = None
    if seconds:
        with subscription.watch_client(request.receive):
            job = await subscription.wait_for_end(seconds)
    if subscription.has_left and not is_async and not _has_idempotency_key(request):
        with suppress(JobNotFoundError, JobStateError, RedisUnavailableError):  # it has ended, or goes on
            await get_services(request).producer.cancel(job_id)
        raise NotEndedError("The client has gone, and its job was cancelled.", job_id)
    if job is None and (seconds or not is_async):
        job = await subscription.read()
    if job is None or not job.status.is_final:
        raise NotEndedError(
            f"Job {job_id} has not ended within {seconds:g} s, the longest that this request waits (at most "
            f"INFERQ_MAX_WAIT_SECONDS). It goes on: GET /job/{job_id} tells how it is.",
            job_id,
        )
    return job


def _has_idempotency_key(request: Request) -> bool:
    return any(name == b"idempotency-key" for name, _ in request.scope["headers"])
