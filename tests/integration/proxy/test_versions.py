"""A version may be named wherever a model may."""

import asyncio
import json

import pytest
import websockets

from inferq.queue.consumer.consumer import Consumer
from tests.integration.proxy.answers import expect_problem
from tests.integration.proxy.versions import beat, make_documents


@pytest.fixture
def consumer(settings):
    consumer = Consumer(settings, "worker-1", ["iris", "iris@1", "iris@2", "iris@3"])
    yield consumer
    consumer.close()


@pytest.fixture
def served(consumer, iris):
    """Versions 1 to 3 of iris, of which 2 serves; version n takes n features."""
    documents = make_documents(iris.document, "1", "2", "3", serving="2")
    consumer.announce({name: document.to_json() for name, document in documents.items()})
    beat(consumer, documents)
    return documents


def rows(count):
    return [[0.5] * count]


FORM = {"name": "features", "datatype": "FP32"}
NAMED = {
    "body": ("/predict", {"json": {"data": rows(3), "model": "iris@3"}}),
    "query": ("/predict?model=iris@3", {"json": {"data": rows(3)}}),
    "escaped": ("/predict?model=iris%403", {"json": {"data": rows(3)}}),
    "form": (
        "/predict",
        {"files": {"features": (None, "[[1,2,3]]"), "options": (None, '{"model":"iris@3"}')}},
    ),
    "batch": ("/predict/batch", {"json": {"jobs": [{"data": rows(3), "model": "iris@3"}]}}),
    "protocol": (
        "/v2/models/iris/versions/3/infer",
        {"json": {"inputs": [{**FORM, "shape": [1, 3], "data": [1, 2, 3]}]}},
    ),
    "protocol with @": (
        "/v2/models/iris@3/infer",
        {"json": {"inputs": [{**FORM, "shape": [1, 3], "data": [1, 2, 3]}]}},
    ),
}


@pytest.mark.parametrize("way", NAMED)
async def test_job_that_names_a_version_is_checked_against_it_and_waits_in_its_queue(
    client, served, consumer, way
):
    path, request = NAMED[way]
    answer = await client.post(path, headers={"prefer": "respond-async"}, **request)
    assert answer.status_code == 202, answer.text
    [job] = consumer.claim(1)
    assert job.model == "iris@3"
    assert (await client.get(f"/job/{job.id}")).json()["model"] == "iris@3"


async def test_socket_takes_a_version(proxy, served, consumer):
    async with websockets.connect(proxy.socket_url("/ws")) as socket:
        await socket.send(json.dumps({"data": rows(3), "model": "iris@3", "ref": "a"}))
        assert json.loads(await socket.recv())["event"] == "accepted"
    assert [job.model for job in consumer.claim(1)] == ["iris@3"]


async def test_fast_path_takes_a_version(proxy, served, consumer):
    proxy.count_fast_requests()
    async with proxy.client() as client:
        answer = await client.post("/predict", json={"data": rows(1), "model": "iris@1"})
    assert (answer.status_code, proxy.fast_requests) == (202, 1)
    assert [job.model for job in consumer.claim(1)] == ["iris@1"]


async def test_job_that_names_none_is_checked_against_the_version_that_serves(client, served, consumer):
    expect_problem(await client.post("/predict", json={"data": rows(3)}), 422, "invalid-input")
    assert (await client.post("/predict", json={"data": rows(2)})).status_code == 202
    assert [job.model for job in consumer.claim(1)] == ["iris"]


async def test_unknown_version_is_refused_and_the_known_ones_are_named(client, served):
    expected = "Known: 1, 2, 3; 2 serves jobs that name none."
    answer = await client.post("/predict", json={"data": rows(2), "model": "iris@4"})
    assert expected in expect_problem(answer, 422, "unknown-model")
    assert expected in expect_problem(await client.get("/models/iris@4"), 404, "unknown-model")
    assert expected in (await client.get("/v2/models/iris/versions/4")).json()["error"]
    answer = await client.post("/predict", json={"data": rows(2), "model": "irsi@4"})
    assert "Known: iris." in expect_problem(answer, 422, "unknown-model")


@pytest.mark.parametrize("name", ["iris@3~shadow", "iris~chunks", "iris@2~chunks"])
async def test_queues_of_workers_own_jobs_take_none_from_outside(client, served, name):
    answer = await client.post("/predict", json={"data": rows(2), "model": name})
    assert "Name the model" in expect_problem(answer, 422, "unknown-model")
    assert (await client.post(f"/v2/models/{name}/infer", json={"inputs": []})).status_code == 404


