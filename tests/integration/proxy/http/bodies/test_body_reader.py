"""Request bodies as they come in: compressed, marked, slow, long, and many at once."""

import asyncio
import gzip
import http.client
import json
import zlib

import pytest
from websockets.asyncio.client import connect

from inferq.proxy.app import create_app
from tests.integration.proxy.serving import serving
from tests.integration.proxy.transport.test_fast_protocol import BODY, Connection, request
from tests.integration.proxy.transport.test_fast_route import client_of

LONG = b'{"data": [' + b"[5.1,3.5,1.4,0.2]," * 10_000 + b"[1,2,3,4]]}"
MARK = b"\xef\xbb\xbf"


def kind_of(answer):
    return answer.status_code, answer.json().get("type", "").rpartition(":")[2]


def bare(body):
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(body) + compressor.flush()


@pytest.mark.parametrize(
    ("coding", "compress"),
    [("gzip", gzip.compress), ("X-GZIP", gzip.compress), ("deflate", zlib.compress), ("deflate", bare)],
)
@pytest.mark.parametrize("body", [BODY, LONG, MARK + BODY])
async def test_compressed_body_is_taken(client, announced, coding, compress, body):
    for path, sent in (("/predict", body), ("/predict/batch", b'{"jobs": [%b]}' % BODY)):
        answer = await client.post(path, content=compress(sent), headers={"Content-Encoding": coding})
        assert answer.status_code == 202, answer.text


@pytest.mark.parametrize("path", ["/predict", "/predict/batch", "/jobs/status"])
async def test_compressed_body_that_cannot_be_read_is_refused(client, path):
    whole = gzip.compress(BODY)
    for coding, body, expected in (
        ("br", BODY, (415, "unsupported-encoding")),
        ("gzip, gzip", whole, (415, "unsupported-encoding")),
        ("gzip", BODY, (400, "invalid-json")),
        ("deflate", BODY, (400, "invalid-json")),
        ("gzip", whole[:-9], (400, "invalid-json")),
        ("gzip", whole + whole, (400, "invalid-json")),
        ("gzip", b"", (400, "invalid-json")),
    ):
        answer = await client.post(path, content=body, headers={"Content-Encoding": coding})
        assert kind_of(answer) == expected
        assert answer.headers.get("accept-encoding") == ("gzip, deflate" if expected[0] == 415 else None)


async def test_body_that_is_long_once_decompressed_is_too_large(settings, make_client):
    client = await make_client(settings.model_copy(update={"max_body_bytes": 100_000}))
    bomb = gzip.compress(b" " * 100_000_000)
    answer = await client.post("/predict", content=bomb[:90_000], headers={"Content-Encoding": "gzip"})
    assert kind_of(answer) == (413, "body-too-large")


@pytest.mark.parametrize("body", [BODY, LONG])
async def test_byte_order_mark_is_passed_over(client, announced, body):
    assert (await client.post("/predict", content=MARK + body)).status_code == 202


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
async def test_other_encoding_is_named(client, encoding):
    answer = await client.post("/predict", content=BODY.decode().encode(encoding))
    assert kind_of(answer) == (400, "invalid-json")
    assert "Send it in UTF-8" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "status"),
    [(LONG, 202), (LONG.replace(b"[1,2,3,4]", b"[1,2,3]"), 422), (LONG[:-1], 400), (b" " * 200_000, 400)],
)
async def test_long_body_is_answered_as_a_short_one(client, announced, redis_client, body, status):
    answer = await client.post("/predict", content=body)
    assert answer.status_code == status
    if status == 202:
        stored = redis_client.get(f"job:{answer.json()['job_id']}:data")
        assert json.loads(stored) == json.loads(body)["data"]
    elif status == 422:
        assert "data[10000] has 3 values, but model 'iris' expects 4" in answer.json()["detail"]


async def test_long_batch_is_answered_as_a_short_one(client, announced, redis_client):
    jobs = [json.loads(BODY) for _ in range(5000)]
    answer = await client.post("/predict/batch", json={"jobs": jobs})
    assert answer.status_code == 202
    assert redis_client.lrange("queue:iris", 0, -1)[::-1] == [
        one.encode() for one in answer.json()["job_ids"]
    ]
    answer = await client.post("/predict/batch", json={"jobs": [*jobs, {"data": [[1]]}]})
    assert answer.json()["detail"].startswith("jobs[5000]: data[0] has 1 values")
    answer = await client.post("/jobs/status", json={"job_ids": ["x" * 40] * 5000})
    assert answer.json() == {"jobs": [None] * 5000}


