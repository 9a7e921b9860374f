"""uvicorn's HTTP protocol with bounds on what a client may send, and in how long."""

import asyncio
from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from inferq.proxy.http import problems
from inferq.proxy.transport.edge import LONGEST_HEAD_BYTES, REST_BYTES, REST_SECONDS, head_too_large
from inferq.proxy.transport.write_coalescing import CorkingProtocol

_PATIENCE_SECONDS = 30.0
_LONGEST_INSTANCE = 1000


def patience_of(app: object) -> float:
    """How long an application waits for its clients, seconds."""
    settings = getattr(getattr(app, "state", None), "settings", None)
    seconds: float = getattr(settings, "request_timeout_seconds", _PATIENCE_SECONDS)
    return seconds


class BoundedProtocol(CorkingProtocol):
    """Refuses a head that is too long or too slow, and closes a connection on which nothing comes.

    Unlike the one it extends, it upgrades a connection only after the requests ahead are answered, and
    only for a GET without a body; and a client that has closed its own side gets the answers to what it sent.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - as uvicorn has them
        super().__init__(*arguments, **options)
        self._patience = patience_of(self.config.app)
        self.url = b""
        self._watch: asyncio.TimerHandle | None = None
        self._began_at = 0.0
        self._has_begun = True
        self._unparsed_bytes = 0
        self._upgrades = False
        self._rest_bytes: int | None = None
        self._refusal: tuple[int, str] | None = None
        self._running: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Takes a connection over."""
        super().connection_made(transport)
        self.flow = _Flow(self)
        self._began_at = self.loop.time()
        self._watch = self.loop.call_later(self._patience, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the use of a connection."""
        super().connection_lost(exc)
        if self._running is not None:  # the latest, which has been told, may wait behind it
            self._running.disconnected = True
            self._running.message_event.set()
        self._stop_watch()

    def _stop_watch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _look(self) -> None:
        """Ends a request that does not come; once its head is there, a body is the application's affair."""
        left = self._patience
        if self._has_begun and self._is_answering():
            self._began_at = self.loop.time()  # it may not have been read since
        if self._has_begun:
            left += self._began_at - self.loop.time()
            if left <= 0:
                return self._give_up()
        self._watch = self.loop.call_later(left, self._look)
        return None

    def _give_up(self) -> None:
        if self.scope is None:  # it has never said anything
            self.transport.close()
        else:
            self._refuse(
                408,
                f"The request did not come within {self._patience:g} s (INFERQ_REQUEST_TIMEOUT_SECONDS).",
            )

    def data_received(self, data: bytes) -> None:
        """Takes what has come."""
        if self._refusal is not None:
            return
        if self._rest_bytes is not None:
            self._rest_bytes -= len(data)
            if self._rest_bytes < 0:
                self.transport.close()
            return
        self._unset_keepalive_if_required()
        self._unparsed_bytes += len(data)  # unless the parser finds something in it
        parts: list[bytes | memoryview] = [data]
        while parts:
            part = parts.pop()
            try:
                self.parser.feed_data(part)
            except httptools.HttpParserUpgrade as upgrade:
                if self._should_upgrade():
                    self._upgrade_in_turn()
                elif self.parser.get_method() == b"CONNECT":
                    self._refuse(400, "CONNECT asks for a tunnel. This service makes none.")
                else:
                    # a request like any other; but the parser skips the body of whatever asks for an upgrade
                    parts += (memoryview(part)[upgrade.args[0] :], self._head_without_upgrade())
            except httptools.HttpParserError:
                self._refuse(400, "The request is not HTTP/1.1 as RFC 9112 has it, or is cut off.")
                break
        if self._unparsed_bytes > LONGEST_HEAD_BYTES:
            self._refuse(431, head_too_large())

    def on_message_begin(self) -> None:
        """Begins a request."""
        super().on_message_begin()
        self._unparsed_bytes = 0
        self._has_begun = True
        self._began_at = self.loop.time()

    def on_headers_complete(self) -> None:
        """Begins what a head asks for."""
        self._unparsed_bytes = 0
        self._has_begun = False
        if len(self.url) > LONGEST_HEAD_BYTES:  # more than can be taken apart
            self._refuse(431, head_too_large())
            raise ValueError("URL")  # the parser ends
        if not self._ignores_upgrade():
            self.scope["headers"] = self.headers.copy()  # the parser takes trailers for headers
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Takes a part of a body."""
        self._unparsed_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Ends a request."""
        self._unparsed_bytes = 0
        if not self._ignores_upgrade():
            super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:  # noqa: ANN401 - as uvicorn has it
        cycle.__class__ = _Cycle
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keeps the connection for the answers to what has come whole, and no longer."""
        cycle: Any = self.cycle  # the latest
        self._upgrades = False
        if cycle is None or cycle.response_complete or cycle.more_body or self._rest_bytes is not None:
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

    def _upgrade_in_turn(self) -> None:
        if self._is_answering():
            self._upgrades = True
            self.flow.pause_reading()
        else:
            self.upgrade_now()

    def handle_websocket_upgrade(self) -> None:
        """Hands the connection on."""
        self._stop_watch()
        super().handle_websocket_upgrade()

    def upgrade_now(self) -> None:
        """Upgrades a connection, once nothing is ahead any more."""
        self._upgrades = False
        self.flow.resume_reading()
        self.handle_websocket_upgrade()

    def refuse_in_turn(self) -> bool:
        """Refuses what has come behind the requests that are answered now. Returns whether there is that."""
        if self._refusal is None:
            return False
        refusal, self._refusal = self._refusal, None
        self._refuse(*refusal)
        return True

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, status: int, detail: str) -> None:
        """Answers a request that is not there, and takes in some of what still comes: see `Edge`."""
        self._has_begun = False
        if self._rest_bytes is not None or self.transport.is_closing():
            return
        if self._is_answering():
            cycle: Any = self.cycle
            if self.pipeline or not cycle.more_body or cycle.response_started:
                self._refusal = status, detail  # else it would be taken for the answer to the request ahead
                return
            cycle.disconnected = cycle.response_complete = True  # it is this one that is refused
            cycle.message_event.set()
        path = self.url.partition(b"?")[0].decode("latin-1")[:_LONGEST_INSTANCE]
        answer = problems.Refusal(status, detail).answer(path)
        headers = (*self.server_state.default_headers, *answer.raw_headers, (b"connection", b"close"))
        head = [STATUS_LINE[status], *(b"%b: %b\r\n" % header for header in headers)]
        self.transport.write_whole(  # type: ignore[attr-defined]
            b"".join([*head, b"\r\n", bytes(answer.body)])
        )
        self._rest_bytes = REST_BYTES
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._stop_watch()
        self._watch = self.loop.call_later(REST_SECONDS, self.transport.close)


class _Flow(FlowControl):
    """Reads no more while requests wait that were sent ahead: a client may send any number of them.

    The request under way does not miss anything: what follows it has been read.
    """

    def __init__(self, protocol: BoundedProtocol) -> None:
        super().__init__(protocol.transport)
        self._protocol = protocol

    def resume_reading(self) -> None:
        if not self._protocol.pipeline and not self._protocol._upgrades:
            super().resume_reading()


class _Cycle(RequestResponseCycle):
    """A request whose application learns that the client sends no more, and can answer all the same."""

    has_ended = False
    _is_taken = False

    async def receive(self) -> Any:  # noqa: ANN401 - as uvicorn has it
        is_taken = self._is_taken
        if not (is_taken and self.has_ended):
            message = await super().receive()
            self._is_taken = not message.get("more_body", False)
            if not (is_taken and self.has_ended):
                return message
        return {"type": "http.disconnect"}
