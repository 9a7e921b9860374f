"""A short way through the server for requests that are short and answered at once.

uvicorn hands a request to the application message by message, as uploads and streams need it. Of one for a
`PromptRoute` all is there within a packet or two, and the answer is one body: here the protocol itself waits
for the whole request, calls the endpoint, and writes what it returns. A test compares the answers, byte by
byte, with those that go the long way.
"""

import asyncio
import re
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.types import Message
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from inferq.proxy.http import problems
from inferq.proxy.http.auth import Authenticator
from inferq.proxy.http.body_reader import WHOLE_BODY
from inferq.proxy.services.job_responses import PartedResponse, whole_or_cut
from inferq.proxy.transport.fast_route import LeanRoute, LeanTable
from inferq.proxy.transport.limited_protocol import BoundedProtocol

_MOST_BODY_BYTES = 65536
"""Of a longer body the long way reads no more, at a time, than it can use."""
_PLAIN_PATH = re.compile(rb"/[^?%#]{0,4000}")
_MOST_HEADER_BYTES = 32768
"""Of longer ones the long way finds out whether they are too long."""
_LONG_WAY_HEADERS = frozenset(
    {
        *(b"expect", b"prefer", b"transfer-encoding", b"upgrade", b"content-encoding"),
        *(b"origin", b"sec-fetch-site"),
    }
)


class PromptRoute(LeanRoute):
    """A route that answers with one body, at once unless the request has a query or a `Prefer` header.

    Its requests have a body if they are POSTs, and none if they are GETs.
    """


class PromptWay:
    """What the protocol needs of the application.

    Args:
        app: The application, which has no other middlewares than those that serve the table, and the access.
        table: Its lean routes.
        access: Who may use it; None for everybody.
        max_body_bytes: Longest body that the application accepts.
    """

    def __init__(
        self, app: FastAPI, table: LeanTable, access: Authenticator | None, max_body_bytes: int
    ) -> None:
        self._app = app
        self._table = table
        self._access = access
        self._limits = {"GET": 0, "POST": min(_MOST_BODY_BYTES, max_body_bytes)}

    def is_open_to(self, method: str, headers: list[tuple[bytes, bytes]]) -> bool:
        """Whether a request's head asks for nothing that needs the long way."""
        limit = self._limits.get(method, -1)
        length = 0
        for name, value in headers:
            if name in _LONG_WAY_HEADERS or (name == b"content-length" and int(value) > limit):
                return False
            length += len(name) + len(value)
        return limit >= 0 and length <= _MOST_HEADER_BYTES

    def admit(self, scope: dict[str, Any], url: bytes) -> tuple[PromptRoute, str] | None:
        """Finds the route for a request, and puts into its scope what the application would have.

        Args:
            scope: Of the ASGI call, as far as it is known without the path.
            url: What was asked for.

        Returns:
            The route, and what the path has between its stem and its tail; None for the long way.
        """
        if not _PLAIN_PATH.fullmatch(url):
            return None
        path = url.decode("ascii")  # if that fails the parser does, and the answer is 400, as on the long way
        found = self._table.find(scope["method"], path)
        if found is None:
            return None
        route, rest = found
        if not isinstance(route, PromptRoute):
            return None
        if self._access is not None:
            owner = self._access.owner_of(scope)
            if owner is None:
                return None
            scope["state"]["owner"] = owner
        scope |= {"app": self._app, "path": path, "raw_path": url, "query_string": b""}
        return route, rest


