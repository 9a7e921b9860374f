"""Tickets by which a browser opens an event stream."""

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from inferq.errors import ErrorKind
from inferq.proxy.http.openapi import document_answers
from inferq.proxy.http.responses import JsonResponse
from inferq.proxy.http.schemas.activity_schemas import StreamTicket
from inferq.proxy.services.dependencies import get_owner, get_services
from inferq.queue import TICKET_SECONDS

router = APIRouter(tags=["streams"])


@router.post(
    "/stream-tickets",
    status_code=201,
    responses=document_answers(
        "/stream-tickets", StreamTicket, "A new ticket.", ErrorKind.REDIS_UNAVAILABLE, status=201
    ),
)
async def issue_ticket(request: Request) -> Response:
    """Makes a ticket for a browser, whose `EventSource` can send no key: it opens one stream.

    It is sent as `?ticket=` to `/activity` or `/job/{job_id}/events`, of any proxy, and has the rights of the
    key. Where no keys are needed, neither is a ticket; one that is sent is ignored.
    """
    ticket = await get_services(request).producer.stream_tickets.issue(get_owner(request))
    response = JsonResponse(to_json({"ticket": ticket, "expires_in": TICKET_SECONDS}), 201)
    response.raw_headers.append((b"cache-control", b"no-store"))
    return response
