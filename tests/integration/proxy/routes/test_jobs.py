"""What can be done with a job besides reading it: cancel, try again."""

import pytest

from inferq.errors import InvalidInputError, ModelError
from inferq.jobs import Outcome
from tests.integration.proxy.routes.test_routes import DATA, expect_problem


async def submit(client, **members):
    return (await client.post("/predict", json=DATA | members)).json()["job_id"]


async def failed(client, consumer, count=1):
    """Jobs that have failed, in the order in which they did."""
    ids = [await submit(client) for _ in range(count)]
    for _ in ids:
        [job] = consumer.claim(1)
        consumer.finish([Outcome(job, error=InvalidInputError("It is bad."))])
    return ids


async def test_timeout_of_a_request_reaches_the_worker(client, announced, consumer):
    await submit(client, timeout=1.5)
    await submit(client)
    assert [job.timeout_seconds for job in consumer.claim(2)] == [1.5, None]


async def test_timeout_beyond_the_setting_is_refused(settings, announced, make_client):
    client = await make_client(settings.model_copy(update={"max_timeout_seconds": 60.0}))
    answer = await client.post("/predict", json=DATA | {"timeout": 61})
    assert "at most 60 (INFERQ_MAX_TIMEOUT_SECONDS), got 61" in expect_problem(answer, 422, "invalid-input")


async def test_cancelled_job_that_waits_never_runs(client, announced, consumer):
    job_id = await submit(client)
    answer = await client.delete(f"/job/{job_id}")
    assert answer.status_code == 200
    assert (answer.json()["status"], answer.json()["error_kind"]) == ("failed", "cancelled")
    assert consumer.claim(1) == []


async def test_cancelled_job_that_runs_keeps_no_result(client, announced, consumer):
    job_id = await submit(client)
    [job] = consumer.claim(1)
    assert (await client.delete(f"/job/{job_id}")).json()["status"] == "failed"
    consumer.finish([Outcome(job, result=b"1")])
    view = (await client.get(f"/job/{job_id}")).json()
    assert (view["status"], view["error_kind"], view["result"]) == ("failed", "cancelled", None)
    assert [attempt["error_kind"] for attempt in view["history"]] == ["cancelled"]


async def test_ended_job_cannot_be_cancelled_and_says_how_it_is(client, announced, consumer):
    job_id = await submit(client)
    [job] = consumer.claim(1)
    consumer.finish([Outcome(job, result=b"1")])
    assert "it is completed" in expect_problem(await client.delete(f"/job/{job_id}"), 409, "job-state")
    again = await client.delete(f"/job/{(await failed(client, consumer))[0]}")
    assert "it is failed" in expect_problem(again, 409, "job-state")


@pytest.mark.parametrize(("method", "path"), [("DELETE", "/job/nosuch"), ("POST", "/job/nosuch/retry")])
async def test_unknown_job_is_404_whatever_is_to_be_done_with_it(client, announced, method, path):
    expect_problem(await client.request(method, path), 404, "job-not-found")


async def test_failed_job_runs_again_under_its_id_and_keeps_its_history(client, announced, consumer):
    [job_id] = await failed(client, consumer)
    answer = await client.post(f"/job/{job_id}/retry")
    assert (answer.status_code, answer.json()) == (202, {"job_id": job_id})
    assert answer.headers["location"] == f"/job/{job_id}"
    view = (await client.get(f"/job/{job_id}")).json()
    assert (view["status"], view["error"], view["error_kind"]) == ("pending", None, None)
    [job] = consumer.claim(1)
    consumer.finish([Outcome(job, result=b"1")])
    view = (await client.get(f"/job/{job_id}")).json()
    assert (view["status"], view["result"], view["attempts"]) == ("completed", 1, 2)
    assert [(one["attempt"], one["error"]) for one in view["history"]] == [(1, "It is bad."), (2, None)]


async def test_only_failed_jobs_can_be_tried_again(client, announced):
    job_id = await submit(client)
    assert "is pending" in expect_problem(await client.post(f"/job/{job_id}/retry"), 409, "job-state")


async def test_retry_of_a_full_queue_is_503(settings, announced, consumer, make_client):
    client = await make_client(settings.model_copy(update={"max_queued": 1}))
    [job_id] = await failed(client, consumer)
    await submit(client)
    expect_problem(await client.post(f"/job/{job_id}/retry"), 503, "queue-full")


async def test_history_gives_time_worker_and_reason_of_each_attempt(client, announced, consumer):
    job_id = await submit(client)
    [job] = consumer.claim(1)
    consumer.finish([Outcome(job, error=ModelError("It broke."))])
    view = (await client.get(f"/job/{job_id}")).json()
    [attempt] = view["history"]
    assert (attempt["attempt"], attempt["worker"], attempt["error"]) == (1, "worker-1", "It broke.")
    assert attempt["error_kind"] == "model-error"
    assert view["submitted_at"] <= attempt["started_at"] <= attempt["finished_at"]