async def test_job_of_a_long_body_belongs_to_its_owner_and_key(
    settings, announced, make_client, redis_client
):
    headers = {"Idempotency-Key": "k"}
    client = await make_client(settings)
    first, second = [await client.post("/predict", content=LONG, headers=headers) for _ in range(2)]
    assert first.json() == second.json()
    assert redis_client.llen("queue:iris") == 1


async def test_long_message_of_a_socket_is_taken(proxy, announced):
    async with connect(proxy.socket_url("/ws"), max_size=None) as socket:
        await socket.send(json.dumps({"ref": "long", "data": json.loads(LONG)["data"]}))
        message = json.loads(await socket.recv())
        assert (message["event"], message["ref"]) == ("accepted", "long")
        await socket.send(json.dumps({"ref": "bad", "data": json.loads(LONG)["data"] + [[1]]}))
        while message["event"] != "error":
            message = json.loads(await socket.recv())
        assert (message["ref"], message["problem"]["status"]) == ("bad", 422)


async def test_body_that_stops_or_trickles_is_given_up(settings, announced):
    settings = settings.model_copy(update={"request_timeout_seconds": 2.0})
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
    with serving(settings) as proxy:
        async with Connection.to(proxy) as paused, Connection.to(proxy) as trickling:
            await paused.send(head + b"{" * 70_000)

            async def trickle():
                await trickling.send(head)
                while True:
                    await trickling.send(b" ")

            sending = asyncio.create_task(trickle())
            for connection in (paused, trickling):
                answer = await connection.answer()
                assert b" 408 " in answer
                assert b"urn:inferq:problem:request-timeout" in answer
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)


async def test_body_that_comes_slowly_but_goes_on_is_taken(settings, announced):
    settings = settings.model_copy(update={"request_timeout_seconds": 2.0})
    with serving(settings) as proxy:
        async with Connection.to(proxy) as connection:
            whole = request(body=LONG)
            for first in range(0, len(whole), 20_000):
                await connection.send(whole[first : first + 20_000])
                await asyncio.sleep(0.3)
            assert b" 202 " in await connection.answer()


async def test_bodies_under_way_have_a_limit(settings, announced):
    settings = settings.model_copy(update={"max_inflight_bytes": 500_000, "max_body_bytes": 400_000})
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n"
    budget = None
    with serving(settings) as proxy:
        budget = proxy.app.state.services.body_budget
        async with Connection.to(proxy) as one, Connection.to(proxy) as other, Connection.to(proxy) as third:
            await one.send(head + b" " * 299_999)
            while budget.taken < 299_999:
                await asyncio.sleep(0.01)
            await other.send(head + b" " * 299_999)
            answer = await other.answer()
            assert b" 503 " in answer
            assert b"retry-after: R" in answer
            assert b"urn:inferq:problem:overloaded" in answer
            await third.send(request(body=BODY))  # short ones are not counted
            assert b" 202 " in await third.answer()
            await one.send(b" ")
            assert b" 400 " in await one.answer()
            while budget.taken:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("connection", ["close", "keep-alive"])
def test_client_that_writes_all_before_it_reads_gets_the_answer(settings, announced, connection):
    chosen = settings.model_copy(update={"max_body_bytes": 100_000, "api_keys": f"ann:{'0' * 64}"})
    body = b" " * 20_000_000
    for used, status in ((chosen.model_copy(update={"api_keys": ""}), 413), (chosen, 401)):
        with serving(used) as proxy:
            for path in ("/predict", "/predict/batch", "/jobs/status"):
                client = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=60)
                client.request("POST", path, body, {"Connection": connection})
                assert client.getresponse().status == status
                client.close()


async def test_rest_of_a_refused_body_is_not_taken_in_for_ever(settings, monkeypatch):
    monkeypatch.setattr("inferq.proxy.http.http_rules.DRAIN_SECONDS", 0.2)
    settings = settings.model_copy(update={"max_body_bytes": 1000})
    with serving(settings) as proxy:
        async with Connection.to(proxy) as connection:
            await connection.send(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n{")
            assert b"connection: close" in await connection.answer()
            assert await connection.is_closed()


async def test_short_rest_of_a_refused_body_costs_no_connection(settings):
    settings = settings.model_copy(update={"api_keys": f"ann:{'0' * 64}"})
    with serving(settings) as proxy:
        async with Connection.to(proxy) as connection:
            for _ in range(3):
                await connection.send(request(body=BODY)[:-5], request(body=BODY)[-5:])
                answer = await connection.answer()
                assert b" 401 " in answer
                assert b"connection: close" not in answer


async def test_words_about_a_long_body_help_for_a_single_input(settings):
    client = client_of(create_app(settings.model_copy(update={"max_body_bytes": 1000})))
    detail = (await client.post("/predict", content=LONG)).json()["detail"]
    assert "fewer rows in each job, a smaller picture, or numbers as .npy" in detail
