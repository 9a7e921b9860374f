"""A receiver of webhooks for the tests: a real HTTP server on loopback that verifies signatures."""

import ssl
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwK5gHq7vXmN0="


@dataclass(frozen=True)
class Call:
    path: str
    headers: dict[str, str]
    message: dict


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64  # of fewer than come at once, some would be answered seconds later

    def handle_error(self, *_arguments: object) -> None: ...  # a worker that was killed


class Receiver:
    """Answers with the given statuses one after the other, the last one for ever.

    A call to `/slow` is not answered before `release` is set.
    """

    def __init__(self, *statuses: int, location: str = "", tls: ssl.SSLContext | None = None) -> None:
        self.calls: list[Call] = []
        self.forged = 0
        self.release = threading.Event()
        self._statuses = list(statuses) or [200]
        self._location = location
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                receiver._take(self)

            def do_GET(self) -> None:
                receiver._take(self)

            def log_message(self, *_arguments: object) -> None: ...

        self._server = _Server(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def _take(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        try:
            message = Webhook(SECRET).verify(body, headers)
        except Exception:
            self.forged += 1
            raise
        self.calls.append(Call(handler.path, headers, message))
        if handler.path == "/slow":
            self.release.wait()
        status = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
        handler.send_response(status)
        if self._location:
            handler.send_header("Location", self._location)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    def close(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
