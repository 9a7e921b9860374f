"""Long bodies that go into the blob store while they come, so that no proxy holds a whole one."""

from typing import NamedTuple

from fastapi import Request

from inferq.proxy.http.bodies.body_budget import BodyShare
from inferq.proxy.http.bodies.body_reader import WHOLE_BODY, read_length
from inferq.proxy.http.bodies.incoming_body import IncomingBody
from inferq.proxy.services.dependencies import get_services
from inferq.proxy.services.requests.body_begin import BEGIN_BYTES, extend_begin, tells_validity
from inferq.proxy.services.requests.job_submission import (
    Fingerprint,
    make_idempotency,
    read_idempotency_key,
    submit_job,
)
from inferq.queue import Idempotency, Submission

LEAST_STREAMED_BYTES = 4 * 1024 * 1024
"""A shorter body is received and written faster as a whole, and takes no more memory than an upload does."""


class StreamedJob(NamedTuple):
    """A job whose data is in the blob store.

    Attributes:
        submission: The job.
        idempotency: By what the repeated request is recognised; None where it has no Idempotency-Key.
    """

    submission: Submission
    idempotency: Idempotency | None

    async def submit(self, request: Request) -> str:
        """Submits it. Returns the job's id.

        Raises:
            InferqError: It is refused. Its data is removed.
        """
        with get_services(request).producer.share_time_limit():
            return await submit_job(request, self.submission, self.idempotency)


def find_streamed_length(request: Request) -> int | None:
    """Returns how long a body is that may be worth streaming; None for all others.

    Raises:
        BodyTooLargeError: It is longer than `max_body_bytes`.
    """
    services = get_services(request)
    if WHOLE_BODY in request.scope or not services.producer.has_blob_store:
        return None
    length = read_length(request, services.settings)
    return length if length is not None and length >= LEAST_STREAMED_BYTES else None


class BodyStream:
    """The long body of one request.

    Args:
        request: The request.
        share: Counts what is held of the body.
        length: How long it is, bytes.
        prefix: What it is put behind where it is received whole.
    """

    def __init__(self, request: Request, share: BodyShare, length: int, prefix: bytes = b"") -> None:
        self._request, self._share, self._length = request, share, length
        self._body = IncomingBody(request, share, get_services(request).settings, length, prefix)
        self.receive_whole = self._body.receive

    async def receive_begin(self) -> bytes:
        """Receives the first bytes of the body, `BEGIN_BYTES` or more.

        Raises:
            InferqError: See `IncomingBody.receive`.
            ClientDisconnect: The client has disconnected.
        """
        return await self._body.receive_begin(BEGIN_BYTES)

    def preview(self, begin: bytes, prefix: bytes = b"") -> memoryview | None:
        """Returns what can be checked in the place of the payload.

        Args:
            begin: What `receive_begin` returned.
            prefix: What goes into the store before the body.

        Returns:
            What has the payload's begin and its length, no more; None where that does not tell whether it is
            valid: then it has to be received whole.
        """
        payload = extend_begin(prefix + begin, len(prefix) + self._length)
        return payload if tells_validity(payload, len(prefix) + len(begin)) else None

    async def store(self, submission: Submission, prefix: bytes = b"") -> StreamedJob | None:
        """Writes the body to the blob store while it comes.

        Args:
            submission: The job, checked; its data is not looked at.
            prefix: What goes into the store before the body.

        Returns:
            The job with a reference for its data; None where it has to be received whole: the workers of its
            model have not the store, or that cannot be used.

        Raises:
            InferqError: It is refused, or cannot be stored. Nothing is left in the store.
            ClientDisconnect: The client has disconnected. Likewise.
        """
        submission.data = b""
        key = read_idempotency_key(self._request)
        fingerprint = None if key is None else Fingerprint(submission)
        producer, size = get_services(self._request).producer, len(prefix) + self._length
        upload = await producer.open_upload(submission, size, key, fingerprint.add if fingerprint else None)
        if upload is None:
            return None
        async with upload:
            self._share.take(upload.held_bytes)
            await upload.add(prefix)
            async for part in self._body.receive_parts():
                await upload.add(part)
            submission = await upload.finish()
        if key is None or fingerprint is None:
            return StreamedJob(submission, None)
        return StreamedJob(submission, make_idempotency(self._request, key, fingerprint.compute()))
