"""Receives the body of a request for a prediction, in whatever form it comes, and has it checked."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import Request

from inferq.proxy.http.bodies.body_budget import BodyShare
from inferq.proxy.http.bodies.body_reader import drop_byte_order_mark, read_body, read_length
from inferq.proxy.http.bodies.form_body import split_form
from inferq.proxy.http.content_type import FORM, RAW_TENSOR, ContentType, read_content_type
from inferq.proxy.http.predict_query import read_query
from inferq.proxy.services.dependencies import get_owner, get_services
from inferq.proxy.services.requests.body_stream import BodyStream, StreamedJob, find_streamed_length
from inferq.proxy.services.requests.job_submission import read_models, run_check, submit_job
from inferq.proxy.services.requests.parsing_work import measure_form_work, measure_work
from inferq.proxy.services.requests.payload_checks import check_payload, find_model
from inferq.proxy.services.requests.payloads import make_raw_prefix
from inferq.proxy.services.requests.request_checks import check_predict
from inferq.queue import Submission


@dataclass(slots=True)
class ReceivedPrediction:
    """A request for a prediction, received and not yet checked.

    Attributes:
        raw: The body, behind what makes an envelope of it if `is_wrapped`.
        content_type: What it is said to be.
        query: The members of the query.
        is_wrapped: Whether it is behind that.
    """

    raw: bytes
    content_type: ContentType
    query: dict[str, Any]
    is_wrapped: bool = False

    async def submit(self, request: Request) -> str:
        """Checks it and submits its job. Returns the job's id.

        Raises:
            InferqError: It is refused, or cannot be checked or stored now.
        """
        with get_services(request).producer.share_time_limit(len(self.raw)):
            return await submit_job(request, await self._check(request))

    async def _check(self, request: Request) -> Submission:
        if self.content_type.is_json(self.raw):
            check = partial(check_predict, query=self.query) if self.query else check_predict
            return await run_check(request, check, drop_byte_order_mark(self.raw))
        payload_check = partial(
            check_payload, content_type=self.content_type, query=self.query, is_wrapped=self.is_wrapped
        )
        return await run_check(request, payload_check, self.raw, parsed_bytes=self._measure_work())

    def _measure_work(self) -> int:
        """Returns how much of the body the check looks at value by value, or unpacks, bytes."""
        if self.content_type.media_type == FORM:
            return measure_form_work(split_form(self.raw, self.content_type.boundary))
        if self.content_type.media_type == RAW_TENSOR and not self.is_wrapped:
            return len(self.raw) if "shape" in self.query else 0  # without, it is no list of texts
        return measure_work(self.raw)


async def receive_prediction(request: Request, share: BodyShare) -> ReceivedPrediction | StreamedJob:
    """Receives the body of `POST /predict`, or has it stored while it comes.

    Args:
        request: The request.
        share: Counts the body if it is long.

    Raises:
        InferqError: It is refused unread: see `read_body`, `read_content_type`, `read_query`.
        ClientDisconnect: The client has disconnected.
    """
    scope, settings = request.scope, get_services(request).settings
    content_type = read_content_type(scope["headers"])
    query = read_query(scope["query_string"])
    prefix = b""
    if content_type.media_type == RAW_TENSOR:
        prefix = await _make_prefix(request, query)
    length = find_streamed_length(request)
    if length is None:
        raw = await read_body(request, share, settings, prefix)
        return ReceivedPrediction(raw, content_type, query, bool(prefix))
    stream = BodyStream(request, share, length, prefix)
    streamed = await _store_prediction(request, stream, content_type, query, prefix)
    if streamed is not None:
        return streamed
    return ReceivedPrediction(await stream.receive_whole(), content_type, query, bool(prefix))


async def _store_prediction(
    request: Request, stream: BodyStream, content_type: ContentType, query: dict[str, Any], prefix: bytes
) -> StreamedJob | None:
    """Has a long body stored while it comes; returns None where it has to be received whole."""
    begin = await stream.receive_begin()
    if content_type.media_type == FORM or content_type.is_json(begin):
        return None
    payload = stream.preview(begin, prefix)
    if payload is None:
        return None
    rules, owner = get_services(request).request_rules, get_owner(request) or ""
    submission = check_payload(
        payload,
        rules,
        await read_models(request),
        owner,
        content_type=content_type,
        query=query,
        is_wrapped=bool(prefix),
    )
    return await stream.store(submission, prefix)


async def _make_prefix(request: Request, query: dict[str, Any]) -> bytes:
    """Returns what makes an envelope of a raw tensor whose length is known: it is received behind it."""
    services = get_services(request)
    length = read_length(request, services.settings)
    if length is None:
        return b""
    _, _, model = find_model(query, query, services.request_rules, await read_models(request))
    return make_raw_prefix(model.document, length, query.get("shape"))
