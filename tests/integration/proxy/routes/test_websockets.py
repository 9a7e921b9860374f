"""WebSockets, on a real socket, with a real client."""

import asyncio
import hashlib
import json
from itertools import groupby

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from inferq.proxy.services.jobs import websocket_session
from inferq.settings import Settings
from tests.integration.proxy.answers import DATA
from tests.integration.proxy.http.test_prefer import finish, submitted
from tests.integration.proxy.serving import serving
from tests.servers import free_port


@pytest.fixture
async def client(proxy):
    async with proxy.client() as client:
        yield client


async def receive(socket):
    return json.loads(await asyncio.wait_for(socket.recv(), 60))


async def closed(socket):
    """The code and the reason with which the other side closes."""
    with pytest.raises(ConnectionClosed) as caught:
        await asyncio.wait_for(socket.recv(), 60)
    return caught.value.rcvd.code, caught.value.rcvd.reason


async def test_socket_tells_each_change_of_a_job_then_closes(proxy, client, consumer):
    [job_id] = await submitted(client)
    async with connect(proxy.socket_url(f"/job/{job_id}/ws")) as socket:
        assert (await receive(socket))["job"]["status"] == "pending"
        await socket.send("whatever a client sends here is passed over")
        finish(consumer)
        messages = [await receive(socket)]
        if messages[-1]["event"] != "end":
            messages.append(await receive(socket))
        assert (await closed(socket))[0] == 1000
    assert messages[-1]["event"] == "end"
    assert messages[-1]["job"] == (await client.get(f"/job/{job_id}")).json()
    proxy.wait_until_unused()


async def test_socket_of_an_unknown_job_is_closed_with_a_reason(proxy):
    async with connect(proxy.socket_url("/job/nosuch/ws")) as socket:
        code, reason = await closed(socket)
    assert code == 4404
    assert "There is no job 'nosuch'" in reason


async def test_socket_is_closed_with_try_again_later_while_redis_is_away():
    settings = Settings(redis_url=f"redis://127.0.0.1:{free_port()}/0", redis_timeout_seconds=0.3)
    with serving(settings) as proxy:
        async with connect(proxy.socket_url("/job/x/ws")) as socket:
            assert (await closed(socket))[0] == 1013
        async with connect(proxy.socket_url("/ws")) as socket:
            await socket.send(json.dumps(DATA | {"ref": "a"}))
            message = await receive(socket)
    assert (message["event"], message["ref"]) == ("error", "a")
    assert message["problem"]["type"] == "urn:inferq:problem:redis-unavailable"


async def test_client_that_goes_away_leaves_nothing_behind(proxy, client, announced):
    [job_id] = await submitted(client)
    async with connect(proxy.socket_url(f"/job/{job_id}/ws")) as socket:
        await receive(socket)
    proxy.wait_until_unused()
    async with connect(proxy.socket_url("/ws")) as socket:
        for _ in range(3):
            await socket.send(json.dumps(DATA))
        for _ in range(6):
            await receive(socket)
        assert len(proxy.subscriber) == 3
    proxy.wait_until_unused()


async def test_one_connection_submits_and_receives_many_jobs(proxy, client, announced, consumer):
    count = 50
    async with connect(proxy.socket_url("/ws")) as socket:
        for number in range(count):
            await socket.send(json.dumps(DATA | {"ref": str(number)}))
        messages = [await receive(socket) for _ in range(2 * count)]
        finish(consumer, count)
        while sum(message["event"] == "end" for message in messages) < count:
            messages.append(await receive(socket))
    by_ref = groupby(sorted(messages, key=lambda message: message["ref"]), lambda message: message["ref"])
    for _, group in by_ref:
        first, *rest = group
        assert first["event"] == "accepted"
        assert {message["job"]["job_id"] for message in rest} == {first["job_id"]}
        statuses = [message["job"]["status"] for message in rest]
        assert (statuses[0], statuses[-1]) == ("pending", "completed")
    proxy.wait_until_unused()


async def test_job_of_another_request_is_watched(proxy, client, consumer):
    [job_id] = await submitted(client)
    async with connect(proxy.socket_url("/ws")) as socket:
        await socket.send(json.dumps({"watch": job_id, "ref": "mine"}))
        assert (await receive(socket))["job"]["job_id"] == job_id
        await socket.send(json.dumps({"watch": "nosuch"}))
        message = await receive(socket)
        assert (message["event"], message["ref"]) == ("error", None)
        assert message["problem"]["type"] == "urn:inferq:problem:job-not-found"
        finish(consumer)
        while message["event"] != "end":
            message = await receive(socket)
    assert (message["ref"], message["job"]["status"]) == ("mine", "completed")


