"""POST /stream-tickets, and what a ticket opens."""

import hashlib
import json

import pytest

from inferq.queue import TICKET_SECONDS
from inferq.settings import Settings
from tests.integration.proxy.answers import DATA, expect_problem
from tests.integration.proxy.http.test_auth import ANN, BEN, bearer, entry
from tests.integration.proxy.routes.test_events import Stream
from tests.integration.proxy.serving import serving


@pytest.fixture
def guarded(settings):
    return settings.model_copy(update={"api_keys": ",".join([entry("ann", ANN), entry("ben", BEN)])})


@pytest.fixture
def proxies(guarded):
    with serving(guarded) as one, serving(guarded) as two:
        yield one, two


async def issue(client, key=ANN):
    answer = await client.post("/stream-tickets", headers=bearer(key))
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    assert answer.json().keys() == {"ticket", "expires_in"}
    assert answer.json()["expires_in"] == 30
    return answer.json()["ticket"]


async def read_first(client, path, ticket):
    async with client.stream("GET", path, params={"ticket": ticket}) as response:
        assert response.status_code == 200
        return json.loads((await anext(Stream(response)))["data"])


async def test_ticket_opens_one_stream_at_any_proxy_with_the_rights_of_its_key(proxies, announced):
    async with proxies[0].client() as client, proxies[1].client() as other:
        assert "models" in await read_first(other, "/activity", await issue(client))
        job_id = (await client.post("/predict", json=DATA, headers=bearer(ANN))).json()["job_id"]
        events = f"/job/{job_id}/events"
        ticket = await issue(client)
        assert (await read_first(other, events, ticket))["job_id"] == job_id
        for one in (client, other):
            used = await one.get(events, params={"ticket": ticket})
            assert "POST /stream-tickets" in expect_problem(used, 401, "unauthorized")
        others = await other.get(events, params={"ticket": await issue(client, BEN)})
        expect_problem(others, 404, "job-not-found")


async def test_ticket_opens_nothing_but_streams(proxies, announced):
    async with proxies[0].client() as client:
        ticket = await issue(client)
        job_id = (await client.post("/predict", json=DATA, headers=bearer(ANN))).json()["job_id"]
        for method, path in (
            ("GET", "/queue"),
            ("GET", f"/job/{job_id}"),
            ("POST", "/stream-tickets"),
            ("POST", "/activity"),
            ("DELETE", f"/job/{job_id}/events"),
        ):
            answer = await client.request(method, path, params={"ticket": ticket})
            expect_problem(answer, 401, "unauthorized")
        await read_first(client, "/activity", ticket)  # nor has it been used up


@pytest.mark.parametrize("ticket", ["", "x", "x" * 5000, "\xe9\x00", "*"])
async def test_ticket_of_ones_own_making_is_refused(proxies, ticket):
    async with proxies[0].client() as client:
        answer = await client.get("/activity", params={"ticket": ticket})
        expect_problem(answer, 401, "unauthorized")


async def test_redis_has_only_the_digest_and_forgets_it_in_time(proxies, redis_client):
    async with proxies[0].client() as client:
        ticket = await issue(client)
    [key] = redis_client.keys("ticket:*")
    assert key.decode() == f"ticket:{hashlib.sha256(ticket.encode()).hexdigest()}"
    assert redis_client.get(key) == b"ann"
    assert 0 < redis_client.ttl(key) <= TICKET_SECONDS


async def test_servers_access_log_does_not_show_the_ticket(guarded, capsys, announced):
    with serving(guarded, access_log=True, log_level="info") as proxy:
        async with proxy.client() as client:
            ticket = await issue(client)
            await read_first(client, "/activity", ticket)
            await client.get("/activity", params={"other": "kept", "ticket": ticket})
    logged = "".join(capsys.readouterr())
    assert "GET /activity?other=kept" in logged
    assert ticket not in logged


async def test_without_redis_it_is_a_problem_and_the_ticket_can_be_used_afterwards(own_redis_server):
    settings = Settings(redis_url=own_redis_server.url, redis_timeout_seconds=5.0, api_keys=entry("ann", ANN))
    with serving(settings) as proxy:
        async with proxy.client() as client:
            ticket = await issue(client)
            own_redis_server.kill()
            answer = await client.get("/activity", params={"ticket": ticket})
            expect_problem(answer, 503, "redis-unavailable")
            answer = await client.post("/stream-tickets", headers=bearer(ANN))
            expect_problem(answer, 503, "redis-unavailable")
            own_redis_server.start()
            await read_first(client, "/activity", ticket)


async def test_where_no_keys_are_needed_nothing_is_stored_and_any_ticket_will_do(proxy, redis_client):
    async with proxy.client() as client:
        assert await issue(client)
        await read_first(client, "/activity", "anything")
    assert redis_client.keys("ticket:*") == []
