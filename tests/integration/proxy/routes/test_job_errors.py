"""GET /jobs/errors."""

import pytest

from tests.integration.proxy.answers import expect_problem
from tests.integration.proxy.routes.test_jobs import failed


async def test_failed_jobs_are_grouped_by_their_error(client, announced, consumer):
    ids = await failed(client, consumer, 3)
    body = (await client.get("/jobs/errors", params={"model": "iris"})).json()
    [group] = body["groups"]
    latest = (await client.get(f"/job/{group['example_job_id']}")).json()
    assert latest["job_id"] in ids
    assert body == {
        "groups": [
            {
                "error_kind": "invalid-input",
                "error": "It is bad.",
                "model": "iris",
                "count": 3,
                "latest_at": latest["finished_at"],
                "example_job_id": latest["job_id"],
            }
        ],
        "is_complete": True,
    }


@pytest.mark.parametrize(
    "query", [{"status": "completed"}, {"model": "other"}, {"error": "nosuch"}, {"owner": "ann"}]
)
async def test_jobs_that_the_filter_leaves_out_are_in_no_group(client, announced, consumer, query):
    await failed(client, consumer)
    body = (await client.get("/jobs/errors", params=query)).json()
    assert body == {"groups": [], "is_complete": True}


async def test_filter_that_cannot_be_understood_is_refused(client):
    expect_problem(await client.get("/jobs/errors", params={"since": "now"}), 422, "invalid-input")
