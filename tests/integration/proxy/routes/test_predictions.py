"""POST /predict and POST /predict/test."""

import json

import orjson
import pytest

from tests.integration.proxy.answers import DATA, expect_problem


async def test_prediction_is_accepted_with_an_id_and_a_location(client, announced, redis_client):
    answer = await client.post("/predict", json=DATA)

    assert answer.status_code == 202
    job_id = answer.json()["job_id"]
    assert answer.json() == {"job_id": job_id}
    assert answer.headers["location"] == f"/job/{job_id}"
    assert json.loads(redis_client.get(f"job:{job_id}:data")) == DATA["data"]


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
        assert iris.decode(data).inputs["features"].shape == (1, 4)


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
    expect_problem(await client.post("/predict", json={"data": [[1], ["a"]]}), 422, "invalid-input")
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
    "content_type",
    [None, "application/x-www-form-urlencoded", "text/plain", "application/json; charset=utf-8"],
)
async def test_json_is_taken_under_many_names(client, announced, content_type):
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
