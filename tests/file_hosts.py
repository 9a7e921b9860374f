"""A host of files for the tests: a real HTTP server on loopback."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_arguments: object) -> None: ...  # a client that has had enough


class FileHost:
    """Serves `files` by their paths, and other paths with 404.

    `/status/503` is answered with that status, `/to?URL` with a redirection; `/slow` not before `release` is
    set; `/endless` without an end, and `/cut` with less than it says. `/again/…` is answered with 503 once,
    and `/late/…` not before `release` is set.
    """

    def __init__(self, **files: bytes) -> None:
        self.files = dict(files)
        self.calls: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.release = threading.Event()
        host = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                host._answer(self)

            def log_message(self, *_arguments: object) -> None: ...

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path.removeprefix("/")
        self.calls.append(path)
        self.headers.append({name.lower(): value for name, value in handler.headers.items()})
        status, body, headers = self._find(path)
        handler.send_response(status)
        handler.close_connection = path in ("endless", "cut")
        if path != "endless":  # its end would be that of the connection
            headers = {"Content-Length": str(len(body))} | headers
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)
        while path == "endless":
            handler.wfile.write(bytes(65536))

    def _find(self, path: str) -> tuple[int, bytes, dict[str, str]]:
        kind, _, rest = path.partition("/")
        if path.startswith("to?"):
            return 302, b"", {"Location": path.removeprefix("to?")}
        if kind == "status":
            return int(rest), b"", {}
        if kind == "again":
            return (503, b"", {}) if self.calls.count(path) == 1 else (200, self.files[rest], {})
        if kind == "late":
            self.release.wait()
            return 200, self.files[rest], {}
        if path == "slow":
            self.release.wait()
            return 404, b"", {}
        if path == "endless":
            return 200, b"", {}
        if path == "cut":
            return 200, b"abc", {"Content-Length": "100"}
        if path == "packed":
            return 200, b"abc", {"Content-Encoding": "gzip"}
        return (200, self.files[path], {}) if path in self.files else (404, b"", {})

    def close(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
