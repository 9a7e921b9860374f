"""What can be done with a job besides reading it: cancel, try again."""

from datetime import UTC, datetime

import pytest

from inferq.errors import InvalidInputError, ModelError
from inferq.jobs import Outcome
from inferq.queue.consumer.consumer import Consumer
from tests.integration.proxy.answers import DATA, expect_problem
from tests.models import predict

SEED_KEYS = ["job_id", "status", "result", "error"]


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
    client = await make_client(settings.model_copy(update={"max_run_timeout_seconds": 60.0}))
    answer = await client.post("/predict", json=DATA | {"timeout": 61})
    assert "at most 60 (INFERQ_MAX_RUN_TIMEOUT_SECONDS), got 61" in expect_problem(
        answer, 422, "invalid-input"
    )


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


async def test_job_that_was_retried_by_order_shows_its_whole_timeline(client, announced, consumer):
    [job_id] = await failed(client, consumer)
    first = (await client.get(f"/job/{job_id}")).json()
    assert "first_submitted_at" not in first
    for _ in range(2):
        await client.post(f"/job/{job_id}/retry")
        consumer.finish([Outcome(job, error=InvalidInputError("No.")) for job in consumer.claim(1)])
    view = (await client.get(f"/job/{job_id}")).json()
    assert view["first_submitted_at"] == first["submitted_at"]
    assert [attempt["attempt"] for attempt in view["history"]] == [1, 2, 3]
    moments = [view["first_submitted_at"], *(attempt["started_at"] for attempt in view["history"])]
    assert [*moments, view["finished_at"]] == sorted([*moments, view["finished_at"]])
    assert first["finished_at"] <= view["submitted_at"] <= view["history"][-1]["started_at"]


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
