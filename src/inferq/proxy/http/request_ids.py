"""The ids of a request: its own, and its trace context. Its answer has them too.

Source of `traceparent`: https://www.w3.org/TR/trace-context/ (version 00).
"""

import itertools
import os
import re
import secrets
from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inferq.jobs import REQUEST_ID
from inferq.observability.log_context import begin_log_ids

type Headers = Sequence[tuple[bytes, bytes]]

_REQUEST_ID, _TRACEPARENT = b"x-request-id", b"traceparent"
_FORMS = {
    _REQUEST_ID: re.compile(REQUEST_ID.encode()),
    _TRACEPARENT: re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"),
}
_ANSWERS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})
"""Messages that begin an answer."""


class _IdMaker:
    """Makes ids that no other process makes: random bits of this one, and a number."""

    def __init__(self) -> None:
        self.renew()
        os.register_at_fork(after_in_child=self.renew)

    def renew(self) -> None:
        self._prefix = secrets.token_hex(8).encode("ascii")
        self._numbers = itertools.count(1)

    def make(self) -> bytes:
        return b"%b-%x" % (self._prefix, next(self._numbers))


_made = _IdMaker()


def identify_request(scope: Scope) -> Headers:
    """Finds the ids of a request, and makes its own if it has none.

    Args:
        scope: Of the ASGI call; the ids are added to its state.

    Returns:
        The headers of the answer that return them.
    """
    state = scope.setdefault("state", {})
    headers = choose_id_headers(scope["headers"])
    state["request_id"] = headers[0][1].decode("ascii")
    if len(headers) > 1:
        state["traceparent"] = headers[1][1].decode("ascii")
    return headers


def read_id_headers(scope: Scope) -> Headers:
    """Returns the headers that return the ids of a request; none if it has not got its ids yet."""
    state = scope.get("state", {})
    ids = ((_REQUEST_ID, state.get("request_id")), (_TRACEPARENT, state.get("traceparent")))
    return [(name, value.encode("ascii")) for name, value in ids if value]


def choose_id_headers(headers: Headers) -> Headers:
    """Chooses the headers that return the ids of a request: `X-Request-ID`, and `traceparent` if it came.

    One that is malformed, or comes more than once, is ignored.

    Args:
        headers: Of the request, with names in lower case.
    """
    for name, _ in headers:
        if name in _FORMS:
            break
    else:  # quickly, since most requests have none
        return ((_REQUEST_ID, _made.make()),)
    found = [header for header in headers if header[0] in _FORMS]
    names = [name for name, _ in found]
    good = {name: value for name, value in found if names.count(name) == 1 and _FORMS[name].fullmatch(value)}
    chosen = [(_REQUEST_ID, good.get(_REQUEST_ID) or _made.make())]
    if _TRACEPARENT in good:
        chosen.append((_TRACEPARENT, good[_TRACEPARENT]))
    return chosen


class RequestIdentification:
    """Gives each request its ids, and returns them with its answer, WebSockets included.

    Args:
        app: The next ASGI application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a request."""
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        headers = identify_request(scope)
        begin_log_ids(scope["state"])

        async def send_with_ids(message: Message) -> None:
            if message["type"] in _ANSWERS:
                message = {**message, "headers": [*message.get("headers", ()), *headers]}
            await send(message)

        return await self.app(scope, receive, send_with_ids)
