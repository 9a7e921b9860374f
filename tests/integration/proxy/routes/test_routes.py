import json
import os
from datetime import UTC, datetime

import orjson
import pytest

from inferq.errors import ModelError
from inferq.jobs import Outcome, WorkerInfo
from inferq.proxy.app import create_app
from inferq.queue.consumer.consumer import Consumer
from tests.models import predict

DATA = {"data": [[5.1, 3.5, 1.4, 0.2]]}
SEED_KEYS = ["job_id", "status", "result", "error"]


def expect_problem(answer, status, kind):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (body["status"], body["type"]) == (status, f"urn:inferq:problem:{kind}")
    assert body["detail"]
    return body["detail"]


def beat(consumer, iris, ttl_seconds=30.0):
    now = datetime.now(UTC)
    consumer.heartbeat(WorkerInfo("worker-1", "here", os.getpid(), ("iris",), now), {}, ttl_seconds)


async def test_prediction_is_accepted_with_an_id_and_a_location(client, announced, redis_client):
    answer = await client.post("/predict", json=DATA)

    assert answer.status_code == 202
    job_id = answer.json()["job_id"]
    assert answer.json() == {"job_id": job_id}
    assert answer.headers["location"] == f"/job/{job_id}"
    assert json.loads(redis_client.get(f"job:{job_id}:data")) == DATA["data"]


async def test_pending_job_has_the_seeds_nulls_and_a_position(client, announced):
    job_id = (await client.post("/predict", json=DATA)).json()["job_id"]
    view = (await client.get(f"/job/{job_id}")).json()

    assert {key: view[key] for key in SEED_KEYS} == {
        "job_id": job_id, "status": "pending", "result": None, "error": None,
    }  # fmt: skip
    assert (view["model"], view["attempts"], view["queue_position"]) == ("iris", 0, 1)
    assert datetime.fromisoformat(view["submitted_at"]).tzinfo == UTC
    assert view["submitted_at"].endswith("Z")
    assert view["started_at"] is view["finished_at"] is None


@pytest.mark.parametrize("rows", [1, 3])
async def test_completed_job_shows_the_seeds_result(client, announced, consumer, rows):
    body = {"data": DATA["data"] * rows}
    job_id = (await client.post("/predict", json=body)).json()["job_id"]
    [job] = consumer.claim(1)
    consumer.finish([Outcome(job, result=predict(announced, job.data))])
    view = (await client.get(f"/job/{job_id}")).json()

    assert (view["status"], view["error"], view["attempts"]) == ("completed", None, 1)
    assert list(view["result"]) == ["prediction", "class_name", "probabilities"]
    one = rows == 1
    assert view["result"]["class_name"] == ("setosa" if one else ["setosa"] * rows)
    assert view["result"]["prediction"] == (0 if one else [0] * rows)
    assert len(view["result"]["probabilities"]) == (3 if one else rows)
    assert view["submitted_at"] <= view["started_at"] <= view["finished_at"]


async def test_failed_job_shows_its_error(client, announced, settings):
    job_id = (await client.post("/predict", json=DATA)).json()["job_id"]
    consumer = Consumer(settings.model_copy(update={"max_attempts": 1}), "worker-1", ["iris"])
    [job] = consumer.claim(1)
    consumer.finish([Outcome(job, error=ModelError("It broke."))])
    consumer.close()
    view = (await client.get(f"/job/{job_id}")).json()

    assert (view["status"], view["result"]) == ("failed", None)
    assert (view["error"], view["error_kind"]) == ("It broke.", "model-error")


async def test_job_that_an_outside_worker_ended_is_shown(client, announced, redis_client):
    job_id = (await client.post("/predict", json=DATA)).json()["job_id"]
    redis_client.set(f"job:{job_id}:result", '{"answer": 42}')
    redis_client.set(f"job:{job_id}:status", "completed")
    assert (await client.get(f"/job/{job_id}")).json()["result"] == {"answer": 42}

    redis_client.set(f"job:{job_id}:result", "not json {")
    assert (await client.get(f"/job/{job_id}")).json()["result"] == "not json {"


@pytest.mark.parametrize("job_id", ["nosuch", "a/b", "%ff", "x" * 300, "..%2f", "ジョブ", "%00"])
async def test_unknown_job_is_404_and_says_which_of_both_it_can_be(client, job_id):
    answer = await client.get(f"/job/{job_id}")
    detail = expect_problem(answer, 404, "job-not-found")
    if job_id == "nosuch":
        assert "never existed" in detail
        assert "expired" in detail