@pytest.mark.parametrize("name", ["iris@", "@2", "iris@2@2", "iris@2~", "iris~other", "iris @2"])
async def test_what_is_no_name_is_an_unknown_model(client, served, name):
    answer = await client.post("/predict", json={"data": rows(2), "model": name})
    assert "Known: iris." in expect_problem(answer, 422, "unknown-model")


async def test_models_are_listed_once_with_their_versions(client, served, consumer):
    listed = (await client.get("/models")).json()
    assert (listed["models"], listed["default"]) == (["iris"], "iris")
    assert listed["versions"] == {"iris": ["1", "2", "3"]}
    assert (await client.get("/v2/models")).json() == {"models": ["iris"]}
    assert (await client.get("/models/iris")).json()["version"] == "2"
    assert (await client.get("/models/iris@3")).json()["inputs"][0]["shape"] == [-1, 3]
    assert (await client.get("/v2/models/iris")).json()["versions"] == ["1", "2", "3"]
    assert (await client.get("/v2/models/iris/versions/3")).json()["inputs"][0]["shape"] == [-1, 3]
    assert (await client.get("/v2/models/iris/versions/3/ready")).status_code == 200


async def test_only_model_is_the_default_whatever_its_name_and_versions(
    client, served, consumer, redis_client
):
    redis_client.delete("models")
    consumer.announce({name.replace("iris", "rose"): one.to_json() for name, one in served.items()})
    beat(consumer, [name.replace("iris", "rose") for name in served])
    assert (await client.get("/models")).json()["default"] == "rose"
    assert (await client.post("/predict", json={"data": rows(2)})).status_code == 202


async def test_index_has_an_entry_for_each_version(client, served, consumer):
    beat(consumer, ["iris", "iris@2", "iris@3"], left_out={"iris@4": "It has no output."})
    index = (await client.post("/v2/repository/index")).json()
    assert [(one["name"], one["version"], one["state"]) for one in index] == [
        ("iris", "1", "UNAVAILABLE"),
        ("iris", "2", "READY"),
        ("iris", "3", "READY"),
        ("iris", "4", "UNAVAILABLE"),
    ]
    assert index[-1]["reason"] == "It has no output."
    answer = await client.post("/predict", json={"data": rows(2), "model": "iris@4"})
    assert "It has no output." in expect_problem(answer, 503, "model-unavailable")


async def test_flat_model_takes_its_only_version_into_its_one_queue(client, announced, consumer):
    version, data = announced.document.version, [[5.1, 3.5, 1.4, 0.2]]
    answer = await client.post("/predict", json={"data": data, "model": f"iris@{version}"})
    assert answer.status_code == 202
    assert [job.model for job in consumer.claim(1)] == ["iris"]
    assert (await client.get(f"/models/iris@{version}")).json()["version"] == version
    answer = await client.post("/predict", json={"data": data, "model": "iris@1"})
    assert f"Known: {version}" in expect_problem(answer, 422, "unknown-model")


async def test_queues_of_versions_have_numbers_lists_and_history_of_their_own(client, served, consumer):
    for model in ("iris", "iris@3", "iris@3"):
        data = rows(2 if model == "iris" else 3)
        assert (await client.post("/predict", json={"data": data, "model": model})).status_code == 202
    waiting = {
        name: one["waiting"]["normal"] for name, one in (await client.get("/queue")).json()["models"].items()
    }
    assert waiting == {"iris": 1, "iris@1": 0, "iris@2": 0, "iris@3": 2}
    numbers = (await client.get("/queue/iris@3")).json()
    assert (numbers["waiting"]["normal"], numbers["workers"]) == (2, 1)
    assert (await client.get("/queue/iris@3/history")).status_code == 200
    jobs = (await client.get("/jobs", params={"model": "iris@3"})).json()["jobs"]
    assert [job["model"] for job in jobs] == ["iris@3"] * 2
    assert len((await client.get("/jobs")).json()["jobs"]) == 3
    assert 'model="iris@3"' in (await client.get("/metrics")).text
    assert (await client.delete("/jobs?model=iris@3&status=pending")).json() == {"cancelled": 2}


async def test_jobs_of_workers_own_are_listed_only_where_their_queue_is_named(
    client, served, redis_client, settings
):
    redis_client.set("job:a:data", "[[1]]")
    redis_client.lpush("queue:iris@3~shadow", "a")
    worker = Consumer(settings, "worker-2", ["iris@3~shadow"])
    await asyncio.to_thread(worker.claim, 1)
    worker.close()
    assert (await client.get("/jobs")).json()["jobs"] == []
    [job] = (await client.get("/jobs", params={"model": "iris@3~shadow"})).json()["jobs"]
    assert job["job_id"] == "a"
    assert (await client.get("/queue/iris@3~shadow")).json()["workers"] == 1
    assert (await client.get("/health")).json()["components"]["worker"] == "ok"
