import pytest

from inferq.jobs import Outcome
from tests.receivers import SECRET

DATA = [[5.1, 3.5, 1.4, 0.2]]
URL = "https://example.com/hook?key=1"


@pytest.fixture
async def with_webhooks(make_client, settings):
    return await make_client(settings.model_copy(update={"webhook_secret": SECRET}))


async def test_request_with_webhook_is_refused_where_they_are_off(client, announced):
    answer = await client.post("/predict", json={"data": DATA, "webhook": URL})
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:inferq:problem:invalid-input")
    assert "INFERQ_WEBHOOK_SECRET is not set" in answer.json()["detail"]


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/latest", "http://localhost:6379", "http://0x7f.1/", 3]
)
async def test_webhook_into_our_own_network_is_refused(with_webhooks, announced, redis_client, url):
    answer = await with_webhooks.post("/predict", json={"data": DATA, "webhook": url})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("webhook ")
    assert redis_client.keys("job:*") == []


async def test_job_shows_its_webhook_and_priority(with_webhooks, announced, consumer):
    body = {"data": DATA, "webhook": URL, "priority": "high"}
    job_id = (await with_webhooks.post("/predict", json=body)).json()["job_id"]
    job = (await with_webhooks.get(f"/job/{job_id}")).json()
    assert job["priority"] == "high"
    assert job["webhook"] == {
        "url": URL,
        "status": "waiting",
        "attempts": 0,
        "last_attempt_at": None,
        "error": None,
    }
    consumer.finish([Outcome(one, result=b"{}") for one in consumer.claim(1)])
    assert (await with_webhooks.get(f"/job/{job_id}")).json()["webhook"]["status"] == "pending"


async def test_job_without_webhook_says_null(client, announced):
    job_id = (await client.post("/predict", json={"data": DATA})).json()["job_id"]
    job = (await client.get(f"/job/{job_id}")).json()
    assert (job["priority"], job["webhook"]) == ("normal", None)
    members = list(job)
    index = members.index("model")
    assert members[index + 1 : index + 4] == ["model_version", "made_by", "priority"]
    assert (job["model_version"], members[-2:]) == (None, ["webhook", "request_id"])


async def test_jobs_of_higher_priority_are_taken_first(client, announced, consumer):
    ids = {}
    for priority in ("low", "normal", "high"):
        answer = await client.post("/predict", json={"data": DATA, "priority": priority})
        ids[answer.json()["job_id"]] = priority
    taken = [ids[consumer.claim(1)[0].id] for _ in range(3)]
    assert taken == ["high", "normal", "low"]