@pytest.mark.parametrize(
    ("content", "status", "kind", "words"),
    [
        (b"", 400, "invalid-json", "not valid JSON"),
        (b"{data: 1}", 400, "invalid-json", "not valid JSON"),
        (b"[1]", 400, "invalid-json", "must be a JSON object"),
        (b'{"data": [[]]}', 422, "invalid-input", "4"),
        (b'{"data": [[1, 2, 3]]}', 422, "invalid-input", "has 3 values, but model 'iris' expects 4"),
        (b'{"data": [[1, 2, 3, 4], [1, 2, 3]]}', 422, "invalid-input", r"data[1] has 3 values"),
        (b'{"data": [1, 2, 3, 4]}', 422, "invalid-input", "must be an array"),
        (b'{"data": [["1", 2, 3, 4]]}', 422, "invalid-input", "must be a number"),
        (b'{"data": [[true, 2, 3, 4]]}', 422, "invalid-input", "must be a number"),
        (b'{"data": [["nan", 2, 3, 4]]}', 422, "invalid-input", "must be a number"),
        (b'{"data": [[1e39, 2, 3, 4]]}', 422, "invalid-input", "FP32"),
        (b'{"data": null}', 422, "invalid-input", "must be"),
        (b'{"data": {"wrong": [[1, 2, 3, 4]]}}', 422, "invalid-input", "wrong"),
        (b'{"data": [[1, 2, 3, 4]], "model": "nosuch"}', 422, "unknown-model", "Known: iris"),
        (b'{"data": [[1, 2, 3, 4]], "prio": 1}', 422, "invalid-input", "unknown member"),
    ],
)
async def test_bad_input_is_explained_and_never_reaches_the_queue(
    client, announced, redis_client, content, status, kind, words
):
    detail = expect_problem(await client.post("/predict", content=content), status, kind)
    assert words in detail
    assert list(redis_client.scan_iter("job:*")) == []
    assert redis_client.llen("queue:iris") == 0


@pytest.mark.parametrize("is_announced", [True, False])
async def test_missing_and_infinite_values_are_stored_as_json(
    client, redis_client, consumer, iris, is_announced
):
    if is_announced:
        consumer.announce({"iris": iris.document.to_json()})
    for written, stored in (
        (b"[[NaN, null, Infinity, -Infinity]]", ["NaN", None, "Infinity", "-Infinity"]),
        (b'[["NaN", 1, "Infinity", "-Infinity"]]', ["NaN", 1, "Infinity", "-Infinity"]),
    ):
        answer = await client.post("/predict", content=b'{"data": ' + written + b"}")
        data = redis_client.get(f"job:{answer.json()['job_id']}:data")
        assert orjson.loads(data) == [stored]
        assert iris.decode(data)["features"].shape == (1, 4)


@pytest.mark.parametrize("is_announced", [True, False])
async def test_no_rows_are_accepted(client, redis_client, consumer, iris, is_announced):
    if is_announced:
        consumer.announce({"iris": iris.document.to_json()})
    assert (await client.post("/predict", json={"data": []})).status_code == 202


async def test_body_over_the_limit_is_413_declared_or_not(settings, announced, make_client):
    client = await make_client(settings.model_copy(update={"max_body_bytes": 100}))
    large = b'{"data": [[' + b"1," * 100 + b"1]]}"

    async def stream():
        yield large[:60]
        yield large[60:]

    for content in (large, stream()):
        detail = expect_problem(await client.post("/predict", content=content), 413, "body-too-large")
        assert "100 bytes" in detail


async def test_rows_over_the_limit_are_refused(settings, announced, make_client):
    client = await make_client(settings.model_copy(update={"max_rows": 2}))
    answer = await client.post("/predict", json={"data": DATA["data"] * 3})
    assert "3 rows" in expect_problem(answer, 422, "invalid-input")


async def test_full_queue_is_503_with_retry_after(settings, announced, make_client):
    client = await make_client(settings.model_copy(update={"max_queued": 1}))
    assert (await client.post("/predict", json=DATA)).status_code == 202
    answer = await client.post("/predict", json=DATA)
    expect_problem(answer, 503, "queue-full")
    assert int(answer.headers["retry-after"]) >= 1


async def test_default_model_is_accepted_before_any_worker_has_announced_it(client, redis_client):
    assert (await client.post("/predict", json=DATA)).status_code == 202
    expect_problem(await client.post("/predict", json={"data": [[1], []]}), 422, "invalid-input")
    expect_problem(await client.post("/predict", json=DATA | {"model": "other"}), 422, "unknown-model")
    answer = await client.post("/predict/test")
    expect_problem(answer, 503, "no-worker")
    assert int(answer.headers["retry-after"]) >= 1


async def test_zeros_are_submitted_where_a_sample_shape_stands_for_an_example(
    client, consumer, iris, redis_client
):
    document = iris.document.model_copy(update={"example": None, "sample_shape": {"features": [2, 4]}})
    consumer.announce({"iris": document.to_json()})
    answer = await client.post("/predict/test")
    assert json.loads(redis_client.get(f"job:{answer.json()['job_id']}:data")) == {"features": [[0] * 4] * 2}


async def test_own_example_is_submitted(client, announced, redis_client):
    answer = await client.post("/predict/test")
    assert answer.status_code == 202
    assert json.loads(redis_client.get(f"job:{answer.json()['job_id']}:data")) == announced.document.example
    expect_problem(await client.post("/predict/test?model=nosuch"), 422, "unknown-model")


