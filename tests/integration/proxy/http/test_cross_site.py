"""What pages of other sites may do."""

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from inferq.errors import InvalidSettingError
from inferq.settings import load_settings
from tests.integration.proxy.serving import serving
from tests.integration.proxy.transport.test_fast_protocol import BODY

FOREIGN = [
    {"Origin": "https://any-site.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://proxy:81"},
    {"Origin": "http://proxy.example"},
    {"Origin": "no origin"},
    {"Origin": "http://[::1"},
    {"Origin": "http://proxy:99999"},
    {"Origin": "https://any-site.example", "X-Forwarded-Host": "other.example"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]
OWN = [
    {},
    {"Origin": "http://proxy"},
    {"Origin": "https://PROXY:443"},
    {"Origin": "http://proxy:80", "Host": "proxy"},
    {"Origin": "http://127.0.0.1:8000", "Host": "127.0.0.1:8000"},
    {"Origin": "http://[::1]:8000", "Host": "[::1]:8000"},
    {"Origin": "https://app.example", "Host": "10.0.0.1:8000", "X-Forwarded-Host": "app.example"},
    {
        "Origin": "https://app.example",
        "Host": "10.0.0.1",
        "X-Forwarded-Host": "inner, app.example:443",
    },
    {"Origin": "http://proxy", "Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
]


@pytest.mark.parametrize("headers", FOREIGN)
async def test_page_of_another_site_changes_nothing(client, announced, redis_client, headers):
    headers = {"Content-Type": "text/plain", **headers}
    for method, path in (
        ("POST", "/predict"),
        ("POST", "/predict/test"),
        ("DELETE", "/job/x"),
        ("POST", "/job/x/retry"),
    ):
        answer = await client.request(method, path, content=BODY, headers=headers)
        assert answer.status_code == 403
        assert answer.json()["type"] == "urn:inferq:problem:forbidden"
        assert "INFERQ_ALLOWED_ORIGINS" in answer.json()["detail"]
    assert redis_client.llen("queue:iris") == 0
    answer = await client.get("/health/live", headers=headers)  # as by following a link
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("headers", OWN)
async def test_page_of_its_own_and_programs_are_served(client, announced, headers):
    answer = await client.post("/predict", content=BODY, headers=headers)
    assert answer.status_code == 202
    assert "access-control-allow-origin" not in answer.headers


async def test_preflight_of_another_site_gets_no_leave(client):
    headers = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    answer = await client.options("/predict", headers=headers)
    assert answer.status_code == 405
    assert "access-control-allow-origin" not in answer.headers


async def test_allowed_page_may_use_every_method_of_the_api(settings, make_client):
    client = await make_client(settings.model_copy(update={"allowed_origins": "*"}))
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "PUT"}
    leave = await client.options("/models/iris/rollout", headers=asked)
    paths = (await client.get("/openapi.json")).json()["paths"].values()
    methods = {method.upper() for path in paths for method in path}
    assert methods <= set(leave.headers["access-control-allow-methods"].split(", "))


@pytest.mark.parametrize("allowed", ["https://other.example, https://APP.example", "*", "null"])
async def test_allowed_page_is_served_and_may_read(settings, make_client, announced, allowed):
    origin = "null" if allowed == "null" else "https://app.example"
    client = await make_client(
        settings.model_copy(update={"allowed_origins": allowed, "api_keys": f"ann:{'0' * 64}"})
    )
    headers = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
    asked = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, prefer",
    }
    leave = await client.options("/predict", headers=headers | asked)
    assert leave.status_code == 204
    assert leave.headers["access-control-allow-headers"] == "authorization, prefer"
    assert "POST" in leave.headers["access-control-allow-methods"]
    for answer in (leave, await client.post("/predict", content=BODY, headers=headers)):
        assert answer.headers["access-control-allow-origin"] == origin
        assert answer.headers["vary"] == "Origin"
    assert answer.status_code == 401  # which the page may read as well


async def test_socket_of_another_site_is_refused_before_it_opens(settings, announced):
    settings = settings.model_copy(update={"allowed_origins": "https://app.example"})
    with serving(settings) as proxy:
        for path in ("/ws", "/job/x/ws"):
            for origin in ("https://any-site.example", "null"):
                with pytest.raises(InvalidStatus, match="403"):
                    await connect(proxy.socket_url(path), origin=origin)
            for origin in ("https://app.example", f"http://127.0.0.1:{proxy.port}", None):
                async with connect(proxy.socket_url(path), origin=origin):
                    pass


@pytest.mark.parametrize("origins", ["app.example", "https://app.example/", "https://a b", ","])
def test_setting_that_is_no_origin_is_refused(monkeypatch, origins):
    monkeypatch.setenv("INFERQ_ALLOWED_ORIGINS", origins)
    with pytest.raises(InvalidSettingError, match="INFERQ_ALLOWED_ORIGINS"):
        load_settings()
