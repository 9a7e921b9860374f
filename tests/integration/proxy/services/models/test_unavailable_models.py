"""Models that workers have left out, and the model that is the default without being named."""

from datetime import UTC, datetime

import pytest

from inferq.jobs import WorkerInfo

DATA = {"data": [[5.1, 3.5, 1.4, 0.2]]}
REASON = "broken/model.onnx cannot be read: Permission denied. Check its permissions."


@pytest.fixture(autouse=True)
def catalog_is_read_each_time(monkeypatch):
    monkeypatch.setattr("inferq.proxy.services.models.model_catalog.FRESH_SECONDS", 0.0)


@pytest.fixture
def beat(consumer):
    """Reports a worker."""

    def beat(*models, worker_id="worker-1", ttl_seconds=30.0, **left_out):
        report = WorkerInfo(worker_id, "host", 1, models, datetime.now(UTC), left_out=left_out)
        consumer.heartbeat(report, {}, ttl_seconds)

    return beat


def announce(consumer, iris, *names):
    consumer.announce({name: iris.document.model_copy(update={"name": name}).to_json() for name in names})


async def test_model_that_was_left_out_is_told_with_its_reason(client, announced, beat):
    beat("iris", broken=REASON)
    listed = (await client.get("/models")).json()
    assert (listed["models"], listed["unavailable"]) == (["iris"], {"broken": REASON})

    for answer in (
        await client.post("/predict", json=DATA | {"model": "broken"}),
        await client.post("/predict/batch", json={"jobs": [DATA | {"model": "broken"}]}),
        await client.post("/predict/test?model=broken"),
        await client.get("/models/broken"),
    ):
        problem = answer.json()
        assert (answer.status_code, problem["type"]) == (503, "urn:inferq:problem:model-unavailable")
        assert problem["detail"].endswith(f"The model 'broken' cannot be served: {REASON}")
        assert int(answer.headers["retry-after"]) == 60
    assert (await client.post("/predict", json=DATA)).status_code == 202


async def test_health_is_degraded_and_tells_the_name_but_not_the_reason(client, announced, beat):
    beat("iris", broken=REASON)
    answer = await client.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["components"]["worker"] == "models left out: broken"
    assert "denied" not in answer.text


async def test_model_that_was_announced_before_it_broke_takes_no_jobs(
    client, announced, beat, consumer, iris
):
    announce(consumer, iris, "broken")
    beat("iris", broken=REASON)
    assert (await client.get("/models")).json()["models"] == ["iris"]
    assert (await client.post("/predict", json=DATA | {"model": "broken"})).status_code == 503


async def test_model_that_another_worker_serves_is_available(client, announced, beat):
    beat("iris", broken=REASON)
    beat("iris", "broken", worker_id="worker-2")
    assert (await client.get("/models")).json()["unavailable"] == {}
    assert (await client.get("/health")).json()["status"] == "healthy"


async def test_default_model_that_cannot_be_served_says_why(client, consumer, iris, beat):
    announce(consumer, iris, "other")
    beat("other", iris="It is broken.")
    for answer in (await client.post("/predict", json=DATA), await client.get("/metadata")):
        assert answer.status_code == 503
        assert answer.json()["detail"] == "The model 'iris' cannot be served: It is broken."


async def test_heartbeat_that_another_program_has_corrupted_hides_no_worker(
    client, announced, beat, redis_client
):
    for corrupt in ("no json", "[" * 100_000, "[1]"):
        beat("iris")
        redis_client.hset("worker:worker-1", "left_out", corrupt)
        assert (await client.get("/health")).json()["status"] == "healthy"
        assert (await client.get("/models")).json()["unavailable"] == {}


async def test_corrupt_list_of_workers_stops_no_requests(client, announced, redis_client):
    redis_client.set("workers", "odd")
    assert (await client.post("/predict", json=DATA)).status_code == 202
    assert (await client.get("/models")).json()["models"] == ["iris"]


async def test_heartbeat_stays_short_whatever_was_left_out(client, announced, beat, redis_client):
    beat("iris", **{f"model-{number}": "long " * 1000 for number in range(1000)})
    assert redis_client.hstrlen("worker:worker-1", "left_out") < 64 * 1024
    assert len((await client.get("/models")).json()["unavailable"]) == 100


async def test_one_model_alone_is_the_default(client, consumer, iris, beat):
    announce(consumer, iris, "only")
    beat("only")
    assert (await client.get("/models")).json()["default"] == "only"
    assert (await client.get("/")).json()["default_model"] == "only"
    assert (await client.get("/metadata")).json()["name"] == "only"
    for answer in (
        await client.post("/predict", json=DATA),
        await client.post("/predict/test"),
        await client.post("/predict/batch", json={"jobs": [DATA]}),
    ):
        assert answer.status_code == 202
    jobs = (await client.get("/jobs?model=only")).json()["jobs"]
    assert len(jobs) == 3


async def test_one_model_alone_is_not_the_default_where_another_is_set(settings, make_client, consumer, iris):
    announce(consumer, iris, "only")
    client = await make_client(settings.model_copy(update={"default_model": "iris"}))
    assert (await client.get("/models")).json()["default"] == "iris"
    answer = await client.post("/predict", json=DATA)
    assert answer.status_code == 422
    assert "INFERQ_DEFAULT_MODEL" in answer.json()["detail"]


@pytest.mark.parametrize("second", ["announced", "left out"])
async def test_with_a_second_model_none_is_alone(client, consumer, iris, beat, second):
    """Else requests that name none would go to another model as soon as the first one breaks."""
    announce(consumer, iris, "only")
    if second == "announced":
        announce(consumer, iris, "second")
        beat("only", "second")
    else:
        beat("only", second="It is broken.")
    assert (await client.get("/models")).json()["default"] == "iris"
    assert (await client.post("/predict", json=DATA)).status_code == 422
