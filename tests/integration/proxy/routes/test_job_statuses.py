"""POST /jobs/status."""

import pytest

from inferq.jobs import Outcome
from tests.integration.proxy.answers import DATA, expect_problem
from tests.integration.proxy.http.test_auth import ANN, BEN, bearer, entry
from tests.integration.proxy.routes.test_batches import ROW, batch
from tests.integration.proxy.routes.test_jobs import submit


async def test_states_are_told_in_the_order_asked_for_and_null_for_the_unknown(client, announced, consumer):
    done, waiting = await submit(client), await submit(client)
    consumer.finish([Outcome(job, result=b'{"a":1}') for job in consumer.claim(1)])
    asked = [waiting, "nosuch", done, "x" * 300, waiting]

    views = (await client.post("/jobs/status", json={"job_ids": asked})).json()["jobs"]

    assert [view and view["status"] for view in views] == ["pending", None, "completed", None, "pending"]
    for view in (views[0], views[2]):
        assert view == (await client.get(f"/job/{view['job_id']}")).json()


async def test_jobs_of_others_are_null(settings, announced, make_client):
    keys = ",".join([entry("ann", ANN), entry("ben", BEN)])
    client = await make_client(settings.model_copy(update={"api_keys": keys}))
    ids = [
        (await client.post("/predict", json=DATA, headers=bearer(key))).json()["job_id"] for key in (ANN, BEN)
    ]
    views = (await client.post("/jobs/status", json={"job_ids": ids}, headers=bearer(BEN))).json()["jobs"]
    assert [view and view["job_id"] for view in views] == [None, ids[1]]


async def test_jobs_after_64_mib_of_results_are_named_as_left_out(client, announced, consumer, monkeypatch):
    monkeypatch.setattr("inferq.proxy.routes.job_statuses.LARGEST_PAGE_BYTES", 1000)
    ids = (await client.post("/predict/batch", content=batch(*[ROW] * 300))).json()["job_ids"]
    consumer.finish([Outcome(job, result=b'"%b"' % (b"x" * 700)) for job in consumer.claim(5)])
    asked, found = ids, {}
    while asked:
        answer = (await client.post("/jobs/status", json={"job_ids": asked})).json()
        assert len(answer["jobs"]) == len(asked)
        found |= {view["job_id"]: view["status"] for view in answer["jobs"] if view}
        asked = answer.get("left_out", [])
        assert asked == ids[len(found) :]
    assert list(found) == ids
    assert list(found.values()).count("completed") == 5


@pytest.mark.parametrize(
    ("content", "status", "kind", "words"),
    [
        (b"x", 400, "invalid-json", "not valid JSON"),
        (b'{"job_ids":[]}', 422, "invalid-input", "1 to 10000 ids"),
        (
            b'{"job_ids":["a",1]}',
            422,
            "invalid-input",
            "job_ids[1] must be the id of a job, got the number 1",
        ),
        (b'{"job_ids":["a"],"job_ids":["b"]}', 422, "invalid-input", "'job_ids' twice"),
        (b'{"ids":["a"]}', 422, "invalid-input", "unknown member 'ids'"),
    ],
)
async def test_what_names_no_jobs_is_explained(client, announced, content, status, kind, words):
    answer = await client.post("/jobs/status", content=content)
    assert words in expect_problem(answer, status, kind)
