"""Answers scrapes of a worker, on a port of its own.

This module is imported only where a setting asks for the port: a worker has no use for HTTP else.
"""

import socket
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer

import structlog

from inferq.observability.exposition import write_exposition
from inferq.observability.metrics import Reading

_REQUEST_SECONDS = 2.0
"""How long a client may keep the only thread waiting for its request."""

log = structlog.get_logger()


class MetricsServer:
    """Tells Prometheus the metrics of this process, one scrape at a time.

    Args:
        host: Address to listen on.
        port: Port to listen on. If it is taken that is logged, and the worker works without it.
        read: Reads the metrics; called on another thread.
    """

    def __init__(self, host: str, port: int, read: Callable[[], Iterable[Reading]]) -> None:
        self._host, self._port = host, port
        self._read = read
        self._server: _Server | None = None
        self._thread = threading.Thread(target=self._serve, name="metrics", daemon=True)
        self._stopping = threading.Event()

    def start(self) -> None:
        """Listens, and starts the thread."""
        address = f"{self._host}:{self._port}"
        try:
            self._server = _Server(self._host, self._port, self._read)
        except OSError as error:
            log.warning("metrics_port_unavailable", address=address, reason=error.strerror or str(error))
            return
        log.info("metrics_listening", address=address)
        self._thread.start()

    def stop(self) -> None:
        """Stops listening; a scrape under way may take its time, but no longer than that."""
        if self._server is None:
            return
        self._stopping.set()
        with suppress(OSError):
            self._server.socket.shutdown(socket.SHUT_RDWR)  # which wakes the thread, on Linux
        self._thread.join(_REQUEST_SECONDS)
        self._server.server_close()

    def _serve(self) -> None:
        while self._server is not None and not self._stopping.is_set():
            self._server.handle_request()


class _Server(TCPServer):
    """A server with one thread: whatever clients do, it costs the worker no more than that."""

    allow_reuse_address = True
    timeout = None

    def __init__(self, host: str, port: int, read: Callable[[], Iterable[Reading]]) -> None:
        self.read = read
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    def handle_error(self, *_request: object) -> None:
        """Logs what went wrong with a scrape; a client that disconnects is no news."""
        if not isinstance(sys.exception(), OSError):
            log.exception("scrape_failed")


class _Handler(BaseHTTPRequestHandler):
    """One scrape."""

    server: _Server
    timeout = _REQUEST_SECONDS
    server_version = "inferq"
    sys_version = ""

    def setup(self) -> None:
        """Begins to wait for the request: `timeout` alone would let a client send a byte a second."""
        super().setup()
        self._waiting = threading.Timer(_REQUEST_SECONDS, self._give_up)
        self._waiting.daemon = True
        self._waiting.start()

    def finish(self) -> None:
        """Ends the scrape."""
        self._waiting.cancel()
        super().finish()

    def _give_up(self) -> None:
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def do_GET(self) -> None:
        """Answers with the metrics."""
        self._waiting.cancel()
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(404, explain="The metrics are at /metrics.")
            return
        accept, encoding = self.headers.get("Accept", ""), self.headers.get("Accept-Encoding", "")
        written = write_exposition(self.server.read(), accept, encoding)
        self.send_response(200)
        for name, value in (*written.headers.items(), ("Content-Length", str(len(written.body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(written.body)

    def log_message(self, *_message: object) -> None:
        """Logs nothing."""
