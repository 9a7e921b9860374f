"""What a client may send, and in how long, on raw connections."""

import asyncio
import json

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from inferq.proxy.routes import events
from inferq.proxy.transport.limited_websocket import LimitedWebSocket
from tests.integration.proxy.serving import serving
from tests.integration.proxy.transport.test_fast_protocol import BODY, UPGRADE, Connection, chunked, request
from tests.servers import wait_until

KEY = [b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
TO_SOCKET = [b"Connection: Upgrade", b"Upgrade: websocket", *KEY]
LARGE = b"a" * 60_000


@pytest.fixture
def impatient(settings):
    """A proxy that does not wait for long."""
    with serving(settings.model_copy(update={"request_timeout_seconds": 2.0})) as proxy:
        yield proxy


async def to_end(connection):
    async with asyncio.timeout(20):  # shorter than the default of what a test sets
        return await connection.reader.read()


@pytest.mark.parametrize(
    "start",
    [
        b"GET /job/x HTTP/1.1\r\nX: ",
        b"GET /job/x HTTP/1.1\r\n",
        b"GET /",
        chunked(b"{")[:-5] + b"0\r\nX: ",
        chunked(b"{")[:-5] + b"1;x=",
    ],
)
@pytest.mark.parametrize("part", [LARGE, b"b: c\r\n" * 10_000])
async def test_head_without_end_is_refused_while_it_comes(proxy, start, part):
    async with Connection.to(proxy) as connection:
        await connection.send(start)
        for _ in range(4):
            await connection.send(part)
        assert (await to_end(connection)).startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 "))


@pytest.mark.parametrize("target", [b"/job/" + b"x" * 70_000, b"/?" + LARGE * 2])
async def test_long_head_that_comes_at_once_is_refused(proxy, target):
    async with Connection.to(proxy) as connection:
        await connection.send(request(b"GET", target))
        answer = await to_end(connection)
    assert answer.startswith(b"HTTP/1.1 431 ")
    problem = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert problem["detail"].startswith("The request line and the headers are longer than 65536 bytes")


async def test_client_that_writes_a_long_head_before_it_reads_gets_the_answer(proxy):
    async with Connection.to(proxy) as connection:
        connection.writer.write(b"GET / HTTP/1.1\r\nX: " + b"x" * 5_000_000)
        await connection.writer.drain()
        assert (await to_end(connection)).startswith(b"HTTP/1.1 431 ")


async def test_what_is_no_http_gets_a_problem(proxy):
    async with Connection.to(proxy) as connection:
        await connection.send(b"\x16\x03\x01\x02\x00")
        answer = await to_end(connection)
    assert b"application/problem+json" in answer
    assert b"urn:inferq:problem:bad-request" in answer


@pytest.mark.parametrize(
    "sent",
    [
        request(b"CONNECT", b"proxy:80"),
        request(b"CONNECT", b"/predict", BODY),
        request(b"GET", b"http://proxy", headers=[b"Connection: Upgrade", b"Upgrade: h2c"]),
        chunked(BODY)[:-5] + b"zz\r\n",
        chunked(BODY)[:-5] + b"0\r\nContent-Length: 5\r\n\r\n",
    ],
)
async def test_request_that_cannot_be_read_gets_a_problem(proxy, announced, sent):
    for pieces in ([sent], [sent[:-4], sent[-4:]]):
        async with Connection.to(proxy) as connection:
            await connection.send(*pieces)
            answer = await to_end(connection)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"urn:inferq:problem:bad-request" in answer


@pytest.mark.parametrize("bad", [b"\0\1\2\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + LARGE * 20])
async def test_what_came_whole_is_answered_before_what_cannot_be_read(proxy, announced, bad):
    ahead = [request(body=BODY), request(b"GET", b"/jobs"), request(body=BODY)]
    async with Connection.to(proxy) as connection:
        await connection.send(b"".join(ahead) + bad)
        answers = (await to_end(connection)).split(b"HTTP/1.1 ")[1:]
    assert [answer[:3] for answer in answers][:3] == [b"202", b"200", b"202"]
    assert answers[3][:3] in (b"400", b"431")


async def test_trailers_are_no_headers(proxy, announced):
    trailers = b"Content-Encoding: gzip\r\nIdempotency-Key: a b\r\nPrefer: wait=0\r\n\r\n"
    async with Connection.to(proxy) as connection:
        for ahead in (b"", request(b"GET", b"/jobs")):
            await connection.send(ahead + chunked(BODY)[:-2] + trailers)
            if ahead:
                assert b" 200 " in await connection.answer()
            answer = await connection.answer()
            assert answer.startswith(b"HTTP/1.1 202 ")
            assert b"preference-applied" not in answer


async def test_stream_ends_with_its_client_though_requests_wait_behind_it(proxy, redis_client, monkeypatch):
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0.1)  # only writing shows that the client has left
    redis_client.set("job:waiting:data", BODY)
    async with Connection.to(proxy) as connection:
        await connection.send(request(b"GET", b"/job/waiting/events") + request(b"GET", b"/jobs"))
        wait_until(lambda: len(proxy.subscriber) == 1, what="the stream")
    proxy.wait_until_unused()


async def test_request_behind_one_that_waits_is_not_given_up_before_its_turn(settings, redis_client):
    redis_client.set("job:waiting:data", BODY)
    settings = settings.model_copy(update={"request_timeout_seconds": 2.0})
    with serving(settings) as proxy:
        async with Connection.to(proxy) as connection:
            await connection.send(request(b"GET", b"/job/waiting?wait=3") + b"GET /jobs HTTP/1.1\r\n")
            assert b" 200 " in await connection.answer()
            await connection.send(b"Host: proxy\r\n\r\n")
            assert b" 200 " in await connection.answer()


async def test_connection_that_says_nothing_is_closed(impatient):
    async with Connection.to(impatient) as connection:
        assert await to_end(connection) == b""


@pytest.mark.parametrize("begun", [b"GET /job/x HTTP/1.1\r\nHost: x\r\n", request(body=BODY)[:-1]])
async def test_request_that_stops_or_trickles_is_given_up(impatient, announced, begun):
    async with Connection.to(impatient) as paused, Connection.to(impatient) as trickling:
        await paused.send(begun)

        async def trickle():
            for number in range(len(begun)):
                await trickling.send(begun[number : number + 1])
                await asyncio.sleep(0.1)

        sending = asyncio.create_task(trickle())
        for connection in (paused, trickling):
            answer = await to_end(connection)
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert b"urn:inferq:problem:request-timeout" in answer
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


async def test_who_waits_or_rests_is_not_given_up(settings, announced, redis_client):
    redis_client.set("job:waiting:data", BODY)
    settings = settings.model_copy(update={"request_timeout_seconds": 1.0})
    with serving(settings, timeout_keep_alive=20) as proxy:
        async with Connection.to(proxy) as connection:
            for _ in range(2):
                await connection.send(request(b"GET", b"/job/waiting?wait=2"))
                assert b" 200 " in await connection.answer()
                await asyncio.sleep(1.5)
            await connection.send(UPGRADE)
            assert b" 101 " in await connection.answer()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.5):
                    await connection.reader.read(1)


async def test_upgrade_comes_after_the_answers_to_what_was_sent_before(proxy, announced):
    async with Connection.to(proxy) as connection:
        late = request(body=BODY, headers=[b"Prefer: wait=0"])
        ahead = [request(body=BODY), request(b"GET", b"/job/x/events"), late]
        await connection.send(b"".join(ahead) + UPGRADE)
        found = [(await connection.answer())[9:12] for _ in range(4)]
    assert found == [b"202", b"404", b"202", b"101"]


@pytest.mark.parametrize("upgrade", [TO_SOCKET, [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c"]])
@pytest.mark.parametrize("whole", [True, False])
async def test_wish_to_upgrade_a_request_with_a_body_is_passed_over(proxy, announced, upgrade, whole):
    sent = request(body=BODY, headers=upgrade) + request(b"GET", b"/health/live") + request(body=BODY)
    async with Connection.to(proxy) as connection:
        await connection.send(*([sent] if whole else (sent[:50], sent[50:-70], sent[-70:])))
        found = [(await connection.answer())[9:12] for _ in range(3)]
    assert found == [b"202", b"200", b"202"]


async def test_client_that_half_closes_gets_its_answers(proxy, announced, redis_client):
    redis_client.set("job:waiting:data", BODY)
    for sent, statuses in (
        ([request(body=BODY)], [b"202"]),
        ([request(b"GET", b"/health/live")], [b"200"]),
        ([request(body=BODY)] * 3 + [request(b"GET", b"/jobs")], [b"202"] * 3 + [b"200"]),
        ([request(body=BODY, headers=[b"Prefer: wait=20"])], [b"202"]),
        ([request(b"GET", b"/job/waiting?wait=20")], [b"200"]),
    ):
        async with Connection.to(proxy) as connection:
            connection.writer.write(b"".join(sent))
            connection.writer.write_eof()
            answers = await to_end(connection)
        assert [part[:3] for part in answers.split(b"HTTP/1.1 ")[1:]] == statuses
    proxy.wait_until_unused()


async def test_client_that_half_closes_within_a_request_is_let_go(proxy):
    for sent in (request(body=BODY)[:-1], request(body=BODY)[:20], request(body=LARGE * 2)[:-1]):
        async with Connection.to(proxy) as connection:
            connection.writer.write(sent)
            connection.writer.write_eof()
            assert b" 202 " not in await to_end(connection)


async def test_messages_that_do_not_end_are_counted_and_given_up(settings, announced):
    settings = settings.model_copy(update={"max_inflight_bytes": 300_000, "max_body_bytes": 250_000})
    options = {"ws": LimitedWebSocket, "ws_ping_interval": 0.5}
    with serving(settings.model_copy(update={"request_timeout_seconds": 2.0}), **options) as proxy:
        budget = proxy.app.state.services.body_budget

        async def pieces(most):
            for _ in range(most):
                yield "x" * 10_000
            await asyncio.sleep(30)

        async def dawdle(socket, most):
            await socket.send(pieces(most))

        async with connect(proxy.socket_url("/ws")) as one, connect(proxy.socket_url("/ws")) as other:
            sending = [asyncio.create_task(dawdle(one, 20))]
            while budget.taken < 190_000:
                await asyncio.sleep(0.01)
            sending.append(asyncio.create_task(dawdle(other, 20)))
            with pytest.raises(ConnectionClosed, match="1013"):
                await asyncio.wait_for(other.recv(), 60)
            with pytest.raises(ConnectionClosed, match=r"1013.*stopped"):
                await asyncio.wait_for(one.recv(), 60)
            for task in sending:
                task.cancel()
            await asyncio.gather(*sending, return_exceptions=True)
        while budget.taken:
            await asyncio.sleep(0.01)
        async with connect(proxy.socket_url("/ws")) as socket:
            await socket.send(iter(["{", *([" "] * 3000), '"data": [[1,2,3,4]]}']))
            assert json.loads(await asyncio.wait_for(socket.recv(), 60))["event"] == "accepted"
