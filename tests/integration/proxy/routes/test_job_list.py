"""GET /jobs and DELETE /jobs."""

import math

import pytest

from inferq.jobs import Outcome
from inferq.queue.producer.submission import Submission
from tests.integration.proxy.answers import expect_problem
from tests.integration.proxy.http.test_auth import ANN, BEN, bearer, entry
from tests.integration.proxy.routes.test_jobs import failed, submit


@pytest.mark.parametrize("limit", [1, 2, 3, 10])
async def test_failed_jobs_are_listed_page_by_page_the_latest_first(client, announced, consumer, limit):
    ids = await failed(client, consumer, 5)
    query = {"status": "failed", "limit": limit}
    found, pages = [], 0
    while True:
        body = (await client.get("/jobs", params=query)).json()
        found += body["jobs"]
        pages += 1
        if body["next"] is None:
            break
        query["cursor"] = body["next"]
    assert {job["job_id"] for job in found} == set(ids)
    assert len(found) == 5
    assert [job["finished_at"] for job in found] == sorted((j["finished_at"] for j in found), reverse=True)
    assert pages == math.ceil(5 / limit)
    assert {job["error"] for job in found} == {"It is bad."}


async def test_failed_jobs_of_one_model_are_listed(client, announced, consumer):
    [job_id] = await failed(client, consumer)
    listed = (await client.get("/jobs", params={"status": "failed", "model": "iris"})).json()["jobs"]
    assert [job["job_id"] for job in listed] == [job_id]
    other = (await client.get("/jobs", params={"status": "failed", "model": "other"})).json()
    assert other == {"jobs": [], "next": None}


@pytest.mark.parametrize(
    "cursor", ["x", "", "bnVsbA==", "WzEsMl0=", "W05hTiwgImEiXQ==", "\xe9", "W10=" * 100]
)
async def test_cursor_of_ones_own_making_is_refused(client, announced, cursor):
    answer = await client.get("/jobs", params={"status": "failed", "cursor": cursor})
    assert "Leave it out for the first page" in expect_problem(answer, 422, "invalid-input")


@pytest.mark.parametrize("query", [{"status": "dead"}, {"limit": 0}, {"limit": 501}, {"limit": "x"}])
async def test_list_that_cannot_be_had_is_refused(client, announced, query):
    expect_problem(await client.get("/jobs", params=query), 422, "invalid-input")


async def test_jobs_of_all_states_are_listed(client, announced, consumer):
    await failed(client, consumer)
    done, running, waiting = [await submit(client) for _ in range(3)]
    consumer.finish([Outcome(job, result=b"1") for job in consumer.claim(1)])
    consumer.claim(1)

    statuses = ("pending", "processing", "completed", "failed")
    listed = {
        status: (await client.get("/jobs", params={"status": status})).json()["jobs"] for status in statuses
    }
    assert {status: len(jobs) for status, jobs in listed.items()} == dict.fromkeys(statuses, 1)
    assert [listed[status][0]["job_id"] for status in statuses[:3]] == [waiting, running, done]
    every = (await client.get("/jobs")).json()
    assert [job["status"] for job in every["jobs"]] == ["pending", "processing", "completed", "failed"]
    assert every["next"] is None


@pytest.fixture
def guarded(settings):
    return settings.model_copy(update={"api_keys": ",".join([entry("ann", ANN), entry("ben", BEN)])})


