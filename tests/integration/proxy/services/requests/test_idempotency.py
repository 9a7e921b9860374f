"""The Idempotency-Key header: a repeated request is answered like its first."""

import asyncio
import json

import pytest

from tests.integration.proxy.answers import DATA, expect_problem
from tests.integration.proxy.http.test_auth import ANN, BEN, bearer, entry
from tests.records import known

KEY = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}
BATCH = {"jobs": [DATA, DATA]}


async def test_request_sent_fifty_times_at_once_makes_one_job(client, announced, redis_client):
    answers = await asyncio.gather(*(client.post("/predict", json=DATA, headers=KEY) for _ in range(50)))

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert redis_client.llen("queue:iris") == 1
    assert len(redis_client.keys("job:*:data")) == 1


@pytest.mark.parametrize(
    "content",
    [
        b'{"data":[[5.1,3.5,1.4,0.2]],"model":"iris"}',
        b' { "model" : null, "priority": "normal", "data" : [ [ 5.1, 3.50, 1.4, 2e-1 ] ] } ',
    ],
)
async def test_same_request_written_otherwise_is_the_same(client, announced, content):
    first = await client.post("/predict", json=DATA, headers=KEY)
    again = await client.post("/predict", content=content, headers=KEY)
    assert (again.status_code, again.json()) == (202, first.json())


@pytest.mark.parametrize(
    "body",
    [
        {"data": [[5.1, 3.5, 1.4, 0.3]]},
        DATA | {"timeout": 3},
        DATA | {"priority": "high"},
        DATA | {"expires_in": 60},
    ],
)
async def test_key_with_another_request_is_refused(client, announced, redis_client, body):
    await client.post("/predict", json=DATA, headers=KEY)
    answer = await client.post("/predict", json=body, headers=KEY)
    assert "another request" in expect_problem(answer, 422, "idempotency-conflict")
    assert redis_client.llen("queue:iris") == 1


async def test_request_that_was_refused_keeps_no_key(client, announced):
    expect_problem(await client.post("/predict", json={"data": [[]]}, headers=KEY), 422, "invalid-input")
    assert (await client.post("/predict", json=DATA, headers=KEY)).status_code == 202


@pytest.mark.parametrize("path", ["/predict", "/predict/test", "/predict/batch"])
@pytest.mark.parametrize(
    "keys", [[b""], [b"a b"], [b"x" * 256], ["ü".encode("latin-1")], [b"a", b"a"], [b"\x7f"]]
)
async def test_invalid_key_is_refused(client, announced, redis_client, path, keys):
    headers = [("Idempotency-Key", key) for key in keys]
    body = BATCH if path.endswith("batch") else DATA
    answer = await client.post(path, json=body, headers=headers)
    assert "1 to 255 visible ASCII" in expect_problem(answer, 422, "invalid-input")
    assert redis_client.llen("queue:iris") == 0


async def test_key_of_the_longest_length_is_taken(client, announced):
    headers = {"Idempotency-Key": "~" * 255}
    assert (await client.post("/predict", json=DATA, headers=headers)).status_code == 202


async def test_own_example_and_batches_take_keys_too(client, announced, redis_client):
    for path, body, count in (("/predict/test", None, 1), ("/predict/batch", BATCH, 3)):
        headers = {"Idempotency-Key": path}
        answers = [await client.post(path, json=body, headers=headers) for _ in range(2)]
        assert answers[0].json() == answers[1].json()
        assert redis_client.llen("queue:iris") == count


async def test_batch_of_one_is_another_request_than_its_job(client, announced):
    await client.post("/predict", json=DATA, headers=KEY)
    answer = await client.post("/predict/batch", json={"jobs": [DATA]}, headers=KEY)
    expect_problem(answer, 422, "idempotency-conflict")


async def test_batch_sent_many_times_at_once_is_stored_once(client, announced, redis_client):
    answers = await asyncio.gather(
        *(client.post("/predict/batch", json=BATCH, headers=KEY) for _ in range(20))
    )
    assert len({answer.text for answer in answers}) == 1
    assert redis_client.llen("queue:iris") == 2
    assert len(known(redis_client)) == len(redis_client.keys("job:*:status")) == 2


async def test_same_key_of_another_owner_is_another_key(settings, announced, make_client):
    keys = ",".join([entry("ann", ANN), entry("ben", BEN)])
    client = await make_client(settings.model_copy(update={"api_keys": keys}))
    ids = {(await client.post("/predict", json=DATA, headers=KEY | bearer(key))).text for key in (ANN, BEN)}
    assert len(ids) == 2


async def test_key_that_was_used_is_answered_also_when_the_queue_is_full(settings, announced, make_client):
    client = await make_client(settings.model_copy(update={"max_queued": 2}))
    for path, body in (("/predict", DATA), ("/predict/batch", {"jobs": [DATA]})):
        headers = {"Idempotency-Key": path}
        first = await client.post(path, json=body, headers=headers)
        again = await client.post(path, json=body, headers=headers)
        assert (again.status_code, again.json()) == (202, json.loads(first.text))
    expect_problem(await client.post("/predict", json=DATA), 503, "queue-full")
