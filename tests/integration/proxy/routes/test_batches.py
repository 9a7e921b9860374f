"""Many jobs in one request: all or nothing, and many states at once."""

import asyncio
import json

import pytest

from inferq.tensors.signature import Datatype
from tests.integration.proxy.answers import expect_problem
from tests.integration.proxy.routes.test_jobs import submit

ROW = b'{"data":[[5.1,3.5,1.4,0.2]]}'


def batch(*jobs):
    return b'{"jobs":[%b]}' % b",".join(jobs)


async def test_ten_thousand_jobs_are_stored_in_order_and_read_again(
    client, announced, consumer, redis_client
):
    rows = [[[float(number), 1.0, 1.0, 1.0]] for number in range(10_000)]
    sleeps = 0

    async def watch():
        nonlocal sleeps
        while True:
            await asyncio.sleep(0.001)
            sleeps += 1

    watching = asyncio.create_task(watch())
    answer = await client.post("/predict/batch", json={"jobs": [{"data": data} for data in rows]})
    watching.cancel()

    assert answer.status_code == 202
    ids = answer.json()["job_ids"]
    assert len(set(ids)) == 10_000
    assert [member.decode() for member in redis_client.lrange("queue:iris", 0, -1)[::-1]] == ids
    assert [json.loads(job.data) for job in consumer.claim(100)] == rows[:100]
    assert sleeps > 50, "others are served meanwhile"

    views = (await client.post("/jobs/status", json={"job_ids": ids[::-1]})).json()["jobs"]
    assert [view["job_id"] for view in views] == ids[::-1]
    assert [view["status"] for view in views].count("processing") == 100


@pytest.mark.parametrize(
    ("bad", "status", "kind", "words"),
    [
        (b'{"data":[[5.1,3.5,1.4]]}', 422, "invalid-input", "has 3 values"),
        (b'{"data":[[5.1,3.5,1.4,true]]}', 422, "invalid-input", "got true"),
        (b'{"data":[[1,2,3,4]],"modle":"x"}', 422, "invalid-input", "unknown member 'modle'"),
        (b'{"data":[[1,2,3,4]],"timeout":-1}', 422, "invalid-input", "timeout must be seconds"),
        (b'{"data":[[1,2,3,4]],"priority":"highest"}', 422, "invalid-input", "one of high, normal, low"),
        (b'{"data":[[1,2,3,4]],"webhook":"http://10.0.0.1/"}', 422, "invalid-input", "webhook"),
        (b'{"data":[[1,2,3,4]],"model":"nosuch"}', 422, "unknown-model", "Known: iris"),
        (b'{"data":[[1,2,3,4]],"data":[[1,2,3,4]]}', 422, "invalid-input", "'data' twice"),
        (b'{"data":{"features":[],"features":[[1,2,3,4]]}}', 422, "invalid-input", "'features' twice"),
        (b"{}", 422, "invalid-input", "lacks the member 'data'"),
        (b"[]", 422, "invalid-input", "must be an object like a body of POST /predict, got an empty array"),
    ],
)
async def test_one_bad_job_of_a_thousand_is_named_and_nothing_is_stored(
    client, announced, redis_client, bad, status, kind, words
):
    before = set(redis_client.keys("*"))
    answer = await client.post("/predict/batch", content=batch(*[ROW] * 617, bad, *[ROW] * 382))
    detail = expect_problem(answer, status, kind)
    assert detail.startswith("jobs[617]: ")
    assert words in detail
    assert set(redis_client.keys("*")) == before


@pytest.mark.parametrize(
    ("content", "status", "kind", "words"),
    [
        (b"", 400, "invalid-json", "not valid JSON"),
        (b"[]", 400, "invalid-json", "must be a JSON object"),
        (b"{}", 422, "invalid-input", "got nothing"),
        (b'{"jobs":[]}', 422, "invalid-input", "1 to 10000 jobs, got 0 of them"),
        (b'{"jobs":{}}', 422, "invalid-input", "got an object"),
        (b'{"jobs":[%b],"model":"iris"}' % ROW, 422, "invalid-input", "unknown member 'model'"),
        (b'{"jobs":[%b],"jobs":[%b]}' % (ROW, ROW), 422, "invalid-input", "'jobs' twice"),
        (batch(*[b"{}"] * 10_001), 422, "invalid-input", "got 10001 of them"),
    ],
)
async def test_what_is_no_batch_is_explained(client, announced, content, status, kind, words):
    answer = await client.post("/predict/batch", content=content)
    assert words in expect_problem(answer, status, kind)


async def test_batch_for_which_the_queue_has_not_room_enough_stores_nothing(
    settings, announced, redis_client, make_client
):
    client = await make_client(settings.model_copy(update={"max_queued": 5}))
    await submit(client)
    before = set(redis_client.keys("*"))

    answer = await client.post("/predict/batch", content=batch(*[ROW] * 5))

    assert "1 jobs wait for model 'iris', and 5 more" in expect_problem(answer, 503, "queue-full")
    assert int(answer.headers["retry-after"]) >= 1
    assert set(redis_client.keys("*")) == before
    assert (await client.post("/predict/batch", content=batch(*[ROW] * 4))).status_code == 202


async def test_batch_longer_than_a_body_may_be_is_413(settings, announced, make_client):
    client = await make_client(settings.model_copy(update={"max_body_bytes": 1000}))
    answer = await client.post("/predict/batch", content=batch(*[ROW] * 100))
    expect_problem(answer, 413, "body-too-large")


async def test_jobs_of_a_batch_have_what_they_asked_for(client, announced, consumer):
    jobs = [
        ROW,
        b'{"data":[[1,2,3,4]],"priority":"high","timeout":2.5}',
        b'{"data":{"features":[[1,2,3,4]]}}',
    ]
    ids = (await client.post("/predict/batch", content=batch(*jobs))).json()["job_ids"]
    taken = consumer.claim(3)
    assert [job.id for job in taken] == [ids[1], ids[0], ids[2]]
    assert [job.timeout_seconds for job in taken] == [2.5, None, None]


async def test_strings_with_quotes_in_a_batch_are_no_duplicates(client, announced, consumer):
    document = announced.document.model_copy(
        update={
            "name": "text",
            "inputs": [announced.document.inputs[0].model_copy(update={"datatype": Datatype.BYTES})],
            "example": None,
        }
    )
    consumer.announce({"text": document.to_json()})
    jobs = [{"data": [['"', "a", "\\", ""]], "model": "text"}] * 3
    assert (await client.post("/predict/batch", json={"jobs": jobs})).status_code == 202
