"""`/v2` beside infer: the server, its models, what is counted of them, the repository."""

import hashlib
from datetime import UTC, datetime

import pytest

from inferq.jobs import Outcome, WorkerInfo
from inferq.proxy.app import create_app
from inferq.proxy.services.models.known_models import KnownModels
from tests.integration.proxy.answers import DATA, beat
from tests.model_documents import write_document


def expect_error(answer, status):
    """The answer is a problem by both conventions; returns what it says."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body["status"] == status
    assert body["type"].startswith("urn:inferq:problem:")
    assert body["error"] == body["detail"] != ""
    return body["error"]


@pytest.fixture
def served(consumer, announced):
    """The iris model, which a live worker serves."""
    beat(consumer, announced)
    return announced.document


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
async def test_server_tells_its_name_and_only_extensions_that_it_has(client, path):
    body = (await client.get(path)).json()
    assert body["name"] == "inferq"
    assert body["version"]
    extensions = {"binary_tensor_data", "classification", "model_repository", "statistics"}
    assert extensions <= set(body["extensions"])
    assert not {"sequence", "logging", "trace"} & set(body["extensions"])


async def test_health_has_json_bodies_that_both_clients_read(client):
    assert (await client.get("/v2/health/live")).json() == {"live": True}
    assert (await client.get("/v2/health/ready")).json() == {"ready": True, "live": True}


async def test_not_ready_without_redis_but_alive(make_client, settings):
    client = await make_client(settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"}))
    assert (await client.get("/v2/health/live")).status_code == 200
    answer = await client.get("/v2/health/ready")
    expect_error(answer, 503)
    assert answer.headers["retry-after"] == "1"


async def test_model_is_described_with_its_version(client, served):
    body = (await client.get("/v2/models/iris")).json()
    assert body == {
        "name": "iris",
        "versions": [served.version],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "features", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [
            {"name": "label", "datatype": "INT64", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]},
        ],
    }
    assert (await client.get(f"/v2/models/iris/versions/{served.version}")).json() == body
    assert (await client.get("/v2/models")).json() == {"models": ["iris"]}


@pytest.mark.parametrize("end", ["", "/ready", "/config", "/stats"])
async def test_unknown_model_and_version_are_404_and_name_what_there_is(client, served, end):
    assert "Known: iris" in expect_error(await client.get(f"/v2/models/irsi{end}"), 404)
    assert served.version in expect_error(await client.get(f"/v2/models/iris/versions/1{end}"), 404)
    assert (await client.get(f"/v2/models/iris/versions/{served.version}{end}")).status_code == 200


async def test_model_is_ready_while_a_live_worker_serves_it(client, announced, consumer):
    answer = await client.get("/v2/models/iris/ready")
    assert "No live worker serves the model 'iris'" in expect_error(answer, 503)
    assert answer.headers["retry-after"]
    beat(consumer, announced)
    await client.app.state.services.catalog._reading.get()  # without waiting for a second
    answer = await client.get("/v2/models/iris/ready")
    assert (answer.status_code, answer.json()) == (200, {"name": "iris", "ready": True})


async def test_config_is_that_of_triton(client, served):
    body = (await client.get("/v2/models/iris/config")).json()
    assert (body["max_batch_size"], body["backend"]) == (100_000, "onnxruntime")
    assert body["input"] == [{"name": "features", "data_type": "TYPE_FP32", "dims": [4], "optional": False}]
    assert [(one["data_type"], one["dims"]) for one in body["output"]] == [
        ("TYPE_INT64", []),
        ("TYPE_FP32", [3]),
    ]


async def test_config_of_a_model_without_batch_axis_keeps_all_axes(client, consumer):
    fixed = write_document("fixed", x=("BYTES", [2, -1]), y=("FP64", [1]))
    consumer.announce(
        {"fixed": fixed, "vector": write_document("vector", x=("FP32", [-1]), y=("FP32", [-1]))}
    )
    body = (await client.get("/v2/models/vector/config")).json()
    assert (body["max_batch_size"], body["input"][0]["dims"]) == (
        0,
        [-1],
    )  # no client knows a row without axes
    body = (await client.get("/v2/models/fixed/config")).json()
    assert body["max_batch_size"] == 0
    assert body["input"][0]["data_type"] == "TYPE_STRING"
    assert (body["input"][0]["dims"], body["output"][0]["dims"]) == ([2, -1], [1])


async def test_statistics_are_those_of_the_whole_cluster_in_ns(client, served, consumer):
    for _ in range(3):
        await client.post("/predict", json=DATA)
    jobs = consumer.claim(3)
    outcomes = [
        Outcome(job, b"{}", run_seconds=0.25, batch_jobs=3, is_first_of_run=number == 0)
        for number, job in enumerate(jobs)
    ]
    consumer.finish(outcomes)
    [stats] = (await client.get("/v2/models/iris/stats")).json()["model_stats"]
    assert (stats["name"], stats["version"]) == ("iris", "1")
    assert (stats["inference_count"], stats["execution_count"]) == (3, 1)
    assert stats["inference_stats"]["success"]["count"] == 3
    assert stats["inference_stats"]["fail"] == {"count": 0, "ns": 0}
    assert stats["inference_stats"]["compute_infer"] == {"count": 1, "ns": 250_000_000}
    assert stats["inference_stats"]["queue"]["count"] == 3
    assert (await client.get("/v2/models/stats")).json() == {"model_stats": [stats]}


async def test_repository_index_takes_an_empty_body_and_is_a_bare_array(client, consumer, served):
    entry = {"name": "iris", "version": served.version, "state": "READY", "reason": ""}
    assert (await client.post("/v2/repository/index")).json() == [entry]
    now = datetime.now(UTC)
    left_out = WorkerInfo("worker-1", "here", 1, ("iris",), now, left_out={"resnet": "No such file."})
    consumer.heartbeat(left_out, {}, 30.0)
    await client.app.state.services.catalog._reading.get()
    lost = {"name": "resnet", "version": "", "state": "UNAVAILABLE", "reason": "No such file."}
    assert (await client.post("/v2/repository/index", json={})).json() == [entry, lost]
    assert (await client.post("/v2/repository/index", json={"ready": True})).json() == [entry]
    expect_error(await client.post("/v2/repository/index", json={"ready": 1}), 400)
    expect_error(await client.post("/v2/repository/index", content=b"["), 400)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/systemsharedmemory/status"),
        ("POST", "/v2/systemsharedmemory/region/x/register"),
        ("POST", "/v2/cudasharedmemory/unregister"),
        ("GET", "/v2/trace/setting"),
        ("POST", "/v2/models/iris/trace/setting"),
        ("GET", "/v2/logging"),
    ],
)
async def test_extensions_that_there_are_not_say_so(client, served, method, path):
    assert "There is no" in expect_error(await client.request(method, path), 501)


async def test_errors_of_the_framework_have_the_form_of_the_protocol_too(client):
    expect_error(await client.get("/v2/nothing"), 404)
    expect_error(await client.post("/v2/models"), 405)
    assert (await client.get("/v2x")).headers["content-type"] == "application/problem+json"


async def test_everything_but_health_needs_a_key_where_there_are_keys(make_client, settings, served):
    digest = hashlib.sha256(b"secret").hexdigest()
    client = await make_client(settings.model_copy(update={"api_keys": f"ana:{digest}"}))
    expect_error(await client.get("/v2/models/iris"), 401)
    assert (await client.get("/v2/health/ready")).status_code == 200
    answer = await client.get("/v2/models/iris", headers={"authorization": "Bearer secret"})
    assert answer.status_code == 200


async def test_requests_are_counted_by_the_template_of_their_route(client, served):
    await client.get(f"/v2/models/iris/versions/{served.version}/ready")
    text = (await client.get("/metrics")).text
    assert 'http_route="/v2/models/{model}/ready"' in text


def test_models_whose_workers_cannot_be_read_count_as_served():
    assert KnownModels({}, {}, "iris", "iris").served is None


def test_openapi_has_each_error_in_the_form_of_the_protocol(settings):
    document = create_app(settings).openapi()
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                if path.startswith("/v2") and int(status) >= 400:
                    assert answer["content"].keys() == {"application/json"}
