"""Requests that wait for the end of a job, and the answer to one that has submitted a job."""

from contextlib import suppress
from urllib.parse import quote

from fastapi import Request, Response
from pydantic_core import to_json

from inferq.errors import JobNotFoundError, RedisUnavailableError, StoreUnavailableError
from inferq.jobs import Job
from inferq.proxy.http.prefer import parse_preferred_wait
from inferq.proxy.http.responses import JsonResponse
from inferq.proxy.services.dependencies import get_services
from inferq.proxy.services.jobs.job_responses import make_job_response
from inferq.proxy.services.jobs.job_subscription import JobSubscription


async def wait_for_end(request: Request, job_id: str, seconds: float) -> Job:
    """Returns a job when it has ended, or as it is when the time is up or this process is about to stop.

    Args:
        request: The request that waits.
        job_id: Id of the job.
        seconds: Longest wait.

    Raises:
        JobNotFoundError: There is no such job.
        RedisUnavailableError: Redis does not answer in time.
    """
    with JobSubscription.open(request, job_id) as subscription:
        job = await subscription.read()
        if job.status.is_final:
            return job
        with subscription.watch_client(request.receive):
            ended = await subscription.wait_for_end(seconds)
        if subscription.has_left:  # or the client has only closed its sending side: then it gets this answer
            return job
        return ended or await subscription.read()


async def answer_accepted(request: Request, job_id: str) -> Response:
    """Makes the answer to a request that has put a job into the queue.

    Args:
        request: The request. If it prefers to wait and the job ends in time, it gets the job.
        job_id: Id of the job.
    """
    services = get_services(request)
    seconds = parse_preferred_wait(request.scope["headers"], services.settings.max_wait_seconds)
    if seconds is None:
        return make_accepted(request, job_id)
    response: Response | None = None
    with suppress(
        RedisUnavailableError, StoreUnavailableError, JobNotFoundError
    ):  # the job was accepted all the same
        job = await wait_for_end(request, job_id, seconds) if seconds else None
        if job is not None and job.status.is_final:
            response = await make_job_response(services.producer, job)
    response = response or make_accepted(request, job_id)
    response.raw_headers.append((b"preference-applied", b"wait=%b" % f"{seconds:.9g}".encode()))
    return response


def make_accepted(request: Request, job_id: str) -> JsonResponse:
    """Makes the ticket of a job that was put into the queue."""
    root = request.scope.get("root_path", "")
    if root:
        root = quote(root)
    if job_id.isalnum() and job_id.isascii():  # as all ids that this service makes
        return JsonResponse(b'{"job_id":"%b"}' % job_id.encode(), 202, location=f"{root}/job/{job_id}")
    return JsonResponse(to_json({"job_id": job_id}), 202, location=f"{root}/job/{quote(job_id)}")
