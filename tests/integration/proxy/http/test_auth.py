"""API keys: who may do what, and that they are never shown."""

import hashlib

import pytest

from inferq.errors import InvalidSettingError
from inferq.settings import load_settings
from tests.integration.proxy.answers import DATA, expect_problem
from tests.integration.proxy.routes.test_jobs import failed

ANN, ANN_NEW, BEN = "iq_anns-first", "iq_anns-second", "iq_bens"


def entry(name, key):
    return f"{name}:{hashlib.sha256(key.encode()).hexdigest()}"


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def guarded(settings):
    keys = ",".join([entry("ann", ANN), entry("ann", ANN_NEW), entry("ben", BEN)])
    return settings.model_copy(update={"api_keys": keys})


@pytest.fixture
async def client(guarded, make_client):
    return await make_client(guarded)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"), ("GET", "/models"), ("GET", "/metadata"), ("GET", "/docs"), ("GET", "/openapi.json"),
        ("GET", "/jobs?status=failed"), ("GET", "/job/x"), ("DELETE", "/job/x"), ("POST", "/job/x/retry"),
        ("POST", "/predict"), ("POST", "/predict/test"), ("GET", "/nosuch"), ("GET", "/healthy"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "authorization", [None, "Bearer wrong", f"Basic {ANN}", "Bearer", ANN, "Bearer \xe9"]
)
async def test_without_a_known_key_everything_is_401(client, announced, method, path, authorization):
    headers = {} if authorization is None else {"Authorization": authorization.encode("latin-1")}
    answer = await client.request(method, path, headers=headers)
    assert "Authorization: Bearer KEY" in expect_problem(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
async def test_health_needs_no_key(client, path):
    assert (await client.get(path)).status_code == 200


async def test_job_is_readable_with_any_key_of_the_same_name_and_no_other(client, announced):
    job_id = (await client.post("/predict", json=DATA, headers=bearer(ANN))).json()["job_id"]
    for key in (ANN, ANN_NEW):
        assert (await client.get(f"/job/{job_id}", headers=bearer(key))).status_code == 200
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/retry")):
        answer = await client.request(method, f"/job/{job_id}{path}", headers=bearer(BEN))
        expect_problem(answer, 404, "job-not-found")
    assert (await client.get(f"/job/{job_id}", headers=bearer(ANN))).json()["status"] == "pending"


async def test_list_of_failed_jobs_shows_ones_own_only(client, announced, consumer):
    client.headers = bearer(ANN)
    [job_id] = await failed(client, consumer)
    query = "/jobs?status=failed"
    assert [job["job_id"] for job in (await client.get(query)).json()["jobs"]] == [job_id]
    assert (await client.get(query, headers=bearer(BEN))).json()["jobs"] == []


async def test_job_without_an_owner_is_readable_with_every_key(client, announced, redis_client):
    redis_client.set("job:outside:data", "[[1,2,3,4]]")
    assert (await client.get("/job/outside", headers=bearer(BEN))).status_code == 200


async def test_openapi_document_says_what_needs_a_key(client):
    paths = (await client.get("/openapi.json", headers=bearer(ANN))).json()["paths"]
    assert paths["/predict"]["post"]["security"]
    assert "401" in paths["/predict"]["post"]["responses"]
    assert "security" not in paths["/health"]["get"]


def test_secrets_are_never_shown(monkeypatch, guarded):
    monkeypatch.setenv("INFERQ_API_KEYS", f"ann:{ANN}")
    with pytest.raises(InvalidSettingError, match="inferq key NAME") as caught:
        load_settings()
    assert ANN not in str(caught.value)
    shown = repr(guarded.model_copy(update={"redis_url": "redis://user:secret@host"}))
    assert "secret" not in shown
    assert guarded.api_keys not in shown
