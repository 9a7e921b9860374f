"""Versions of a model through a whole service: a proxy, and a worker in a process of its own."""

import shutil

import httpx
import pytest
import tritonclient.http
from tritonclient.utils import InferenceServerException

from inferq.rollout import Rollout
from inferq.settings import Settings
from tests import onnx_models
from tests.integration.proxy.routes.v2_service import is_ready
from tests.integration.proxy.serving import serving
from tests.integration.worker.processes import WorkerProcess
from tests.servers import wait_until

ROWS = [20.5, 30.5]
ROLLOUT = Rollout(serve="1", shares={"2": 0.5})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A repository: two versions of a model, of which the second has half of the jobs."""
    folder = tmp_path_factory.mktemp("models")
    for version in ("1", "2"):
        onnx_models.write_ramp(folder / "ramp" / version, bend=float(version))
    (folder / "ramp" / "model.toml").write_text('[rollout]\nserve = "1"\nshares = {2 = 0.5}\n')
    return folder


@pytest.fixture(scope="module")
def service(redis_server, folder):
    """A proxy and a worker of that repository, which looks at it by itself only when it is told to."""
    with redis_server.client() as client:
        client.flushall()
    worker = WorkerProcess(redis_server.url, models_dir=folder, models_poll_seconds=0)
    try:
        with serving(Settings(redis_url=redis_server.url, redis_timeout_seconds=20.0)) as proxy:
            wait_until(lambda: is_ready(proxy, "ramp"), 60, "the model")
            with httpx.Client(base_url=f"http://127.0.0.1:{proxy.port}", timeout=90) as client:
                yield client
    finally:
        worker.end()


def predict(service, **members):
    answer = service.post("/predict", json={"data": ROWS, **members}, headers={"prefer": "wait=60"})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_result_tells_which_version_made_it_and_the_share_is_that_of_the_rollout(service):
    jobs = [predict(service) for _ in range(20)]
    assert {job["model"] for job in jobs} == {"ramp"}
    for job in jobs:
        assert job["made_by"]["version"] == (ROLLOUT.choose_version(job["job_id"]) or "1")
    assert {job["model_version"] for job in jobs} == {"1", "2"}
    results = {job["model_version"]: str(job["result"]) for job in jobs}
    assert len(set(results.values())) == 2

    for version in ("1", "2"):
        job = predict(service, model=f"ramp@{version}")
        digest = service.get(f"/models/ramp@{version}").json()["digest"]
        assert (job["made_by"]["version"], str(job["result"])) == (version, results[version])
        assert job["made_by"]["digest"] == digest[:12]
        assert job["made_by"]["runtime"].startswith("onnxruntime-")
        assert job["made_by"]["provider"] == "CPUExecutionProvider"


def test_protocol_tells_the_same_in_its_parameters(service):
    inputs = [{"name": "x", "datatype": "FP32", "shape": [2], "data": ROWS}]
    answer = service.post("/v2/models/ramp/versions/2/infer", json={"inputs": inputs}).json()
    assert (answer["model_name"], answer["model_version"]) == ("ramp", "2")
    made_by = service.get(f"/job/{answer['parameters']['job_id']}").json()["made_by"]
    parameters = {name: part for name, part in made_by.items() if name != "version"}
    assert answer["parameters"] == {"job_id": answer["parameters"]["job_id"], **parameters}


def test_versions_and_what_is_applied_are_those_of_the_worker(service):
    found = service.get("/models/ramp/versions").json()
    assert [(one["version"], one["share"], one["workers"]) for one in found["versions"]] == [
        ("1", 0.5, 1),
        ("2", 0.5, 1),
    ]
    assert service.get("/models/ramp/rollout").json()["applied"] == ROLLOUT.model_dump()


@pytest.fixture
def triton(service):
    with tritonclient.http.InferenceServerClient(service.base_url.netloc.decode()) as triton:
        yield triton


def test_worker_follows_promotion_and_rollback_and_jobs_that_wait_meanwhile_end(service):
    ids = []
    for path, body in (("promote", {"version": "2"}), ("rollback", None)):
        ids += [service.post("/predict", json={"data": ROWS}).json()["job_id"] for _ in range(20)]
        changed = service.post(f"/models/ramp/{path}", json=body).json()
        expected = "2" if path == "promote" else "1"
        assert (changed["serving"], changed["is_followed"], changed["missing"]) == (expected, True, [])
        assert changed["applied"]["shares"] == {}
        assert {predict(service)["model_version"] for _ in range(5)} == {expected}
    jobs = [service.get(f"/job/{job_id}?wait=60").json() for job_id in ids]
    assert {job["status"] for job in jobs} == {"completed"}
    assert service.delete("/models/ramp/rollout").json()["applied"] == ROLLOUT.model_dump()


def test_new_version_serves_once_it_is_loaded_and_goes_when_it_is_removed(service, folder):
    newest = {"serve": None}
    service.put("/models/ramp/rollout", json=newest)
    onnx_models.write_ramp(folder / "ramp" / "3", bend=3.0)
    reloaded = service.post("/models/ramp/reload").json()
    assert (reloaded["versions"], reloaded["is_followed"]) == ({"ramp": ["1", "2", "3"]}, True)
    assert predict(service)["model_version"] == "3"
    shutil.rmtree(folder / "ramp" / "3")
    assert service.post("/models/reload").json()["versions"] == {"ramp": ["1", "2"]}
    assert predict(service)["model_version"] == "2"
    assert service.post("/predict", json={"data": ROWS, "model": "ramp@3"}).status_code == 422
    service.delete("/models/ramp/rollout")


def test_triton_client_unloads_and_loads_a_model_of_a_worker(service, triton):
    triton.unload_model("ramp")
    assert not triton.is_model_ready("ramp")
    assert service.post("/predict", json={"data": ROWS}).status_code == 503
    triton.load_model("ramp")
    assert triton.is_model_ready("ramp", "2")
    assert predict(service, model="ramp@2")["model_version"] == "2"


def test_version_that_cannot_be_loaded_leaves_the_others_serving(service, triton, folder):
    broken = folder / "ramp" / "4" / "model.onnx"
    broken.parent.mkdir()
    broken.write_bytes(b"no model")
    try:
        with pytest.raises(InferenceServerException, match="ramp@4") as raised:
            triton.load_model("ramp")
        assert raised.value.status() == "400"
        assert service.get("/models/ramp/versions").json()["versions"][-1]["reason"]
        assert predict(service)["status"] == "completed"
    finally:
        shutil.rmtree(broken.parent)
    triton.load_model("ramp")