async def test_model_without_an_example_cannot_be_tested(client, announced, consumer):
    consumer.announce({"bare": announced.document.model_copy(update={"example": None}).to_json()})
    answer = await client.post("/predict/test?model=bare")
    assert "model.toml" in expect_problem(answer, 422, "unknown-model")


@pytest.mark.parametrize(
    "content_type", [None, "application/x-www-form-urlencoded", "text/plain", "nonsense"]
)
async def test_body_is_read_as_json_whatever_its_content_type(client, announced, content_type):
    headers = {} if content_type is None else {"content-type": content_type}
    answer = await client.post("/predict", content=json.dumps(DATA).encode(), headers=headers)
    assert answer.status_code == 202


@pytest.mark.parametrize("depth", [60, 199, 5000])
async def test_deep_nesting_is_never_an_error_of_ours(client, redis_client, depth):
    content = b'{"data":' + b"[" * depth + b"1" + b"]" * depth + b"}"
    assert (await client.post("/predict", content=content)).status_code in (202, 400, 422)


@pytest.mark.parametrize("length", ["\xb2", "-1", "x", ""])
async def test_senseless_content_length_is_ignored(client, announced, length):
    headers = {"content-length": length.encode("latin-1")}
    content = json.dumps(DATA).encode()
    assert (await client.post("/predict", content=content, headers=headers)).status_code == 202


async def test_health_goes_from_never_over_healthy_to_degraded_since(client, announced, consumer):
    answer = await client.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["components"] == {"redis": "ok", "worker": "no worker has ever reported"}

    beat(consumer, announced)
    answer = await client.get("/health")
    assert answer.json() == {"status": "healthy", "components": {"redis": "ok", "worker": "ok"}}

    consumer.retire()
    answer = await client.get("/health")
    assert answer.json()["status"] == "degraded"
    assert answer.json()["components"]["worker"].startswith("no live worker since 20")


async def test_health_for_orchestrators(client):
    assert (await client.get("/health/live")).json() == {"status": "alive"}
    assert (await client.get("/health/ready")).json() == {"status": "ready"}


async def test_metadata_describes_the_model_in_the_open_inference_protocols_words(client, announced):
    expect_problem(await client.get("/models/nosuch"), 404, "unknown-model")
    for path in ("/metadata", "/models/iris"):
        document = (await client.get(path)).json()
        assert document["name"] == "iris"
        assert document["versions"] == [document["version"]]
        assert document["inputs"] == [{"name": "features", "datatype": "FP32", "shape": [-1, 4]}]
        assert {"name", "datatype", "shape"} == set(document["outputs"][0])
        assert document["class_names"] == ["setosa", "versicolor", "virginica"]
        assert len(document["feature_names"]) == 4
        assert document["example"] == DATA["data"]
    expected = {"models": ["iris"], "default": "iris", "unavailable": {}}
    assert (await client.get("/models")).json() == expected


async def test_metadata_before_any_worker_is_503(client):
    answer = await client.get("/metadata")
    expect_problem(answer, 503, "no-worker")
    assert int(answer.headers["retry-after"]) >= 1


async def test_model_that_changes_is_noticed(client, announced, consumer, monkeypatch):
    monkeypatch.setattr("inferq.proxy.services.model_catalog.FRESH_SECONDS", 0.0)
    assert (await client.get("/metadata")).json()["version"] == announced.document.version
    changed = announced.document.model_copy(update={"version": "other", "versions": ["other"]})
    consumer.announce({"iris": changed.to_json()})
    assert (await client.get("/metadata")).json()["version"] == "other"


async def test_unreadable_announcement_hides_only_its_model(client, announced, redis_client):
    redis_client.hset("models", "broken", "no json")
    assert (await client.get("/models")).json()["models"] == ["iris"]


async def test_root_links_to_what_there_is(client):
    body = (await client.get("/")).json()
    for name, path in body["links"].items():
        if "{" not in path and name not in (
            "predict",
            "predict_test",
            "predict_batch",
            "jobs_status",
            "metadata",
            "websocket",
        ):
            assert (await client.get(path)).status_code == 200, path


async def test_wrong_path_and_method_are_problems_too(client):
    expect_problem(await client.get("/nosuch"), 404, "not-found")
    answer = await client.get("/predict")
    expect_problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "POST"
    assert answer.json()["detail"] == "/predict does not take GET; it takes POST."
    assert (await client.put("/job/x")).headers["allow"] == "DELETE, GET, HEAD"


async def test_unforeseen_error_shows_nothing_of_the_inside(client, app, monkeypatch):
    async def broken(*_):
        raise RuntimeError("secret")

    monkeypatch.setattr(app.state.producer, "check_takes_jobs", broken)
    answer = await client.get("/health/ready")
    expect_problem(answer, 500, "internal")
    assert "secret" not in answer.text


def test_app_needs_no_redis_to_be_made(settings):
    create_app(settings.model_copy(update={"redis_url": "redis://127.0.0.1:1"}))