async def test_pages_are_filled_with_ones_own_jobs_and_show_no_trace_of_others(
    guarded, announced, make_client, monkeypatch
):
    monkeypatch.setattr("inferq.queue.inspection.listing.MOST_SCANNED", 40)
    monkeypatch.setattr("inferq.queue.inspection.listing.SCANNED_AT_ONCE", 20)
    client = await make_client(guarded)
    producer = client.app.state.services.producer
    mine = await producer.submit_batch([Submission("iris", b"[]", owner="ben") for _ in range(5)])
    others = await producer.submit_batch([Submission("iris", b"[]", owner="ann") for _ in range(300)])
    mine += await producer.submit_batch([Submission("iris", b"[]", owner="ben") for _ in range(2)])

    found, query = [], {"limit": 3}
    while True:
        answer = await client.get("/jobs", params=query, headers=bearer(BEN))
        found += [job["job_id"] for job in answer.json()["jobs"]]
        assert not any(job_id in answer.text for job_id in others)
        cursor = answer.json()["next"]
        if cursor is None:
            break
        refused = await client.get("/jobs", params={"limit": 3, "cursor": cursor}, headers=bearer(ANN))
        expect_problem(refused, 422, "invalid-input")
        query["cursor"] = cursor
    assert found == mine[::-1]


async def test_waiting_jobs_of_a_model_that_nobody_serves_are_cancelled_in_one_call(
    guarded, announced, make_client
):
    client = await make_client(guarded)
    producer = client.app.state.services.producer
    await producer.submit_batch([Submission("gone", b"[]", owner="ben") for _ in range(3)])
    others = await producer.submit_batch([Submission("gone", b"[]", owner="ann") for _ in range(2)])
    query = {"model": "gone", "status": "pending"}
    answer = await client.delete("/jobs", params=query, headers=bearer(BEN))
    assert (answer.status_code, answer.json()) == (200, {"cancelled": 3})
    left = (await client.get("/jobs", params=query, headers=bearer(ANN))).json()["jobs"]
    assert {job["job_id"] for job in left} == set(others)


@pytest.mark.parametrize(
    "query", [{}, {"model": "iris"}, {"model": "iris", "status": "failed"}, {"status": "pending"}]
)
async def test_jobs_are_cancelled_only_where_it_is_said_which(client, announced, query):
    await submit(client)
    expect_problem(await client.delete("/jobs", params=query), 422, "invalid-input")
    assert len((await client.get("/jobs", params={"status": "pending"})).json()["jobs"]) == 1


async def test_jobs_are_found_by_what_their_error_says(client, announced, consumer):
    [job_id] = await failed(client, consumer)
    waiting = await submit(client)
    for query, expected in (
        ({"error_kind": "invalid-input"}, [job_id]),
        ({"error_kind": "crashed"}, []),
        ({"error": "IS bad"}, [job_id]),
        ({"error": "is bad", "status": "pending"}, []),
        ({"id_prefix": job_id}, [job_id]),
        ({"id_prefix": waiting[:10]}, [waiting]),
        ({"owner": ""}, [waiting, job_id]),
        ({"owner": "ann"}, []),
        ({"since": "2020-01-31T12:00:00Z", "until": "2200-01-31T12:00:00+02:00"}, [waiting, job_id]),
        ({"until": "2020-01-31T12:00:00Z"}, []),
    ):
        answer = await client.get("/jobs", params=query)
        assert answer.status_code == 200, answer.text
        assert [job["job_id"] for job in answer.json()["jobs"]] == expected, query


async def test_cursor_of_one_filter_is_refused_with_another(client, announced, consumer):
    await failed(client, consumer, 3)
    query = {"error": "bad", "limit": 1}
    cursor = (await client.get("/jobs", params=query)).json()["next"]
    assert (await client.get("/jobs", params=query | {"cursor": cursor})).status_code == 200
    other = await client.get("/jobs", params=query | {"cursor": cursor, "error": "good"})
    expect_problem(other, 422, "invalid-input")


@pytest.mark.parametrize(
    "query",
    [
        {"since": "yesterday"},
        {"since": "2020-01-31T12:00:00"},
        {"since": "20261128"},
        {"until": "1769860800.5"},
        {"error_kind": "nosuch"},
        {"error_kind": "queue-full"},
        {"id_prefix": "x" * 257},
        {"error": "x" * 257},
    ],
)
async def test_filter_that_cannot_be_understood_is_refused_with_its_name(client, announced, query):
    detail = expect_problem(await client.get("/jobs", params=query), 422, "invalid-input")
    assert next(iter(query)) in detail
