"""The fast protocol gives, byte by byte, the answers of uvicorn's own protocol."""

import asyncio
import re
import socket
from contextlib import asynccontextmanager, suppress

import pytest
from structlog.testing import capture_logs
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from inferq.proxy.app import create_app
from inferq.proxy.http.auth import Authenticator
from inferq.proxy.http.cross_site import CrossSite
from inferq.proxy.http.http_rules import HttpRules
from inferq.proxy.http.request_ids import RequestIdentification
from inferq.proxy.http.request_observation import RequestObservation
from inferq.proxy.services.models.known_models import KnownModels
from inferq.proxy.transport.fast_path import FastRouteMiddleware
from tests.integration.proxy.serving import serving
from tests.integration.proxy.transport.test_fast_route import AWAY, BODIES, KEY, REQUESTS, made, store_jobs

BODY = BODIES[0]
LARGE = b'{"data": [' + b"[1,2,3,4]," * 9000 + b"[1,2,3,4]]}"
IDS = [
    b"X-Request-ID: order/17",
    b"Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
]
VARYING = [
    *((rb"date: [^\r]*", b"date: D"), (rb"[0-9a-f]{32}", b"ID"), (rb'"submitted_at":"[^"]*"', b"T")),
    (rb"x-request-id: [0-9a-f]{16}-[0-9a-f]+\r", b"x-request-id: MADE\r"),
    (rb"retry-after: \d+", b"retry-after: R"),  # it follows the rate, which sinks
    # whether the last try to connect fails before the time is over is chance
    *((AWAY, b"Redis is away"), (rb"(?s)(HTTP/1\.1 503 .*?\r\ncontent-length:) \d+", rb"\1 N")),
]


def request(method=b"POST", path=b"/predict", body=b"", headers=(), version=b"1.1"):
    length = [b"Content-Length: %d" % len(body)] if body else []
    lines = [b"%b %b HTTP/%b" % (method, path, version), b"Host: proxy", *headers, *length, b"", body]
    return b"\r\n".join(lines)


def chunked(*chunks):
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))
    return request(headers=[b"Transfer-Encoding: chunked"]) + body


class Connection:
    """A client that sees every byte."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    @asynccontextmanager
    async def to(cls, proxy):
        connection = cls(*await asyncio.open_connection("127.0.0.1", proxy.port))
        try:
            yield connection
        finally:
            connection.writer.transport.abort()  # what has not been sent would keep it open
            await connection.close()

    async def send(self, *pieces):
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0.005)  # else they would arrive as one

    async def answer(self, *, has_body=True):
        """The next answer, without what differs from one request to the next."""
        async with asyncio.timeout(60):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"\r\ncontent-length: (\d+)", head)
            body = await self.reader.readexactly(int(length[1])) if length and has_body else b""
        whole = head + body
        for pattern, mask in VARYING:
            whole = re.sub(pattern, mask, whole)
        return whole

    async def is_closed(self):
        async with asyncio.timeout(60):
            return await self.reader.read(1) == b""

    async def close(self):
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


@pytest.fixture
def both(request, settings, announced, consumer, redis_client):
    """A proxy with the fast protocol and one with uvicorn's own, in the state that the parameter says."""
    settings = made(settings, getattr(request, "param", "open"), max_body_bytes=100_000)
    store_jobs(redis_client, consumer, "waiting")
    with serving(settings) as fast, serving(settings, HttpToolsProtocol) as plain:
        fast.count_fast_requests()
        yield fast, plain


async def answers_to(both, *pieces, count=1, **how):
    found = []
    for proxy in both:
        async with Connection.to(proxy) as connection:
            await connection.send(*pieces)
            found.append([await connection.answer(**how) for _ in range(count)])
    return found


