"""ONNX's own backend tests: what ONNX Runtime gives by itself comes through the service with the same values.

All cases go through the code of proxy and worker in this process. Some, of each datatype and container, go
through a real proxy, Redis and worker as well.
"""

import httpx
import pytest
from pydantic_core import to_json

from inferq.settings import Settings
from tests.integration.proxy.serving import serving
from tests.integration.worker.processes import WorkerProcess
from tests.onnx_backend import is_same, is_same_tensor, list_value
from tests.onnx_service_path import compare, read_answer
from tests.onnx_suite import EXCEPTIONS, FORMS, run_suite
from tests.servers import wait_until
from tests.tensors import make_binary_request

# 20 s on a machine that does nothing else
pytestmark = pytest.mark.timeout(600)

HEAD = "inference-header-content-length"


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    return run_suite(tmp_path_factory.mktemp("repository"))


def test_every_case_that_onnx_runtime_runs_comes_through_or_is_explained(outcomes):
    assert outcomes.failed.keys() == EXCEPTIONS.keys(), outcomes.failed


@pytest.mark.parametrize("form", FORMS)
def test_nearly_all_cases_are_run(outcomes, form):
    assert len(outcomes.passed[form]) > 1800


@pytest.fixture(scope="module")
def address(valkey_server, outcomes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name, case in outcomes.sample.items():
        (folder / name).mkdir()
        (folder / name / "model.onnx").write_bytes(case.model)
        (folder / name / "model.toml").write_text('non_finite = "string"')
    with valkey_server.client() as client:
        client.flushall()
    worker = WorkerProcess(valkey_server.url, models_dir=folder, max_attempts=1)
    try:
        with serving(Settings(redis_url=valkey_server.url, max_wait_seconds=60)) as proxy:
            url = f"http://127.0.0.1:{proxy.port}"

            def are_served():
                return {
                    *httpx.get(f"{url}/v2/models", timeout=60).json().get("models", [])
                } >= outcomes.sample.keys()

            wait_until(are_served, 120, "the models")
            yield url
    finally:
        worker.end()


def test_a_sample_goes_through_proxy_redis_and_worker(address, outcomes):
    assert {kind for case in outcomes.sample.values() for kind in case.types} == outcomes.types.keys()
    with httpx.Client(base_url=address, timeout=60) as client:
        found = {
            (form, case.name): difference
            for name, case in outcomes.sample.items()
            for inputs, expected in case.runs
            for form, ask, are_same in (("JSON", ask_json, is_same), ("binary", ask_binary, is_same_tensor))
            if (difference := compare(ask(client, name, inputs), expected, are_same)) is not None
        }
    assert found == {}


def ask_json(client, model, inputs):
    data = {name: list_value(value) for name, value in inputs.items()}
    body = to_json({"data": data, "model": model}, inf_nan_mode="strings")
    job = client.post("/predict", content=body, headers={"prefer": "wait=60"}).json()
    assert job.get("status") == "completed", job
    return job["result"]["outputs"]


def ask_binary(client, model, inputs):
    head, data = make_binary_request(inputs)
    answer = client.post(f"/v2/models/{model}/infer", content=head + data, headers={HEAD: str(len(head))})
    assert answer.status_code == 200, answer.text
    length = int(answer.headers.get(HEAD, len(answer.content)))
    return read_answer(answer.content[:length], answer.content[length:])
