"""uvicorn's HTTP protocol with limits on what a client may send, and on how long that may take."""

import asyncio
from typing import Any

import httptools
from fastapi import Response
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from inferq.proxy.http import problems
from inferq.proxy.http.http_rules import DRAIN_BYTES, DRAIN_SECONDS, LONGEST_HEAD_BYTES, describe_long_head
from inferq.proxy.http.request_ids import Headers, choose_id_headers
from inferq.proxy.transport.connection_limits import find_connection_limits

_LONGEST_INSTANCE = 1000


class LimitedProtocol(HttpToolsProtocol):
    """Refuses a head that is too long or too slow, and closes a connection on which nothing is sent.

    Unlike the protocol it extends, it upgrades a connection only after the requests before are answered, and
    only for a GET without a body; and a client that has closed its own side gets the answers to what it sent.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - as uvicorn has them
        super().__init__(*arguments, **options)
        self._timeout = find_connection_limits(self.config).request_timeout_seconds
        self.url = b""
        self._timer: asyncio.TimerHandle | None = None
        self._began_at = 0.0
        self._has_begun = True
        self._unparsed_bytes = 0
        self._upgrades = False
        self._drained_bytes: int | None = None
        self._refusal: tuple[int, str] | None = None
        self._running: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts to serve a connection."""
        super().connection_made(transport)
        self.flow = _OrderedFlowControl(self)
        self._began_at = self.loop.time()
        self._timer = self.loop.call_later(self._timeout, self._check_time)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends a connection."""
        super().connection_lost(exc)
        if self._running is not None:  # uvicorn has told the latest request, which may wait behind this one
            self._running.disconnected = True
            self._running.message_event.set()
        self._stop_timer()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check_time(self) -> None:
        """Ends a request whose head does not arrive; the time of a body is limited by the application."""
        left = self._timeout
        if self._has_begun and self._is_answering():
            self._began_at = self.loop.time()  # it may not have been read since
        if self._has_begun:
            left += self._began_at - self.loop.time()
            if left <= 0:
                return self._time_out()
        self._timer = self.loop.call_later(left, self._check_time)
        return None

    def _time_out(self) -> None:
        if self.scope is None:  # the client has never sent anything
            self.transport.close()
        else:
            self._refuse(
                408,
                f"The request did not come within {self._timeout:g} s (INFERQ_REQUEST_TIMEOUT_SECONDS).",
            )

    def data_received(self, data: bytes) -> None:
        """Handles bytes that were received."""
        if self._refusal is not None:
            return
        if self._drained_bytes is not None:
            self._drained_bytes += len(data)
            if self._drained_bytes > DRAIN_BYTES:
                self.transport.close()
            return
        self._unset_keepalive_if_required()
        self._unparsed_bytes += len(data)  # set to 0 by the parser's callbacks
        parts: list[bytes | memoryview] = [data]
        while parts:
            part = parts.pop()
            try:
                self.parser.feed_data(part)
            except httptools.HttpParserUpgrade as upgrade:
                if self._should_upgrade():
                    self._upgrade_in_order()
                elif self.parser.get_method() == b"CONNECT":
                    self._refuse(400, "CONNECT asks for a tunnel. This service makes none.")
                else:
                    # an ordinary request; but the parser skips the body of one that asks for an upgrade
                    parts += (memoryview(part)[upgrade.args[0] :], self._head_without_upgrade())
            except httptools.HttpParserError:
                self._refuse(400, "The request is not HTTP/1.1 as RFC 9112 has it, or is cut off.")
                break
        if self._unparsed_bytes > LONGEST_HEAD_BYTES:
            self._refuse(431, describe_long_head())

    def on_message_begin(self) -> None:
        """Begins a request."""
        super().on_message_begin()
        self._unparsed_bytes = 0
        self._has_begun = True
        self._began_at = self.loop.time()

    def on_headers_complete(self) -> None:
        """Starts the application for a request whose head is complete."""
        self._unparsed_bytes = 0
        self._has_begun = False
        if len(self.url) > LONGEST_HEAD_BYTES:  # longer than what can be parsed as a URL
            self._refuse(431, describe_long_head())
            raise ValueError("URL")  # stops the parser
        if not self._ignores_upgrade():
            self.scope["headers"] = self.headers.copy()  # the parser appends trailers to the original
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Handles a part of a body."""
        self._unparsed_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Ends the reading of a request."""
        self._unparsed_bytes = 0
        if not self._ignores_upgrade():
            super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:  # noqa: ANN401 - as uvicorn has it
        self._adopt(cycle)
        super()._start_asgi_task(cycle, app)

    def _adopt(self, cycle: RequestResponseCycle) -> None:
        cycle.__class__ = _HalfClosableCycle
        self._running = cycle

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keeps the connection open until all complete requests are answered, and no longer."""
        cycle: Any = self.cycle  # the latest
        self._upgrades = False
        if cycle is None or cycle.response_complete or cycle.more_body or self._drained_bytes is not None:
            return False
        cycle.keep_alive = False
        for one in (cycle, *(waiting for waiting, _ in self.pipeline)):
            one.has_ended = True
            one.message_event.set()
        return True

    def _should_upgrade(self) -> bool:
        return (
            super()._should_upgrade()
            and self.parser.get_method() == b"GET"
            and not any(
                name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0"))
                for name, value in self.headers
            )
        )

    def _ignores_upgrade(self) -> bool:
        return self.parser.should_upgrade() and not self._should_upgrade()

    def _head_without_upgrade(self) -> bytes:
        line = b"%b %b HTTP/%b" % (
            self.parser.get_method(),
            self.url,
            self.parser.get_http_version().encode(),
        )
        kept = [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([line, *kept, b"\r\n"])

    def _upgrade_in_order(self) -> None:
        if self._is_answering():
            self._upgrades = True
            self.flow.pause_reading()
        else:
            self._upgrade_now()

    def handle_websocket_upgrade(self) -> None:
        """Gives the connection to the WebSocket protocol."""
        self._stop_timer()
        super().handle_websocket_upgrade()

    def _upgrade_now(self) -> None:
        self._upgrades = False
        self.flow.resume_reading()
        self.handle_websocket_upgrade()

    def on_response_complete(self) -> None:
        """Continues with pipelined requests; after the last one, with what had to wait for its answer."""
        is_last = not self.pipeline
        super().on_response_complete()
        if is_last and not self.transport.is_closing() and self._run_deferred():
            self._unset_keepalive_if_required()

    def _run_deferred(self) -> bool:
        """Upgrades or refuses what had to wait for the last answer. Returns whether anything waited."""
        if self._upgrades:
            self._upgrade_now()
            return True
        if self._refusal is None:
            return False
        refusal, self._refusal = self._refusal, None
        self._refuse(*refusal)
        return True

    def skip_body(self) -> None:
        """Goes on behind a body of which the parser has not seen the end."""
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.on_message_complete()

    def write_response(self, response: Response, id_headers: Headers, *, keep_alive: bool) -> None:
        """Writes a whole response, or the head of one whose body is streamed."""
        parts: list[Any] = [STATUS_LINE[response.status_code]]
        for name, value in (*self.server_state.default_headers, *response.raw_headers, *id_headers):
            parts += (name, b": ", value, b"\r\n")
        if not keep_alive:
            parts.append(b"connection: close\r\n")
        parts += (b"\r\n", response.body)
        self.transport.write(b"".join(parts))

    @property
    def can_be_replaced(self) -> bool:
        """Whether another protocol may read from the connection: it is open, and nothing is refused."""
        return not self.transport.is_closing() and self._drained_bytes is None and self._refusal is None

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, status: int, detail: str) -> None:
        """Answers a request that cannot be read, then drains some of what is still sent: see `HttpRules`."""
        self._has_begun = False
        if self._drained_bytes is not None or self.transport.is_closing():
            return
        if self._is_answering():
            cycle: Any = self.cycle
            if self.pipeline or not cycle.more_body or cycle.response_started:
                self._refusal = status, detail  # now it would be taken for the answer to the request before
                return
            cycle.disconnected = cycle.response_complete = True  # this is the request that is refused
            cycle.message_event.set()
        path = self.url.partition(b"?")[0].decode("latin-1")[:_LONGEST_INSTANCE]
        answer = problems.Refusal(status, detail).answer({"path": path})
        self.write_response(answer, choose_id_headers(self.headers or ()), keep_alive=False)
        self._drained_bytes = 0
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._stop_timer()
        self._timer = self.loop.call_later(DRAIN_SECONDS, self.transport.close)


class _OrderedFlowControl(FlowControl):
    """Reads nothing while pipelined requests wait: a client may send any number of them.

    The request that is being answered misses nothing: what follows it has been read.
    """

    def __init__(self, protocol: LimitedProtocol) -> None:
        super().__init__(protocol.transport)
        self._protocol = protocol

    def resume_reading(self) -> None:
        if not self._protocol.pipeline and not self._protocol._upgrades:
            super().resume_reading()


class _HalfClosableCycle(RequestResponseCycle):
    """A request whose application is told that the client sends no more, and can still answer."""

    has_ended = False
    _is_received = False

    async def receive(self) -> Any:  # noqa: ANN401 - as uvicorn has it
        is_received = self._is_received
        if not (is_received and self.has_ended):
            message = await super().receive()
            self._is_received = not message.get("more_body", False)
            if not (is_received and self.has_ended):
                return message
        return {"type": "http.disconnect"}
