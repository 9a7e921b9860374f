"""GET /models and GET /metadata."""

from tests.integration.proxy.answers import DATA, expect_problem


async def test_metadata_describes_the_model_in_the_open_inference_protocols_words(client, announced):
    expect_problem(await client.get("/models/nosuch"), 404, "unknown-model")
    for path in ("/metadata", "/models/iris"):
        document = (await client.get(path)).json()
        assert document["name"] == "iris"
        assert document["versions"] == [document["version"]]
        assert document["inputs"] == [{"name": "features", "datatype": "FP32", "shape": [-1, 4]}]
        assert {"name", "datatype", "shape"} == set(document["outputs"][0])
        assert document["class_names"] == ["setosa", "versicolor", "virginica"]
        assert len(document["feature_names"]) == 4
        assert document["example"] == DATA["data"]
    assert (await client.get("/models")).json() == {
        "models": ["iris"],
        "versions": {"iris": [announced.document.version]},
        "default": "iris",
        "unavailable": {},
    }


async def test_metadata_before_any_worker_is_503(client):
    answer = await client.get("/metadata")
    expect_problem(answer, 503, "no-worker")
    assert int(answer.headers["retry-after"]) >= 1


async def test_model_that_changes_is_noticed(client, announced, consumer, monkeypatch):
    monkeypatch.setattr("inferq.proxy.services.models.model_catalog.FRESH_SECONDS", 0.0)
    assert (await client.get("/metadata")).json()["version"] == announced.document.version
    changed = announced.document.model_copy(update={"version": "other", "versions": ["other"]})
    consumer.announce({"iris": changed.to_json()})
    assert (await client.get("/metadata")).json()["version"] == "other"


async def test_unreadable_announcement_hides_only_its_model(client, announced, redis_client):
    redis_client.hset("models", "broken", "no json")
    assert (await client.get("/models")).json()["models"] == ["iris"]
