"""The part of the fast path that serves requests without ASGI.

uvicorn gives a request to the application message by message, as uploads and streams need it. A request for a
`ProtocolRoute` arrives within a packet or two, and its answer is one body: here the protocol itself waits for
the whole request, calls the endpoint, and writes what it returns. A test compares the answers, byte by byte,
with those of uvicorn's own protocol.
"""

import asyncio
import time
from functools import lru_cache
from typing import Any

import structlog
from fastapi import Request
from starlette.types import Message
from uvicorn.config import Config

from inferq.observability.log_context import begin_log_ids
from inferq.proxy.http import problems
from inferq.proxy.http.bodies.body_budget import SMALL_BYTES
from inferq.proxy.http.bodies.body_reader import WHOLE_BODY
from inferq.proxy.http.bodies.incoming_body import BODY_RECEIVER
from inferq.proxy.http.request_ids import identify_request
from inferq.proxy.http.responses import StreamedResponse, yield_parts
from inferq.proxy.transport.body_receiver import BodyReceiver
from inferq.proxy.transport.fast_path import FastPath
from inferq.proxy.transport.fast_route import ProtocolRoute, WaitingRoute
from inferq.proxy.transport.limited_protocol import LimitedProtocol
from inferq.proxy.transport.waiting_request import WaitingRequest

log = structlog.get_logger()


@lru_cache(maxsize=1)
def find_fast_path(config: Config) -> FastPath | None:
    """Returns the fast path of the application that a server runs; None, which is logged, if it has none.

    Args:
        config: Of the server.
    """
    fast_path: FastPath | None = getattr(getattr(config.app, "state", None), "fast_path", None)
    if fast_path is None or fast_path.app is not config.app:
        reason = "the application that the server runs has no fast path, or another one is around it"
    elif config.limit_concurrency is not None or config.access_log or config.root_path:
        reason = "uvicorn's limit_concurrency, access_log or root_path is set"
    else:
        return fast_path
    log.warning("fast_path_off", reason=reason)
    return None


