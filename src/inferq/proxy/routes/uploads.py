"""Files that clients send before the jobs that name them."""

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from inferq.errors import ErrorKind
from inferq.proxy.http.openapi import document_answers
from inferq.proxy.http.responses import JsonResponse
from inferq.proxy.http.schemas.upload_schemas import ReceivedUpload, UploadView
from inferq.proxy.services.dependencies import get_owner, get_services
from inferq.remote_inputs.source_rules import UPLOAD

router = APIRouter(tags=["jobs"])


@router.post(
    "/uploads",
    status_code=201,
    responses=document_answers(
        "/uploads",
        UploadView,
        "A new upload.",
        ErrorKind.NO_BLOB_STORE,
        ErrorKind.STORE_UNAVAILABLE,
        status=201,
    ),
)
async def create_upload(request: Request) -> Response:
    """Says where to PUT a file that jobs are to name. A request body is not looked at.

    The reference may be used by any number of jobs of the same key, until the upload expires.
    """
    issued = await get_services(request).uploads.issue(get_owner(request) or "")
    put = {"url": issued.url, "headers": {}, "expires_in": issued.expires_seconds}
    body = {"id": issued.id, "put": put, "reference": {"url": f"{UPLOAD}{issued.id}"}}
    response = JsonResponse(to_json(body), 201)
    response.raw_headers.append((b"cache-control", b"no-store"))
    return response


@router.put(
    "/uploads/{upload_id}",
    status_code=201,
    responses=document_answers(
        "/uploads/{upload_id}",
        ReceivedUpload,
        "The file is stored.",
        ErrorKind.NO_BLOB_STORE,
        ErrorKind.UPLOAD_NOT_FOUND,
        ErrorKind.BODY_TOO_LARGE,
        ErrorKind.UNSUPPORTED_ENCODING,
        ErrorKind.REQUEST_TIMEOUT,
        ErrorKind.OVERLOADED,
        ErrorKind.QUEUE_FULL,
        ErrorKind.STORE_UNAVAILABLE,
        status=201,
    ),
    openapi_extra={
        "requestBody": {
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
            "required": True,
        }
    },
)
async def receive_upload(request: Request, upload_id: str) -> Response:
    """Receives the file of an upload, where the blob store is a folder. Sent again, it replaces the first."""
    services = get_services(request)
    with services.body_budget.open_share() as share:
        size = await services.uploads.receive(request, upload_id, get_owner(request) or "", share)
    return JsonResponse(to_json({"reference": {"url": f"{UPLOAD}{upload_id}"}, "bytes": size}), 201)
