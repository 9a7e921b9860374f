"""Where a result lies that was written to a bucket."""

import asyncio

import structlog
from pydantic_core import from_json

from inferq.blobs import open_user_objects
from inferq.egress.bucket_policy import BucketPolicy
from inferq.errors import InferqError
from inferq.jobs import Job

SIGNED_SECONDS = 300.0
"""How long the URL of a result may be used."""

log = structlog.get_logger()


async def sign_output_url(job: Job, policy: BucketPolicy) -> str | None:
    """Makes a URL with which a client may read the result of a job from the bucket.

    Args:
        job: The job, completed, with an output.
        policy: Which buckets workers write to.

    Returns:
        The URL, signed; None where this process has no credentials for the bucket, or the job's result does
        not say where it is.
    """
    try:
        url = from_json(job.result or b"null")["url"]
        if not url.startswith(job.output):
            return None
    except (ValueError, TypeError, KeyError, AttributeError):  # another program has stored it
        return None
    try:
        policy.check(url)
        return await asyncio.to_thread(lambda: open_user_objects().sign(url, SIGNED_SECONDS))
    except InferqError as error:
        log.info("output_not_signed", reason=error.message)
        return None
