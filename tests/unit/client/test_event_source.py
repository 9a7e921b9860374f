"""Streams that break, against a real HTTP server on loopback."""

import asyncio
import json
import threading
import time
from contextlib import aclosing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from inferq.client import AsyncClient, Client
from inferq.errors import RedisUnavailableError, UnreachableError

PENDING = b'id: 1\nevent: status\ndata: {"job_id":"a","status":"pending"}\n\n'
END = b'id: 2\nevent: end\ndata: {"job_id":"a","status":"completed"}\n\n'
PROBLEM = json.dumps({"type": "urn:inferq:problem:redis-unavailable", "detail": "Away."}).encode()


@pytest.fixture
def serve():
    """Serves the given answers, one after the other, the last one again and again; notes the requests."""
    servers = []

    def start(*answers):
        requests = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                status, body = answers[min(len(requests), len(answers) - 1)]
                requests.append((time.monotonic(), self.headers.get("Last-Event-ID")))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}", requests

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_stream_that_ends_too_early_is_taken_up_again_where_it_was(serve):
    url, requests = serve((200, PENDING), (503, PROBLEM), (200, END))
    with Client(url) as client:
        views = list(client.events("a"))
    assert [view["status"] for view in views] == ["pending", "completed"]
    assert [last for _, last in requests] == [None, "1", "1"]
    assert requests[1][0] - requests[0][0] > 0.04


def test_stream_whose_end_has_been_told_is_over(serve):
    url, _ = serve((200, PENDING), (204, b""))
    with Client(url) as client:
        assert len(list(client.events("a"))) == 1


@pytest.mark.parametrize(
    ("answer", "error"), [((503, PROBLEM), RedisUnavailableError), ((200, b""), UnreachableError)]
)
def test_stream_that_stays_broken_is_an_error(serve, answer, error):
    url, requests = serve(answer)
    with Client(url, retries=2) as client, pytest.raises(error):
        list(client.events("a"))
    assert len(requests) == 3


async def test_stream_that_is_left_early_is_closed_at_once():
    closed = asyncio.Event()

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + PENDING)
        await reader.read()  # ends when the client hangs up
        closed.set()
        writer.close()

    async with (
        await asyncio.start_server(answer, "127.0.0.1", 0) as server,
        AsyncClient(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as client,
    ):
        async with aclosing(client.events("a")) as views:
            assert (await anext(views))["status"] == "pending"
        await asyncio.wait_for(closed.wait(), 60)
