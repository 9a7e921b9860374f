"""Long bodies that the protocol receives directly are what the client sent, under the same rules."""

import asyncio
import re
from itertools import pairwise

import pytest
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from inferq.proxy.app import create_app
from inferq.proxy.transport import body_receiver
from inferq.proxy.transport.fast_protocol import FastProtocol
from tests.integration.proxy.serving import serving
from tests.integration.proxy.transport.test_fast_protocol import Connection, answers_to, chunked, request

ROWS = b",".join(b"[%d,2,3,4]" % number for number in range(60_000))
LONG = b'{"data": [%b]}' % ROWS  # 0.8 MB
SHORT = b'{"data": [[1,2,3,4]]}'
HELLO = request(b"GET", b"/health/live")


def split(sent, *ends):
    return [sent[begin:end] for begin, end in pairwise((0, *ends, len(sent)))]


@pytest.fixture(params=[None, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def both(request, settings, announced, monkeypatch):
    """A proxy that receives long bodies directly, and one with uvicorn's own protocol."""
    settings = settings.model_copy(update={"request_timeout_seconds": 60.0, "max_body_bytes": 4_000_000})
    with (
        serving(settings, loop_factory=request.param) as fast,
        serving(settings, HttpToolsProtocol, loop_factory=request.param) as plain,
    ):
        yield fast, plain


@pytest.fixture
def direct(monkeypatch):
    """How many bodies were received directly to their end."""
    found = []
    skip_body = FastProtocol.skip_body

    def skip_and_note(protocol):
        found.append(protocol)
        skip_body(protocol)

    monkeypatch.setattr(FastProtocol, "skip_body", skip_and_note)
    return found


PIECES = [
    [request(body=LONG)],
    split(request(body=LONG), 100, 70_000, 70_001, 300_000, 800_000),
    split(request(body=LONG), 65_000, -1),
    [*split(request(body=LONG), 200_000, -5)[:-1], request(body=LONG)[-5:] + HELLO],
    [request(body=LONG) + HELLO],
]


async def test_answers_are_the_same_byte_by_byte(both, direct):
    for path in (b"/predict", b"/v2/models/iris/infer", b"/predict/batch"):
        for pieces in PIECES:
            sent = [pieces[0].replace(b"/predict", path, 1), *pieces[1:], HELLO]
            fast, plain = await answers_to(both, *sent, count=b"".join(sent).count(b"HTTP/1.1"))
            assert fast == plain
    assert direct


async def test_body_is_stored_as_it_was_sent(both, direct, redis_client):
    for ends in ((), (100, 70_000, 300_000), (200_000,)):
        async with Connection.to(both[0]) as connection:
            for _ in range(2):  # on one connection
                await connection.send(*split(request(body=LONG), *ends))
                assert b" 202 " in await connection.answer()
    stored = [redis_client.get(key) for key in redis_client.keys("job:*:data")]
    assert len(stored) == 6
    assert all(ROWS in one for one in stored)
    assert len(direct) >= 5


async def test_large_body_is_received_part_by_part(both, direct, redis_client, monkeypatch):
    monkeypatch.setattr(body_receiver, "_READ_BYTES", 20_000)
    async with Connection.to(both[0]) as connection:
        await connection.send(request(body=LONG) + HELLO)
        assert b" 202 " in await connection.answer()
        assert b" 200 " in await connection.answer()
    [stored] = [redis_client.get(key) for key in redis_client.keys("job:*:data")]
    assert ROWS in stored
    assert direct


OTHERS = [
    chunked(LONG[:100_000], LONG[100_000:]),
    request(body=LONG, headers=[b"Connection: close"]),
    request(body=LONG, headers=[b"Expect: 100-continue"]),
    request(body=LONG, version=b"1.0"),
    request(body=LONG[:60_000]),
]


async def test_other_bodies_are_received_as_ever(both, direct):
    for sent in OTHERS:
        fast, plain = await answers_to(both, *split(sent, 70_000, 300_000))
        assert fast == plain


EARLY = [
    request(path=b"/nothing", body=LONG),
    request(path=b"/v2/models/iris/infer", body=LONG, headers=[b"Inference-Header-Content-Length: x"]),
    request(body=b" " * 5_000_000),
]


async def test_early_answer_is_followed_by_the_rest_of_the_body(both):
    for sent in EARLY:
        found = []
        for proxy in both:
            async with Connection.to(proxy) as connection:
                await connection.send(*split(sent, 100, 70_000, 300_000))
                found.append(await connection.answer())
                assert await connection.is_closed()
        assert found[0] == found[1]
        assert b"connection: close" in found[0]


async def test_slow_body_is_given_up_and_its_rest_drained(settings, announced):
    found = []
    for http in (FastProtocol, HttpToolsProtocol):
        with serving(settings.model_copy(update={"request_timeout_seconds": 1.0}), http) as proxy:
            async with Connection.to(proxy) as connection:
                first, rest = split(request(body=LONG), 300_000)
                await connection.send(first)
                found.append(await connection.answer())
                await connection.send(rest)
                assert await connection.is_closed()
            assert proxy.app.state.services.body_budget.taken == 0
    assert found[0] == found[1]
    assert b" 408 " in found[0]


async def test_body_beyond_the_budget_is_refused_while_it_arrives(both, monkeypatch):
    found = []
    for proxy in both:
        budget = proxy.app.state.services.body_budget
        budget._most = 500_000
        async with Connection.to(proxy) as connection:
            await connection.send(*split(request(body=LONG), 300_000, 400_000, 600_000))
            found.append(await connection.answer())
            assert await connection.is_closed()
        assert budget.taken == 0
    # how much had arrived by then is chance
    first, second = (re.sub(rb"(bodies of|content-length:) \d+", rb"\1 N", answer) for answer in found)
    assert first == second
    assert b"urn:inferq:problem:overloaded" in found[0]


@pytest.mark.parametrize("is_half", [False, True], ids=["closed", "half closed"])
async def test_client_that_goes_away_within_a_body_leaves_nothing_behind(both, redis_client, is_half):
    budget = both[0].app.state.services.body_budget
    async with Connection.to(both[0]) as connection:
        await connection.send(request(body=LONG)[:300_000])
        async with asyncio.timeout(30):
            while not budget.taken:
                await asyncio.sleep(0.01)
        if is_half:
            connection.writer.write_eof()
            assert await connection.is_closed()
    async with asyncio.timeout(30):
        while budget.taken:
            await asyncio.sleep(0.01)
    assert redis_client.keys("job:*") == []
    async with Connection.to(both[0]) as connection:
        await connection.send(request(body=SHORT))
        assert b" 202 " in await connection.answer()


async def test_client_that_closes_its_side_behind_a_body_gets_the_answer(both):
    async with Connection.to(both[0]) as connection:
        await connection.send(*split(request(body=LONG), 300_000))
        connection.writer.write_eof()
        assert b" 202 " in await connection.answer()
        assert await connection.is_closed()


async def test_unknown_middleware_sees_every_part_of_a_body(settings, announced, direct):
    app, seen = create_app(settings), []

    class Counting:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            async def receive_and_count():
                message = await receive()
                seen.append(len(message.get("body", b"")))
                return message

            await self.app(scope, receive_and_count, send)

    app.add_middleware(Counting)
    with serving(settings, app=app) as proxy:
        async with Connection.to(proxy) as connection:
            await connection.send(request(body=LONG))
            assert b" 202 " in await connection.answer()
    assert sum(seen) == len(LONG)
    assert not direct
