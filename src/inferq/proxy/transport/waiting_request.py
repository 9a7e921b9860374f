"""Requests whose body may be long and whose answer may take its time, past the application's middleware.

uvicorn's own cycle receives the body and notices a client that goes away, as through ASGI. What the
middleware adds to a request and to its answer is done here; a test compares the answers, byte by byte.
"""

import time
from typing import Any

from fastapi import Request, Response
from starlette.types import Message

from inferq.observability.log_context import begin_log_ids
from inferq.proxy.http import problems
from inferq.proxy.http.access_log import CountedAnswer
from inferq.proxy.http.http_rules import DrainedRequest
from inferq.proxy.http.request_ids import Headers, identify_request
from inferq.proxy.http.responses import StreamedResponse
from inferq.proxy.transport.fast_path import FastPath
from inferq.proxy.transport.fast_route import WaitingRoute
from inferq.proxy.transport.limited_protocol import LimitedProtocol


class WaitingRequest:
    """One request under way.

    Args:
        http: The protocol of the connection.
        cycle: uvicorn's part of it.
        fast_path: Of the application.
        route: The route.
        parameter: What the path has between its prefix and its suffix.
        length: How long its body is, bytes.
    """

    def __init__(
        self,
        http: LimitedProtocol,
        cycle: Any,  # noqa: ANN401 - as uvicorn has it
        fast_path: FastPath,
        route: WaitingRoute,
        parameter: str,
        length: int,
    ) -> None:
        self._http = http
        self._cycle = cycle
        self._fast_path = fast_path
        self._route = route
        self._parameter = parameter
        self._began_at = time.perf_counter()
        self._id_headers: Headers = ()
        self._answer = CountedAnswer(self._send_with_ids)
        self._drained = DrainedRequest(cycle.scope, length, cycle.receive, self._answer.send)

    async def serve(self) -> None:
        """Answers it."""
        scope = self._cycle.scope
        self._id_headers = identify_request(scope)
        begin_log_ids(scope["state"])
        scope["route"] = self._route
        request = Request(scope, self._drained.receive, self._drained.send)
        try:
            try:
                response = await self._route.respond(request, self._parameter)
                await self._send(request, response)
            except Exception as error:  # noqa: BLE001 - it is logged, as by the outermost middleware
                response = await problems.answer_unexpected(request, error)
                if self._cycle.response_started:
                    self._http.transport.close()
                else:
                    await self._send(request, response)
        finally:
            self._note_end()

    async def _send_with_ids(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *self._id_headers]
        await self._cycle.send(message)

    async def _send(self, request: Request, response: Response) -> None:
        if isinstance(response, StreamedResponse) or not self._drained.is_received:
            await self._route.send(request, response)
            return
        if self._http.flow.write_paused:
            await self._http.flow.drain()
        cycle = self._cycle
        if cycle.disconnected:
            return
        self._answer.status, self._answer.sent_bytes = response.status_code, len(response.body)
        self._http.write_response(response, self._id_headers, keep_alive=cycle.keep_alive)
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            self._http.transport.close()
        cycle.on_response()

    def _note_end(self) -> None:
        scope, answer, route = self._cycle.scope, self._answer, self._route.path_format
        seconds = time.perf_counter() - self._began_at
        self._fast_path.observer.request_ended(scope["method"], route, answer.status, seconds)
        if self._fast_path.access_log is not None:
            self._fast_path.access_log.note(scope, route, answer.status, seconds, answer.sent_bytes)
