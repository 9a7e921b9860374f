"""The result of one job, in the form that is asked for."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from inferq.errors import ErrorKind, InvalidInputError, JobStateError, ResultDeletedError
from inferq.jobs import Job, Status
from inferq.model_names import NAME
from inferq.proxy.http import problems
from inferq.proxy.http.conditional_requests import is_not_modified, is_range_valid, parse_range
from inferq.proxy.http.openapi import Answers, add_not_found, add_problem
from inferq.proxy.http.prefer import parse_query_wait
from inferq.proxy.http.responses import JSON, StreamedResponse, write_download_headers
from inferq.proxy.http.schemas.job_schemas import EXAMPLE_JOB_ID
from inferq.proxy.services.dependencies import get_owner, get_services
from inferq.proxy.services.jobs.job_subscription import read_job
from inferq.proxy.services.jobs.job_waiting import wait_for_end
from inferq.proxy.services.results.result_negotiation import ResultNegotiation
from inferq.proxy.services.results.result_rendition import Rendition
from inferq.proxy.services.results.signed_output import sign_output_url
from inferq.proxy.services.results.tensor_renditions import FORMS
from inferq.proxy.transport import FastRoute

_NAME = re.compile(NAME)
_EXAMPLE_PATH = f"/job/{EXAMPLE_JOB_ID}/result"
_EXAMPLE_RESULT = {"outputs": {"boxes": [[0.1, 0.2, 0.5, 0.9]], "scores": [0.97]}}
_PARAMETERS = [
    {
        "name": "output",
        "in": "query",
        "description": "Name of an output, as often as there are outputs to be chosen; all if left out. "
        "application/x-npy has one.",
        "schema": {"type": "array", "items": {"type": "string"}},
    },
    {
        "name": "wait",
        "in": "query",
        "description": "How long to wait for the job's end, s, at most INFERQ_MAX_WAIT_SECONDS; not at "
        "all if left out.",
        "schema": {"type": "number", "minimum": 0, "default": 0},
    },
    *(
        {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}
        for name, description in (
            ("If-None-Match", "An `ETag`: the answer is 304 if the result is still the same."),
            ("Range", "Bytes to send, such as `bytes=0-1023`: the answer is 206."),
        )
    ),
]

fast_router = APIRouter(tags=["jobs"], route_class=FastRoute)
router = APIRouter(tags=["jobs"])

JobId = Annotated[str, Path(description="What POST /predict answered.")]


def _make_answers() -> Answers:
    binary = {"schema": {"type": "string", "format": "binary"}, "example": "(bytes)"}
    content: dict[str, Any] = {media_type: binary for media_type in FORMS if media_type != JSON}
    content[JSON] = {"schema": {}, "example": _EXAMPLE_RESULT}
    answers: Answers = {
        200: {"description": "The result, or that of the outputs that were chosen.", "content": content},
        303: {"description": "It is in a bucket, to which its job had it written."},
        206: {"description": "A part of it.", "content": {FORMS[-1]: binary}},
        304: {"description": "It is what the client has."},
    }
    add_not_found(answers, ErrorKind.JOB_NOT_FOUND, _EXAMPLE_PATH)
    for kind in (
        ErrorKind.INVALID_INPUT,
        ErrorKind.NOT_ACCEPTABLE,
        ErrorKind.JOB_STATE,
        ErrorKind.RESULT_DELETED,
        ErrorKind.OVERLOADED,
        ErrorKind.REDIS_UNAVAILABLE,
        ErrorKind.STORE_UNAVAILABLE,
    ):
        add_problem(answers, kind, _EXAMPLE_PATH)
    return answers


@fast_router.get(
    "/job/{job_id:path}/result",
    status_code=200,
    response_class=StreamedResponse,
    responses=_make_answers(),
    openapi_extra={"parameters": _PARAMETERS},
)
async def read_result(request: Request, job_id: JobId) -> Response:
    """Returns the result of a completed job in the form that `Accept` prefers.

    JSON (if nothing is said), one output as NumPy's `.npy`, all as `.npz`, or the binary answer of the Open
    Inference Protocol (`application/octet-stream`). It is sent while it is read.
    """
    services = get_services(request)
    query = request.scope["query_string"]
    seconds = parse_query_wait(query, services.settings.max_wait_seconds) if query else 0.0
    names = _read_names(request)
    if seconds:
        job = await wait_for_end(request, job_id, seconds)
    else:
        job = await read_job(services.producer, job_id, get_owner(request))
    _check_has_result(job)
    if job.output and (address := await sign_output_url(job, services.request_rules.output_rules)):
        return Response(status_code=303, headers={"Location": address, "Cache-Control": "private, no-store"})
    negotiation = ResultNegotiation(services, job)
    headers = request.headers
    rendition = await negotiation.choose(", ".join(headers.getlist("accept")), names)
    etag = await negotiation.make_etag(rendition, names)
    about = [
        (b"etag", etag.encode()),
        (b"vary", b"accept"),
        (b"cache-control", b"private, no-cache"),
        *_name_made_by(job),
    ]
    if is_not_modified(", ".join(headers.getlist("if-none-match")), etag):
        response = Response(status_code=304)
        response.raw_headers = about
        return response
    about += write_download_headers(rendition.media_type, job.id, rendition.suffix)
    asked = headers.get("range", "") if is_range_valid(headers.get("if-range", ""), etag) else ""
    return _respond(request, rendition, [*about, *rendition.headers], asked)


@router.delete(
    "/job/{job_id:path}/result",
    status_code=204,
    responses=add_not_found(
        {204: {"description": "The job has no result any more."}}, ErrorKind.JOB_NOT_FOUND, _EXAMPLE_PATH
    ),
)
async def delete_result(request: Request, job_id: JobId) -> Response:
    """Deletes the result of a completed job now, instead of when the job expires. It stays completed."""
    producer = get_services(request).producer
    with producer.share_time_limit():
        await read_job(producer, job_id, get_owner(request))
        await producer.delete_result(job_id)
    return Response(status_code=204)


def _check_has_result(job: Job) -> None:
    if job.status is not Status.COMPLETED:
        reason = f": {job.error}" if job.error else "; it has no result yet"
        raise JobStateError(f"Job {job.id!r} is {job.status}{reason}")
    if job.result is None and job.large_result is None:
        raise ResultDeletedError(
            f"Job {job.id!r} is completed, and its result was deleted. Submit it again to get it once more."
        )


def _name_made_by(job: Job) -> Iterator[tuple[bytes, bytes]]:
    """The header that says what made the result: a dictionary (RFC 9651) of what is known."""
    parts = job.made_by._asdict() if job.made_by else {}
    if known := ", ".join(f'{name}="{part}"' for name, part in parts.items() if _NAME.fullmatch(part)):
        yield b"inferq-made-by", known.encode()


def _read_names(request: Request) -> list[str]:
    names = request.query_params.getlist("output")
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise InvalidInputError(f"output={twice[:200]} is there twice. Name each output once.")
    return names


def _respond(
    request: Request, rendition: Rendition, headers: Iterable[tuple[bytes, bytes]], asked: str
) -> Response:
    length = rendition.length
    if length is None:
        return StreamedResponse(rendition.read(0, 0), None, list(headers))
    part = parse_range(asked, length)
    about = [*headers, (b"accept-ranges", b"bytes")]
    if part is None:
        return StreamedResponse(rendition.read(0, length), length, about)
    start, end = part
    if start == end:
        return problems.make_problem(
            request.scope,
            416,
            "range-not-satisfiable",
            "There are no such bytes",
            f"The result has {length:,} bytes in this form, none of which {asked[:100]} names.",
            {"content-range": f"bytes */{length}"},
        )
    about.append((b"content-range", b"bytes %d-%d/%d" % (start, end - 1, length)))
    return StreamedResponse(rendition.read(start, end), end - start, about, 206)