class PromptProtocol(BoundedProtocol):
    """The protocol with the short way, where the application has one in `app.state.prompt_way`.

    After an error that nobody foresaw, which is answered with 500, a connection is kept.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - as uvicorn has them
        super().__init__(*arguments, **options)
        way: PromptWay | None = getattr(getattr(self.config.app, "state", None), "prompt_way", None)
        is_plain = self.limit_concurrency is None and not self.config.access_log and not self.root_path
        self._way = way if is_plain else None
        self._is_resting = False
        self._rests_since = 0.0

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the use of a connection."""
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()

    def on_headers_complete(self) -> None:
        """Decides which way a request goes."""
        self._is_resting = False  # what was sent before in the same packet may have been answered just now
        way = self._way
        if way is not None and (self.cycle is None or self.cycle.response_complete) and self._is_usual():
            method = self.scope["method"] = self.parser.get_method().decode("ascii")
            if way.is_open_to(method, self.headers):
                found = way.admit(self.scope, self.url)  # type: ignore[arg-type]
                if found is not None:  # and the whole of it is to come before the head is out of date
                    self._unparsed_bytes = 0
                    self.cycle = _PromptCycle(self.scope, *found)  # type: ignore[arg-type, assignment]
                    return
        super().on_headers_complete()

    def _is_usual(self) -> bool:
        parser = self.parser
        return (
            parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and not parser.should_upgrade()
            and not self.flow.write_paused
        )

    def on_body(self, body: bytes) -> None:
        """Takes a part of a body."""
        cycle: Any = self.cycle
        if type(cycle) is not _PromptCycle:
            super().on_body(body)
        elif not cycle.is_begun:
            self._unparsed_bytes = 0
            cycle.body += body

    def on_message_complete(self) -> None:
        """Answers a request that is all there; of one to upgrade the connection, nothing is there."""
        cycle: Any = self.cycle
        if type(cycle) is not _PromptCycle:
            super().on_message_complete()
        elif not cycle.is_begun:
            self._unparsed_bytes = 0
            self._has_begun = False
            cycle.is_begun = True
            task = asyncio.Task(self._answer(cycle), loop=self.loop, eager_start=True)
            if not task.done():
                self.tasks.add(task)  # the server waits for them before it ends
                task.add_done_callback(self.tasks.discard)

    def _is_answering(self) -> bool:
        cycle: Any = self.cycle
        return super()._is_answering() and (type(cycle) is not _PromptCycle or cycle.is_begun)

    async def _answer(self, cycle: "_PromptCycle") -> None:
        cycle.scope[WHOLE_BODY] = cycle.body
        request = Request(cycle.scope, cycle.receive)
        try:
            response = await cycle.route.respond(request, cycle.rest)
        except Exception as error:  # noqa: BLE001 - it is logged, as by the application's outermost middleware
            response = await problems.answer_unforeseen(request, error)
        if not self.transport.is_closing():
            self.transport.write_whole(self._as_bytes(response, cycle))  # type: ignore[attr-defined]
            if isinstance(response, PartedResponse):
                await self._write_parts(response, cycle)
            if not cycle.keep_alive:
                self.transport.close()
        cycle.response_complete = True
        self.on_response_complete()

    async def _write_parts(self, response: PartedResponse, cycle: "_PromptCycle") -> None:
        """Writes a body while it is made, no faster than the client reads it."""
        async for part in whole_or_cut(response.parts):
            if part is None:
                cycle.keep_alive = False
            if part is None or self.transport.is_closing():
                return
            self.transport.write_whole(part)  # type: ignore[attr-defined]
            await self.flow.drain()

    def _as_bytes(self, response: Response, cycle: "_PromptCycle") -> bytes:
        parts: list[Any] = [STATUS_LINE[response.status_code]]
        for name, value in (*self.server_state.default_headers, *response.raw_headers):
            parts += (name, b": ", value, b"\r\n")
        if not cycle.keep_alive:
            parts.append(b"connection: close\r\n")
        parts += (b"\r\n", response.body)
        return b"".join(parts)

    def on_response_complete(self) -> None:
        """Goes on with what was sent ahead, or lets the connection rest."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        if self._upgrades:
            self.upgrade_now()
            return
        if self.refuse_in_turn():
            return
        self.flow.resume_reading()
        self._is_resting = True
        self._rests_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._rest(self.timeout_keep_alive)

    def _rest(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _unset_keepalive_if_required(self) -> None:
        # called when something comes. The timer stays: to look at the time costs less than a new one
        self._is_resting = False

    def timeout_keep_alive_handler(self) -> None:
        """Closes a connection on which nothing has come for long enough."""
        self.timeout_keep_alive_task = None
        if self._is_resting:
            left = self._rests_since + self.timeout_keep_alive - self.loop.time()
            if left > 0:
                self._rest(left)
            else:
                super().timeout_keep_alive_handler()


class _Nobody:
    """Whom uvicorn tells that a connection has ended, or has more to read."""

    def set(self) -> None:
        """Does nothing: nobody waits for that here."""


_NOBODY = _Nobody()


class _PromptCycle:
    """A request under way, with what uvicorn's protocol asks of its own `RequestResponseCycle`."""

    __slots__ = (
        *("body", "disconnected", "is_begun", "is_taken", "keep_alive", "message_event"),
        *("has_ended", "response_complete", "rest", "route", "scope"),
    )

    def __init__(self, scope: dict[str, Any], route: PromptRoute, rest: str) -> None:
        self.scope = scope
        self.route = route
        self.rest = rest
        self.body = b""
        self.is_begun = False
        self.is_taken = False
        self.has_ended = False
        self.disconnected = False
        self.keep_alive = True
        self.message_event = _NOBODY
        self.response_complete = False

    @property
    def more_body(self) -> bool:
        """Whether not all of the body has come."""
        return not self.is_begun

    async def receive(self) -> Message:
        """The one message of the request, then that there are no more."""
        if self.is_taken:
            return {"type": "http.disconnect"}
        self.is_taken = True
        return {"type": "http.request", "body": self.body, "more_body": False}
