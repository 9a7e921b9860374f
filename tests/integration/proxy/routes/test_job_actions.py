"""POST /jobs/actions."""

import pytest

from inferq.queue.producer import bulk_actions
from inferq.queue.producer.submission import Submission
from tests.integration.proxy.answers import expect_problem
from tests.integration.proxy.http.test_auth import ANN, BEN, bearer, entry
from tests.integration.proxy.routes.test_jobs import failed, submit


async def act(client, action, **members):
    answer = await client.post("/jobs/actions", json={"action": action} | members)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_failed_jobs_are_counted_and_tried_again(client, announced, consumer):
    ids = await failed(client, consumer, 3)
    query = {"error_kind": "invalid-input", "error": "is bad"}
    nothing = {"skipped": 0, "skipped_by_kind": {}, "cursor": None}
    counted = await act(client, "retry", filter=query, dry_run=True)
    assert counted == {"matched": 3, "changed": 0} | nothing
    assert await act(client, "retry", filter=query) == {"matched": 3, "changed": 3} | nothing
    assert await act(client, "retry", filter=query) == {"matched": 0, "changed": 0} | nothing
    for job_id in ids:
        assert (await client.get(f"/job/{job_id}")).json()["status"] == "pending"


async def test_waiting_jobs_are_cancelled_and_ended_ones_deleted(client, announced, consumer):
    [bad] = await failed(client, consumer)
    waiting = [await submit(client) for _ in range(2)]
    assert (await act(client, "cancel", filter={"model": "iris"}))["changed"] == 2
    assert (await client.get(f"/job/{waiting[0]}")).json()["error_kind"] == "cancelled"
    report = await act(client, "delete", filter={"status": "failed", "error_kind": "cancelled"})
    assert report["changed"] == 2
    assert [(await client.get(f"/job/{one}")).status_code for one in (*waiting, bad)] == [404, 404, 200]


@pytest.mark.parametrize("moment", ["2020-01-31T12:00:00Z", "2020-01-31t21:00:00.5+09:00"])
async def test_jobs_are_found_by_the_time_of_their_end(client, announced, consumer, moment):
    await failed(client, consumer, 2)
    for name, found in (("since", 2), ("until", 0)):
        assert (await act(client, "retry", filter={name: moment}, dry_run=True))["matched"] == found
        listed = await client.get("/jobs", params={"status": "failed", name: moment})
        assert len(listed.json()["jobs"]) == found


async def test_calls_go_on_from_a_cursor_which_fits_no_other_action(client, announced, consumer, monkeypatch):
    monkeypatch.setattr(bulk_actions, "MOST_CHANGED", 2)
    monkeypatch.setattr(bulk_actions, "_SCANNED_AT_ONCE", 2)
    await failed(client, consumer, 4)
    query = {"status": "failed"}
    first = await act(client, "retry", filter=query)
    assert (first["changed"], first["cursor"] is None) == (2, False)
    other = {"action": "delete", "filter": query, "cursor": first["cursor"]}
    expect_problem(await client.post("/jobs/actions", json=other), 422, "invalid-input")
    second = await act(client, "retry", filter=query, cursor=first["cursor"])
    assert second["changed"] == 2


async def test_key_changes_its_own_jobs_and_those_without_an_owner(settings, announced, make_client):
    keys = ",".join([entry("ann", ANN), entry("ben", BEN)])
    client = await make_client(settings.model_copy(update={"api_keys": keys}))
    producer = client.app.state.services.producer
    [anns, bens, nobodys] = [
        await producer.submit(Submission("iris", b"[]", owner=owner)) for owner in ("ann", "ben", "")
    ]
    client.headers = bearer(BEN)
    assert (await act(client, "cancel", filter={"owner": "ann"}))["matched"] == 0
    assert (await act(client, "cancel", filter={"model": "iris"}))["changed"] == 2
    statuses = [(await producer.read(one)).status for one in (anns, bens, nobodys)]
    assert statuses == ["pending", "failed", "failed"]


@pytest.mark.parametrize("empty", [{}, {"model": None}, {"error": "", "id_prefix": ""}])
async def test_action_on_all_jobs_is_refused(client, announced, empty):
    job_id = await submit(client)
    answer = await client.post("/jobs/actions", json={"action": "cancel", "filter": empty})
    assert "at least one member" in expect_problem(answer, 422, "invalid-input")
    assert (await client.get(f"/job/{job_id}")).json()["status"] == "pending"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b'{"filter": {"model": "iris"}}', "action"),
        (b'{"action": "drop", "filter": {"model": "iris"}}', "action"),
        (b'{"action": "retry"}', "filter"),
        (b'{"action": "retry", "filter": {"modell": "iris"}}', "filter.modell"),
        (b'{"action": "retry", "filter": {"since": "now"}}', "filter.since"),
        (b'{"action": "retry", "filter": {"since": 1769860800}}', "filter.since"),
        (b'{"action": "delete", "filter": {"since": "20261128"}}', "filter.since: Value error, a time must"),
        (b'{"action": "retry", "filter": {"model": "iris"}, "dry_run": "yes"}', "dry_run"),
        (b'{"action": "retry", "filter": {"model": "a", "model": "b"}}', "twice"),
        (b'{"action": "retry", "filter": {"status": "pending"}}', "'retry' is for jobs"),
        (b'{"action": "retry", "filter": {"model": "iris"}, "cursor": "x"}', "cursor"),
    ],
)
async def test_action_that_cannot_be_understood_is_refused_with_the_reason(client, body, named):
    detail = expect_problem(await client.post("/jobs/actions", content=body), 422, "invalid-input")
    assert named in detail


async def test_body_that_is_no_object_or_too_long_is_refused(client):
    expect_problem(await client.post("/jobs/actions", content=b"[]"), 400, "invalid-json")
    expect_problem(await client.post("/jobs/actions", content=b"x" * 70_000), 413, "body-too-large")
