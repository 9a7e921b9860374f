"""GET /queue/{model}/history."""

import itertools
from datetime import datetime

import pytest

from tests.integration.proxy.answers import expect_problem
from tests.integration.proxy.routes.test_jobs import failed, submit


async def test_minutes_tell_what_happened_to_the_jobs_of_a_model(client, announced, consumer):
    await failed(client, consumer, 2)
    await submit(client)
    minutes = (await client.get("/queue/iris/history")).json()["minutes"]
    assert len(minutes) == 60
    totals = {name: sum(minute[name] for minute in minutes) for name in ("submitted", "completed", "failed")}
    assert totals == {"submitted": 3, "completed": 0, "failed": 2}
    assert max(minute["waiting"] for minute in minutes) >= 1
    assert all(minute["run_seconds"] >= 0 for minute in minutes)
    moments = [datetime.fromisoformat(minute["at"]) for minute in minutes]
    assert {(after - before).seconds for before, after in itertools.pairwise(moments)} == {60}


async def test_so_many_minutes_are_told_as_asked_for(client, announced):
    answer = await client.get("/queue/iris/history", params={"minutes": 5})
    assert len(answer.json()["minutes"]) == 5


@pytest.mark.parametrize("minutes", ["0", "121", "x"])
async def test_number_of_minutes_that_cannot_be_had_is_refused(client, announced, minutes):
    answer = await client.get("/queue/iris/history", params={"minutes": minutes})
    expect_problem(answer, 422, "invalid-input")


async def test_model_without_a_worker_and_without_jobs_is_unknown(client, announced):
    expect_problem(await client.get("/queue/irsi/history"), 404, "unknown-model")
