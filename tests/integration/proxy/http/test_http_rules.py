"""HEAD, and an application that is not at the root."""

import pytest

from tests.integration.proxy.serving import serving
from tests.integration.proxy.transport.test_fast_protocol import BODY, Connection, request


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/",
            "/health",
            "/health/live",
            "/health/ready",
            "/metadata",
            "/models",
            "/models/iris",
            "/models/x",
        ),
        *("/job/done", "/job/x", "/job/done?wait=x", "/jobs", "/queue", "/openapi.json", "/docs"),
        *("/predict", "/nosuch"),
    ],
)
async def test_head_is_get_without_the_body(client, announced, redis_client, path):
    redis_client.set("job:done:status", "completed")
    redis_client.set("job:done:result", "[1]")
    client.headers["X-Request-ID"] = "the-same"
    head, get = await client.head(path), await client.get(path)
    assert head.status_code == get.status_code
    assert head.headers == get.headers
    assert head.content == b""


async def test_head_on_a_connection_is_followed_by_the_next_answer(proxy, announced, redis_client):
    redis_client.set("job:waiting:data", BODY)
    async with Connection.to(proxy) as connection:
        for path in (b"/job/waiting", b"/health/live", b"/job/waiting/events", b"/job/x", b"/openapi.json"):
            await connection.send(request(b"HEAD", path))
            assert (await connection.answer(has_body=False))[9:12] in (b"200", b"404")
        await connection.send(request(b"GET", b"/health/live"))
        assert b" 200 " in await connection.answer()
    proxy.wait_until_unused()


async def test_what_takes_get_says_that_it_takes_head(client):
    assert (await client.put("/queue")).headers["allow"] == "GET, HEAD"
    assert (await client.put("/predict")).headers["allow"] == "POST"


async def test_links_begin_with_the_root_path(settings, announced):
    with serving(settings, root_path="/inferq") as proxy:
        async with proxy.client() as client:  # the reverse proxy has taken the prefix away
            answer = await client.post("/predict", content=BODY)
            assert answer.headers["location"] == f"/inferq/job/{answer.json()['job_id']}"
            tested = await client.post("/predict/test")
            assert tested.headers["location"].startswith("/inferq/job/")
            links = (await client.get("/")).json()["links"]
            assert all(path.startswith("/inferq/") for path in links.values())
            assert (await client.get("/job/nosuch")).json()["instance"] == "/inferq/job/nosuch"
            assert (await client.get("/openapi.json")).json()["servers"] == [{"url": "/inferq"}]
            refused = await client.get("/predict")
            assert (refused.headers["allow"], refused.json()["instance"]) == ("POST", "/inferq/predict")


async def test_example_waits_where_it_is_preferred(client, announced, consumer):
    answer = await client.post("/predict/test", headers={"Prefer": "wait=0"})
    assert (answer.status_code, answer.headers["preference-applied"]) == (202, "wait=0")