@pytest.mark.parametrize("both", ["open", "guarded", "full", "away"], indirect=True)
async def test_every_answer_is_the_same_byte_by_byte(both):
    for headers in ([], [f"Authorization: Bearer {KEY}".encode()], [b"Authorization: Bearer wrong"]):
        for method, path, body in REQUESTS:
            if path.endswith("/events"):
                continue  # a stream has no length
            sent = request(method.encode(), path.encode(), body, headers)
            fast, plain = await answers_to(both, sent, has_body=method != "HEAD")
            assert fast == plain, sent
    assert both[0].fast_requests > 0


@pytest.mark.parametrize(
    "pieces",
    [
        [request(body=BODY, headers=[b"Connection: keep-alive"])],
        [request(body=BODY, headers=[b"Connection: close"])],
        [request(body=BODY, version=b"1.0")],
        [request(body=BODY, headers=[b"Expect: 100-continue"])],
        [request(body=BODY, headers=[b"Prefer: wait=0"])],
        [request(body=BODY, headers=[b"Idempotency-Key: a", b"Idempotency-Key: b"])],
        [request(b"GET", b"/job/done", headers=[b"Upgrade: h2c", b"Connection: Upgrade"])],
        [request(b"GET", b"/job/done", headers=[b"X: " + b"x" * 40_000])],
        [request(b"GET", b"/job/done", headers=[b"X: " + b"x" * 70_000])],
        [request(body=BODY, headers=[b"Content-Encoding: br"])],
        [request(body=BODY, headers=IDS)],
        [request(body=b"{", headers=IDS)],
        [request(body=BODY, headers=[*IDS, b"Connection: close"])],
        [request(b"GET", b"/job/done", headers=IDS)],
        [request(b"GET", b"/job/nosuch", headers=[*IDS, *IDS])],
        [request(b"GET", b"/job/done", headers=[b"X-Request-ID: a b", b"Traceparent: 00-0-0-00"])],
        [request(body=b"\xef\xbb\xbf" + BODY)],
        [request(body=BODY.decode().encode("utf-16"))],
        [request(body=BODY, headers=[b"Origin: http://proxy"])],
        [request(body=BODY, headers=[b"Origin: http://else.example"])],
        [request(body=BODY, headers=[b"Sec-Fetch-Site: cross-site"])],
        [request(body=BODY, path=b"http://proxy/predict")],
        [request(body=BODY, path=b"/predict#part")],
        [request(body=BODY, path=b"/%70redict")],
        [request(body=LARGE)],
        [request(body=LARGE * 2)],
        [request(b"GET", b"/job/done", BODY)],
        [request(b"GET", b"/job/wait%69ng")],
        [request(b"GET", b"/job/" + b"x" * 300)],
        [request(b"GET", b"/job/" + b"x" * 5000)],
        [request(b"GET", b"/job/done", headers=[b"Content-Length: 5"])],
        [request(headers=[b"Content-Length: 100001"]) + b"{"],
        [request(b"GET", b"/job/waiting?wait=0.01")],
        [
            request(b"POST", b"/predict?" + query, BODY)
            for query in (b"model=iris", b"x=1", b"shape=1", b"", b"a#b")
        ],
        [chunked(BODY[:5], BODY[5:])],
        [request(body=BODY)[:20], request(body=BODY)[20:-9], request(body=BODY)[-9:]],
        [request(body=BODY)[:-1], request(body=BODY)[-1:]],
    ],
    ids=repr,
)
async def test_unusual_requests_are_answered_alike(both, pieces):
    fast, plain = await answers_to(both, *pieces)
    assert fast == plain


async def test_requests_sent_ahead_are_answered_in_turn(both):
    first, *_ = sent = [
        request(body=BODY), request(b"GET", b"/job/done"), request(b"GET", b"/health/live"),
        request(body=b"{"), request(b"GET", b"/job/done"), request(b"GET", b"/job/nosuch"),
    ]  # fmt: skip
    fast, plain = await answers_to(both, b"".join(sent), count=len(sent))
    assert fast == plain
    fast, plain = await answers_to(both, first, *sent, count=len(sent) + 1)
    assert fast == plain


