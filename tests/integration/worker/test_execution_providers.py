"""Workers on other builds of ONNX Runtime, each in an environment of its own."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import orjson
import pytest

from inferq.models.repository.model_folder import load_model
from inferq.queue.producer.submission import Submission
from inferq.tensors.signature import ModelDocument
from tests import onnx_models
from tests.integration.worker.processes import ended
from tests.models import predict
from tests.unit.test_documents import ROOT

pytestmark = [pytest.mark.foreign, pytest.mark.timeout(600)]

CPU, OPENVINO = "CPUExecutionProvider", "OpenVINOExecutionProvider"
IS_INTEL = "GenuineIntel" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
"""OpenVINO takes no other processors."""
PICTURE = np.random.default_rng(1).random((2, 3, 16, 16), dtype=np.float32).tolist()
DATA = {
    "convolutions": orjson.dumps(PICTURE),
    "elsewhere": orjson.dumps(PICTURE),
    "iris": b"[[5.1,3.5,1.4,0.2],[6.7,3.0,5.2,2.3]]",
    "digits": orjson.dumps([[[[row * column % 17 for column in range(8)] for row in range(8)]]]),
}


@pytest.fixture(scope="module")
def redis_server(valkey_server):
    """One kind of server: providers know nothing of it."""
    return valkey_server


def make_python(folder, *options):
    """Makes an environment with a worker, and returns its Python."""
    uv = [os.environ.get("UV", "uv"), "sync", "--quiet", "--no-dev", *options]
    subprocess.run(uv, cwd=ROOT, env=os.environ | {"UV_PROJECT_ENVIRONMENT": str(folder)}, check=True)
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    onnx_models.write_convolutions(folder / "convolutions")
    elsewhere = onnx_models.write_convolutions(folder / "elsewhere")
    (elsewhere / "model.toml").write_text("[execution.options.openvino]\ndevice_type = 'NPU'")
    (folder / "iris").symlink_to(ROOT / "models" / "iris")
    (folder / "digits").symlink_to(ROOT / "docs" / "examples" / "digits")
    return folder


async def read_document(producer, name):
    return ModelDocument.from_json((await producer.read_models())[name])


async def run_all(worker, producer):
    """Runs a job of each model; returns the job and the document, by the model's name."""
    await worker.until_logged("worker_ready", timeout=120)
    jobs = {name: await producer.submit(Submission(name, data)) for name, data in DATA.items()}
    return {
        name: (await ended(producer, job_id), await read_document(producer, name))
        for name, job_id in jobs.items()
    }


def check_values(name, models, job):
    """Holds a result against the one that this process computes on the CPU."""
    expected = orjson.loads(predict(load_model(models / name), DATA[name]))
    assert job.error is None
    result = json.loads(job.result)
    assert result.keys() == expected.keys()
    for key, value in expected.items():
        if key == "outputs":
            for output, array in value.items():
                np.testing.assert_allclose(result[key][output], array, rtol=1e-4, atol=1e-6)
        elif key == "probabilities":
            np.testing.assert_allclose(result[key], value, rtol=1e-4, atol=1e-6)
        else:
            assert result[key] == value


async def test_worker_with_openvino_says_so_and_gives_the_values_of_the_cpu(
    start_worker, producer, models, tmp_path
):
    python = make_python(tmp_path / "environment", "--extra", "worker", "--extra", "openvino")
    worker = start_worker(python=python, models_dir=models, providers="openvino")
    found = await run_all(worker, producer)
    for name, (job, document) in found.items():
        check_values(name, models, job)
        assert job.made_by.provider == document.providers[0]
        assert job.made_by.runtime == document.runtime
    problems = {name: document.provider_problem for name, (_, document) in found.items()}
    if not IS_INTEL:
        assert {problem.count("takes no device of this machine") for problem in problems.values()} == {1}
        assert [document.providers for _, document in found.values()] == [[CPU]] * len(found)
        return
    assert found["convolutions"][1].providers == [OPENVINO]
    assert problems["convolutions"] == ""
    assert found["elsewhere"][1].providers == [CPU]
    assert "Its options name a device that is not there; it has CPU" in problems["elsewhere"]
    # operators of scikit-learn's models, and a graph that OpenVINO loads and cannot run
    assert found["iris"][1].providers == found["digits"][1].providers == [CPU]
    assert "It has none of the operators of the model." in problems["iris"]
    assert "It fails on the model's sample." in problems["digits"]


async def test_worker_with_onnx_runtime_for_gpus_runs_on_the_cpu_where_there_is_none(
    start_worker, producer, models, tmp_path
):
    # without the packages of CUDA, 2 GB that nothing here could use
    cuda = "cublas", "cuda-nvrtc", "cuda-runtime", "cudnn-cu13", "cufft", "curand", "nvjitlink"
    left_out = [f"--no-install-package=nvidia-{name}" for name in cuda]
    python = make_python(tmp_path / "environment", "--extra", "gpu", *left_out)
    hidden = {"CUDA_VISIBLE_DEVICES": ""}
    worker = start_worker(python=python, environment=hidden, models_dir=models, providers="cuda")
    found = await run_all(worker, producer)
    for name, (job, document) in found.items():
        check_values(name, models, job)
        assert document.providers == [CPU]
        assert "'cuda' is not used. NVIDIA's driver shows no GPU" in document.provider_problem
        assert job.made_by.provider == CPU
