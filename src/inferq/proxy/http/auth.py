"""Authentication: API keys as `Authorization: Bearer`, known by their SHA-256; for streams also tickets."""

import hashlib
from collections.abc import Sequence
from hmac import compare_digest
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from inferq.errors import ErrorKind, RedisUnavailableError
from inferq.proxy.http import problems
from inferq.proxy.http.problem_types import TYPES
from inferq.queue import TICKET_SECONDS, AnyTickets

_REFUSAL = problems.Refusal(401, TYPES[ErrorKind.UNAUTHORIZED].example, ErrorKind.UNAUTHORIZED)
_TICKET_REFUSAL = problems.Refusal(
    401,
    f"This ticket is not known, was used before, or is older than {TICKET_SECONDS} s. "
    "Ask for a new one: POST /stream-tickets with the header Authorization: Bearer KEY.",
    ErrorKind.UNAUTHORIZED,
)


class Authenticator:
    """Accepts requests that have a known key, and stores the name of the key in `request.state.owner`.

    An event stream may have a ticket instead, `?ticket=`.

    Args:
        app: The next ASGI application.
        api_keys: The setting of that name: `name:sha256` pairs.
        tickets: Redeems tickets.
        open_paths: Paths that need no key, nor do those below them.
    """

    def __init__(
        self, app: ASGIApp, api_keys: str, tickets: AnyTickets, open_paths: Sequence[str] = ()
    ) -> None:
        self.app = app
        self._tickets = tickets
        self._open_paths = frozenset(open_paths)
        self._open_folders = tuple(f"{path}/" for path in open_paths)
        pairs = (pair.split(":") for pair in api_keys.split(","))
        self._keys = [(bytes.fromhex(digest), name) for name, digest in pairs]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 401 where no known key is given, also to a WebSocket."""
        if scope["type"] not in ("http", "websocket") or self._is_open(scope):
            return await self.app(scope, receive, send)
        owner, refusal = self.find_owner(scope), _REFUSAL
        if _takes_ticket(scope) and (ticket := _remove_ticket(scope)) is not None and owner is None:
            refusal = _TICKET_REFUSAL
            try:
                owner = await self._tickets.redeem(ticket)
            except RedisUnavailableError as error:
                response = await problems.answer(Request(scope), error)
                return await response(scope, receive, send)
        if owner is None:
            return await refusal(scope, receive, send)
        scope.setdefault("state", {})["owner"] = owner
        return await self.app(scope, receive, send)

    def find_owner(self, scope: Scope) -> str | None:
        """Returns the name of a request's key; None if it has no known key."""
        scheme, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
        digest = hashlib.sha256(key.strip().encode("latin-1")).digest()
        owner = None
        for known, name in self._keys:  # compares all keys, so that the time does not depend on the key
            if compare_digest(known, digest):
                owner = name
        return owner if scheme.lower() == "bearer" else None

    def _is_open(self, scope: Scope) -> bool:
        path = _get_path(scope)
        return path in self._open_paths or path.startswith(self._open_folders)


def _get_path(scope: Scope) -> str:
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    return path


def _takes_ticket(scope: Scope) -> bool:
    path = _get_path(scope)
    is_stream = path == "/activity" or (path.startswith("/job/") and path.endswith("/events"))
    return is_stream and scope["type"] == "http" and scope["method"] == "GET"


def _remove_ticket(scope: Scope) -> str | None:
    """Takes the ticket out of the query, so that no log of the request shows it; None if there is none."""
    if b"ticket=" not in scope["query_string"]:
        return None
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    scope["query_string"] = urlencode([(name, value) for name, value in query if name != "ticket"]).encode()
    return dict(query).get("ticket")