@pytest.mark.parametrize(
    ("message", "kind", "ref"),
    [
        ("{", "invalid-json", None),
        ("[]", "invalid-json", None),
        ("\0", "invalid-json", None),
        (b"\xff", "invalid-json", None),
        ("{}", "invalid-input", None),
        ('{"ref": "a"}', "invalid-input", "a"),
        ('{"ref": 5, "data": [[1,2,3,4]]}', "invalid-input", None),
        (f'{{"ref": "{"x" * 257}", "data": [[1,2,3,4]]}}', "invalid-input", None),
        ('{"ref": "a", "data": [[1,2,3]]}', "invalid-input", "a"),
        ('{"ref": "a", "data": [[1,2,3,true]]}', "invalid-input", "a"),
        ('{"ref": "a", "data": [[1,2,3,4]], "data": [[1,2,3,4]]}', "invalid-input", "a"),
        ('{"ref": "a", "data": [[1,2,3,4]], "model": "nosuch"}', "unknown-model", "a"),
        ('{"watch": 5}', "invalid-input", None),
        ('{"watch": "a", "watch": "b"}', "invalid-input", None),
        ('{"watch": "x", "data": [[1,2,3,4]]}', "invalid-input", None),
        (f'{{"watch": "{"x" * 300}"}}', "job-not-found", None),
    ],
)
async def test_bad_message_is_answered_with_a_problem_and_the_connection_lives_on(
    proxy, announced, message, kind, ref
):
    async with connect(proxy.socket_url("/ws")) as socket:
        await socket.send(message)
        answer = await receive(socket)
        assert (answer["event"], answer["ref"]) == ("error", ref)
        assert answer["problem"]["type"] == f"urn:inferq:problem:{kind}"
        await socket.send(json.dumps(DATA | {"ref": "next"}))
        assert (await receive(socket))["event"] == "accepted"


async def test_message_that_is_too_long_is_answered_with_a_problem(settings):
    with serving(settings.model_copy(update={"max_body_bytes": 100})) as proxy:
        async with connect(proxy.socket_url("/ws")) as socket:
            await socket.send("x" * 101)
            assert (await receive(socket))["problem"]["type"] == "urn:inferq:problem:body-too-large"


async def test_connection_follows_a_bounded_number_of_jobs(proxy, announced, consumer, monkeypatch):
    monkeypatch.setattr(websocket_session, "MOST_JOBS", 2)
    async with connect(proxy.socket_url("/ws")) as socket:
        for _ in range(2):
            await socket.send(json.dumps(DATA))
            assert {(await receive(socket))["event"] for _ in range(2)} == {"accepted", "status"}
        await socket.send(json.dumps(DATA | {"ref": "one too many"}))
        message = await receive(socket)
        assert message["problem"]["type"] == "urn:inferq:problem:queue-full"
        finish(consumer, 2)
        ended = 0
        while ended < 2:
            ended += (await receive(socket))["event"] == "end"
        await socket.send(json.dumps(DATA))
        assert (await receive(socket))["event"] == "accepted"


async def test_fault_of_ours_is_a_problem_that_shows_nothing_of_the_inside(proxy, announced, monkeypatch):
    monkeypatch.setattr(websocket_session, "run_check", lambda *_: 1 / 0)
    async with connect(proxy.socket_url("/ws")) as socket:
        await socket.send(json.dumps(DATA))
        message = await receive(socket)
    assert message["problem"]["type"] == "urn:inferq:problem:internal"
    assert "division" not in message["problem"]["detail"]


async def test_keys_guard_sockets_and_jobs_belong_to_their_owners(settings, announced):
    keys = {name: f"iq_{name}" for name in ("ann", "ben")}
    known = ",".join(f"{name}:{hashlib.sha256(key.encode()).hexdigest()}" for name, key in keys.items())
    ann, ben = ({"Authorization": f"Bearer {key}"} for key in keys.values())
    with serving(settings.model_copy(update={"api_keys": known})) as proxy:
        for path in ("/ws", "/job/x/ws", "/nosuch"):
            for headers in ({}, {"Authorization": "Bearer wrong"}):
                with pytest.raises(InvalidStatus) as caught:
                    await connect(proxy.socket_url(path), additional_headers=headers)
                assert caught.value.response.status_code == 401
                assert json.loads(caught.value.response.body)["type"] == "urn:inferq:problem:unauthorized"
        async with connect(proxy.socket_url("/ws"), additional_headers=ann) as socket:
            await socket.send(json.dumps(DATA))
            job_id = (await receive(socket))["job_id"]
        async with connect(proxy.socket_url("/ws"), additional_headers=ben) as socket:
            await socket.send(json.dumps({"watch": job_id}))
            assert (await receive(socket))["problem"]["type"] == "urn:inferq:problem:job-not-found"
        async with connect(proxy.socket_url(f"/job/{job_id}/ws"), additional_headers=ben) as socket:
            assert (await closed(socket))[0] == 4404
        async with connect(proxy.socket_url(f"/job/{job_id}/ws"), additional_headers=ann) as socket:
            assert (await receive(socket))["job"]["job_id"] == job_id


async def test_without_a_key_a_server_that_cannot_answer_in_http_closes_with_4401(settings, make_client):
    app = (await make_client(settings.model_copy(update={"api_keys": f"ann:{'0' * 64}"}))).app
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "websocket", "path": "/ws", "headers": [], "query_string": b"", "root_path": ""}
    await app(scope, None, send)
    assert [(message["type"], message["code"]) for message in sent] == [("websocket.close", 4401)]