class FastProtocol(LimitedProtocol):
    """The HTTP protocol with the fast path, where the application has one in `app.state.fast_path`.

    After an unexpected error, which is answered with 500, the connection is kept open.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - as uvicorn has them
        super().__init__(*arguments, **options)
        self._fast_path = find_fast_path(self.config)
        self._receiver: BodyReceiver | None = None
        self._waiting: tuple[WaitingRoute, str, int] | None = None
        self._is_idle = False
        self._idle_since = 0.0

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends a connection."""
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()

    def on_headers_complete(self) -> None:
        """Decides whether a request takes the fast path."""
        self._is_idle = False  # a request before it in the same packet may just have been answered
        self._receiver = self._waiting = None
        fast_path = self._fast_path
        is_simple = (
            fast_path is not None
            and (self.cycle is None or self.cycle.response_complete)
            and self._is_simple()
            and fast_path.is_on
        )
        if not (is_simple and self._begin_fast_cycle(fast_path)):  # type: ignore[arg-type]
            super().on_headers_complete()
            if is_simple:
                self._offer_receiver()

    def _begin_fast_cycle(self, fast_path: FastPath) -> bool:
        method = self.scope["method"] = self.parser.get_method().decode("ascii")
        length = fast_path.measure_body(method, self.headers)
        if length < 0:
            return False
        found = fast_path.admit(self.scope, self.url, length)  # type: ignore[arg-type]
        if found is None:
            return False
        route, parameter = found
        if isinstance(route, WaitingRoute):
            self._waiting = route, parameter, length
            return False
        self._unparsed_bytes = 0  # its body has to arrive within the time that is allowed for a head
        self.cycle = _FastCycle(self.scope, route, parameter, fast_path)  # type: ignore[arg-type, assignment]
        return True

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:  # noqa: ANN401 - as uvicorn has it
        waiting, self._waiting = self._waiting, None
        if waiting is None or self._fast_path is None:
            super()._start_asgi_task(cycle, app)
            return
        self._adopt(cycle)
        request = WaitingRequest(self, cycle, self._fast_path, *waiting)
        self._keep(self.loop.create_task(request.serve()))

    def _offer_receiver(self) -> None:
        """Lets the application receive a long body directly, if its length is known."""
        lengths = [value for name, value in self.headers if name == b"content-length"]
        if len(lengths) == 1 and int(lengths[0]) > SMALL_BYTES:
            self._receiver = BodyReceiver(self, self.cycle, int(lengths[0]))
            self.scope[BODY_RECEIVER] = self._receiver  # type: ignore[literal-required]

    def _is_simple(self) -> bool:
        parser = self.parser
        return (
            parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and not parser.should_upgrade()
            and not self.flow.write_paused
        )

    def on_body(self, body: bytes) -> None:
        """Handles a part of a body."""
        cycle: Any = self.cycle
        if type(cycle) is not _FastCycle:
            super().on_body(body)
            if self._receiver is not None:
                self._receiver.parsed_bytes += len(body)
        elif not cycle.is_complete:
            self._unparsed_bytes = 0
            cycle.body += body

    def on_message_complete(self) -> None:
        """Answers a request that is complete."""
        cycle: Any = self.cycle
        if type(cycle) is not _FastCycle:
            super().on_message_complete()
        elif not cycle.is_complete:  # else this is a request to upgrade the connection, which has no cycle
            self._unparsed_bytes = 0
            self._has_begun = False
            cycle.is_complete = True
            task = asyncio.Task(self._answer(cycle), loop=self.loop, eager_start=True)
            if not task.done():
                self._keep(task)

    def _keep(self, task: asyncio.Task[None]) -> None:
        self.tasks.add(task)  # the server waits for them before it stops
        task.add_done_callback(self.tasks.discard)

    def _is_answering(self) -> bool:
        cycle: Any = self.cycle
        return super()._is_answering() and (type(cycle) is not _FastCycle or cycle.is_complete)

    async def _answer(self, cycle: "_FastCycle") -> None:
        id_headers = identify_request(cycle.scope)
        cycle.scope[WHOLE_BODY] = cycle.body
        request = Request(cycle.scope, cycle.receive)
        try:
            response = await cycle.route.respond(request, cycle.parameter)
        except Exception as error:  # noqa: BLE001 - it is logged, as by the application's outermost middleware
            begin_log_ids(cycle.scope["state"])
            response = await problems.answer_unexpected(request, error)
        if not self.transport.is_closing():
            self.write_response(response, id_headers, keep_alive=cycle.keep_alive)
            cycle.sent_bytes = len(response.body)
            if isinstance(response, StreamedResponse):
                await self._write_parts(response, cycle)
            if not cycle.keep_alive:
                self.transport.close()
        cycle.response_complete = True
        cycle.observe(response.status_code)
        self.on_response_complete()

    async def _write_parts(self, response: StreamedResponse, cycle: "_FastCycle") -> None:
        """Writes a body while it is read, no faster than the client receives it."""
        begin_log_ids(cycle.scope["state"])  # only where something may be logged: it takes 1 µs
        async for part in yield_parts(response.parts):
            if part is None:
                cycle.keep_alive = False
            if part is None or self.transport.is_closing():
                return
            self.transport.write(part)
            cycle.sent_bytes += len(part)
            await self.flow.drain()

    def on_response_complete(self) -> None:
        """Continues with pipelined requests, or leaves the connection idle."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        if self._run_deferred():
            return
        self.flow.resume_reading()
        self._is_idle = True
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._start_keep_alive(self.timeout_keep_alive)

    def _start_keep_alive(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _unset_keepalive_if_required(self) -> None:
        # called when bytes arrive. The timer stays: to compare the time costs less than a new timer
        self._is_idle = False

    def timeout_keep_alive_handler(self) -> None:
        """Closes a connection that has been idle for long enough."""
        self.timeout_keep_alive_task = None
        if self._is_idle:
            left = self._idle_since + self.timeout_keep_alive - self.loop.time()
            if left > 0:
                self._start_keep_alive(left)
            else:
                super().timeout_keep_alive_handler()


class _IgnoredEvent:
    """Stands for the event that uvicorn sets when the application has something to read."""

    def set(self) -> None:
        """Does nothing: the application gets the whole request at once."""


_IGNORED_EVENT = _IgnoredEvent()


class _FastCycle:
    """A request under way, with what uvicorn's protocol uses of its own `RequestResponseCycle`."""

    __slots__ = (
        *("began_at", "body", "disconnected", "fast_path", "has_ended", "is_complete", "is_received"),
        *("keep_alive", "message_event", "parameter", "response_complete", "route", "scope", "sent_bytes"),
    )

    def __init__(
        self, scope: dict[str, Any], route: ProtocolRoute, parameter: str, fast_path: FastPath
    ) -> None:
        self.began_at = time.perf_counter()
        self.fast_path = fast_path
        self.scope = scope
        self.route = route
        self.parameter = parameter
        self.body = b""
        self.sent_bytes = 0
        self.is_complete = False
        self.is_received = False
        self.has_ended = False
        self.disconnected = False
        self.keep_alive = True
        self.message_event = _IGNORED_EVENT
        self.response_complete = False

    @property
    def more_body(self) -> bool:
        """Whether a part of the body has not arrived yet."""
        return not self.is_complete

    def observe(self, status: int) -> None:
        """Tells the observer that the request is answered, and logs it."""
        seconds = time.perf_counter() - self.began_at
        fast_path, route = self.fast_path, self.route.path_format
        fast_path.observer.request_ended(self.scope["method"], route, status, seconds)
        if fast_path.access_log is not None:
            begin_log_ids(self.scope["state"])
            fast_path.access_log.note(self.scope, route, status, seconds, self.sent_bytes)

    async def receive(self) -> Message:
        """Returns the one message of the request, then that there are no more."""
        if self.is_received:
            return {"type": "http.disconnect"}
        self.is_received = True
        return {"type": "http.request", "body": self.body, "more_body": False}