UPGRADE = request(
    b"GET",
    b"/ws",
    headers=[
        *(b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"),
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ],
)


@pytest.mark.parametrize("body", [BODY, b"{"])
async def test_connection_becomes_a_websocket_and_stays_one(settings, announced, body):
    with serving(settings, timeout_keep_alive=3) as proxy:
        async with Connection.to(proxy) as connection:
            for sent in (request(body=body), request(b"GET", b"/job/nosuch"), request(body=b"{") + UPGRADE):
                await connection.send(sent)
                await connection.answer()
            assert (await connection.answer()).startswith(b"HTTP/1.1 101 ")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(3.5):
                    await connection.reader.read(1)


@pytest.mark.parametrize("first", [request(body=b"{"), request(b"GET", b"/job/" + b"x" * 300)])
async def test_answer_before_it_in_the_same_packet_does_not_end_a_request(
    settings, announced, redis_client, first
):
    redis_client.set("job:waiting:data", BODY)
    with serving(settings, timeout_keep_alive=3) as proxy:
        async with Connection.to(proxy) as connection:
            await connection.send(first + request(b"GET", b"/job/waiting?wait=3.5"))
            await connection.answer()
            assert b" 200 " in await connection.answer()
            await connection.send(first + request(body=BODY)[:-1])
            await connection.answer()
            await asyncio.sleep(3.5)
            await connection.send(request(body=BODY)[-1:])
            assert b" 202 " in await connection.answer()


async def test_connection_is_kept_and_closed_as_asked(settings, announced):
    with serving(settings) as proxy:
        async with Connection.to(proxy) as connection:
            for _ in range(3):
                await connection.send(request(body=BODY))
                assert b" 202 " in await connection.answer()
            await connection.send(request(body=BODY, headers=[b"Connection: close"]))
            assert b"connection: close" in await connection.answer()
            assert await connection.is_closed()


async def test_connection_that_rests_for_long_is_closed_and_no_other(settings, announced):
    with serving(settings, timeout_keep_alive=3) as proxy:
        async with Connection.to(proxy) as resting, Connection.to(proxy) as busy:
            for connection in (resting, busy):
                await connection.send(request(body=BODY))
                assert b" 202 " in await connection.answer()
            await busy.send(request(body=BODY)[:-1])
            assert await resting.is_closed()
            await asyncio.sleep(0.2)
            await busy.send(request(body=BODY)[-1:])
            assert b" 202 " in await busy.answer()
            began = asyncio.get_running_loop().time()
            assert await busy.is_closed()
            assert asyncio.get_running_loop().time() - began > 0.5
        [] = proxy.server.server_state.connections


async def test_request_under_way_is_answered_when_the_proxy_is_told_to_stop(
    settings, announced, monkeypatch, redis_client
):
    waiting, going_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    async def held(*_):
        loop.call_soon_threadsafe(waiting.set)
        while not going_on.is_set():
            await asyncio.sleep(0.005)
        return KnownModels({}, {}, "iris", "iris")

    with serving(settings, timeout_graceful_shutdown=60) as proxy:
        monkeypatch.setattr(proxy.app.state.services.catalog, "read", held)
        async with Connection.to(proxy) as connection:
            await connection.send(request(body=BODY))
            await asyncio.wait_for(waiting.wait(), 60)
            proxy.stop()
            [protocol] = proxy.server.server_state.connections
            while protocol.cycle.keep_alive:
                await asyncio.sleep(0.005)
            going_on.set()
            answer = await connection.answer()
            assert b" 202 " in answer
            assert b"connection: close" in answer
            assert await connection.is_closed()
    assert redis_client.llen("queue:iris") == 1


async def test_job_of_a_client_that_has_gone_is_stored(settings, announced, monkeypatch, redis_client):
    with serving(settings) as proxy:
        catalog, has_left = proxy.app.state.services.catalog, asyncio.Event()
        read = catalog.read

        async def read_late():
            while not has_left.is_set():
                await asyncio.sleep(0.005)
            return await read()

        monkeypatch.setattr(catalog, "read", read_late)
        async with Connection.to(proxy) as connection:
            await connection.send(request(body=BODY))
            await connection.close()
            has_left.set()
            async with asyncio.timeout(60):
                while not redis_client.llen("queue:iris"):
                    await asyncio.sleep(0.005)


async def test_proxy_that_stops_waits_for_jobs_of_clients_that_have_gone(settings, announced, redis_client):
    with serving(settings, timeout_graceful_shutdown=60) as proxy:
        async with Connection.to(proxy) as connection:
            await connection.send(request(body=BODY))  # the model is known and all connections are open
            await connection.answer()
        redis_client.execute_command("CLIENT", "PAUSE", 1000, "ALL")
        for _ in range(5):
            async with Connection.to(proxy) as connection:
                await connection.send(request(body=BODY))
    assert redis_client.llen("queue:iris") == 6


async def test_unforeseen_error_is_a_problem_and_is_logged_once(settings, announced, monkeypatch):
    monkeypatch.setattr("inferq.proxy.routes.predictions.receive_prediction", lambda *_: 1 / 0)
    with serving(settings) as proxy, capture_logs() as logged:
        async with Connection.to(proxy) as connection:
            for _ in range(2):
                await connection.send(request(body=BODY))
                answer = await connection.answer()
                assert b" 500 " in answer
                assert b"urn:inferq:problem:internal" in answer
    assert [line["event"] for line in logged] == ["request_failed"] * 2


async def test_client_that_does_not_read_is_not_written_to_for_ever(settings, redis_client):
    size, count = 60_000, 400
    redis_client.set("job:big:status", "completed")
    redis_client.set("job:big:result", b'"%b"' % (b"x" * size))
    with serving(settings) as proxy:
        proxy.count_fast_requests()
        async with Connection.to(proxy) as connection:
            connection.writer.transport.pause_reading()
            # or the system's buffers would hold as much as the machine gives them
            connection.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            ask = request(b"GET", b"/job/big")
            sending = asyncio.create_task(connection.send(*[ask] * count))
            while not sending.done() and proxy.fast_requests < count / 2:
                before = proxy.fast_requests
                await asyncio.sleep(0.5)
                if before == proxy.fast_requests:
                    break
            assert proxy.fast_requests < count / 2, "the proxy buffers what the client does not read"
            connection.writer.transport.resume_reading()
            for _ in range(count):
                assert len(await connection.answer()) > size
            await sending


@pytest.mark.parametrize("ask", [request(b"GET", b"/job/big"), request(body=BODY)])
async def test_client_that_asks_without_end_is_not_listened_to_for_ever(
    settings, announced, redis_client, ask
):
    redis_client.set("job:big:status", "completed")
    redis_client.set("job:big:result", b'"%b"' % (b"x" * 10_000))
    with serving(settings) as proxy:
        async with Connection.to(proxy) as connection:
            connection.writer.transport.pause_reading()
            connection.writer.write(ask * 200_000)

            def count_waiting():
                connections = list(proxy.server.server_state.connections)
                return max((len(one.pipeline) for one in connections), default=0)

            async with asyncio.timeout(60):
                while not count_waiting():
                    await asyncio.sleep(0.02)
            most = 0
            for _ in range(100):
                most = max(most, count_waiting())
                await asyncio.sleep(0.02)
            assert most < 20_000  # what one read from the socket may bring


def test_application_has_no_middleware_that_the_fast_path_does_not_know(settings):
    app = create_app(made(settings, "guarded"))
    assert [one.cls for one in app.user_middleware] == [
        RequestIdentification,
        HttpRules,
        RequestObservation,
        CrossSite,
        Authenticator,
        FastRouteMiddleware,
    ]
