"""GET /models/{name}/shadow."""

import pytest

from inferq.jobs import Outcome
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.consumer.shadows.shadow_findings import ShadowFinding
from inferq.queue.consumer.shadows.shadow_jobs import ShadowSample
from inferq.rollout import Rollout
from tests.integration.proxy.answers import expect_problem
from tests.integration.proxy.http.test_auth import ANN, BEN, bearer, entry

QUEUE = "iris@3~shadow"
BODY = {"data": [[5.1, 3.5, 1.4, 0.2]]}


@pytest.fixture
def consumer(settings):
    consumer = Consumer(
        settings, "worker-1", ["iris", QUEUE], {"iris": "2 abc onnxruntime-1 CPU", QUEUE: "3"}
    )
    yield consumer
    consumer.close()


@pytest.fixture
def tried(consumer, iris):
    """The model of which version 3 is tried with a tenth of the jobs."""
    rollout = Rollout(serve="2", shadow={"3": 0.1})
    document = iris.document.model_copy(update={"version": "2", "versions": ["2", "3"], "rollout": rollout})
    consumer.announce({"iris": document.to_json()})


def compare(consumer, *, agrees, **fields):
    """Runs the job that waits, and compares it."""
    [job] = consumer.claim(1)
    consumer.finish([Outcome(job, b"{}")])
    consumer.shadow_jobs.submit([ShadowSample(job, QUEUE, 0.02, 1, 2, 1e-4)])
    [shadow] = consumer.claim(1)
    [primary] = consumer.shadow_findings.read_primaries([shadow])
    consumer.shadow_findings.note(QUEUE, [ShadowFinding(shadow, "3", primary, 0.04, 2, agrees, **fields)])
    consumer.finish([Outcome(shadow, b"{}")])
    return shadow.id


async def test_before_anything_was_compared_there_is_no_candidate(client, tried):
    answer = await client.get("/models/iris/shadow")
    assert (answer.status_code, answer.json()) == (200, {"model": "iris", "candidates": []})


async def test_a_candidate_is_told_with_the_jobs_that_differ(client, tried, consumer):
    ids = []
    for number in range(4):
        ids.append((await client.post("/predict", json=BODY)).json()["job_id"])
        fields = {"absolute": 0.5, "relative": 0.25, "where": "probabilities[1]"} if number == 3 else {}
        shadow_id = compare(consumer, agrees=number < 3, **fields)
    body = (await client.get("/models/iris/shadow")).json()
    [candidate] = body["candidates"]
    [differing] = candidate.pop("differing")
    assert differing.pop("at").endswith("Z")
    assert differing == {
        "job_id": ids[3],
        "href": f"/job/{ids[3]}",
        "shadow_job_id": shadow_id,
        "shadow_href": f"/job/{shadow_id}",
        "difference": 0.5,
        "relative_difference": 0.25,
        "where": "probabilities[1]",
        "error": None,
    }
    latency = candidate.pop("latency")
    assert latency["primary"]["mean_seconds"] == pytest.approx(0.02)
    assert latency["candidate"]["p50_seconds"] == pytest.approx(0.04, rel=0.3)
    assert latency["candidate"]["mean_batch_jobs"] == 2
    assert candidate.pop("since").endswith("Z")
    assert candidate == {
        "version": "3",
        "share": 0.1,
        "tolerance": 1e-4,
        "primary": {"version": "2", "digest": "abc", "runtime": "onnxruntime-1", "provider": "CPU"},
        "candidate": {"version": "3", "digest": None, "runtime": None, "provider": None},
        "agreement": 0.75,
        "jobs": {
            "compared": 4,
            "agreed": 3,
            "differed": 1,
            "failed": 0,
            "missed": 0,
            "skipped": 0,
            "waiting": 0,
        },
        "largest_difference": 0.5,
        "largest_relative_difference": 0.25,
    }
    shadow = (await client.get(differing["shadow_href"])).json()
    assert (shadow["model"], shadow["priority"], shadow["status"]) == (QUEUE, "low", "completed")
    assert {job["job_id"] for job in (await client.get("/jobs")).json()["jobs"]} == set(ids)


async def test_a_key_is_told_of_its_own_jobs_alone(make_client, settings, tried, consumer):
    api_keys = ",".join([entry("ann", ANN), entry("ben", BEN)])
    client = await make_client(settings.model_copy(update={"api_keys": api_keys}))
    job_id = (await client.post("/predict", json=BODY, headers=bearer(ANN))).json()["job_id"]
    compare(consumer, agrees=False, absolute=1.0)
    for key, expected in ((ANN, [job_id]), (BEN, [])):
        [candidate] = (await client.get("/models/iris/shadow", headers=bearer(key))).json()["candidates"]
        assert candidate["jobs"]["differed"] == 1
        assert [job["job_id"] for job in candidate["differing"]] == expected
        for job in candidate["differing"]:
            assert (await client.get(job["shadow_href"], headers=bearer(key))).status_code == 200


@pytest.mark.parametrize("name", ["irsi", "iris@2", "iris@3~shadow"])
async def test_what_is_no_model_is_not_found(client, tried, name):
    expect_problem(await client.get(f"/models/{name}/shadow"), 404, "unknown-model")
