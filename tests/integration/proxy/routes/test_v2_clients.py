"""Programs of others, unmodified, against `/v2`: Triton's two clients, its perf_analyzer, KServe's client."""

import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException

from tests.integration.proxy.routes.v2_service import MODELS, running_service

X = np.array([[1.5, -2], [0.25, 8]], np.float32)


@pytest.fixture(scope="module")
def service(valkey_server, tmp_path_factory):
    with running_service(valkey_server, tmp_path_factory.mktemp("models")) as proxy:
        yield proxy


@pytest.fixture
def client(service):
    with triton.InferenceServerClient(f"127.0.0.1:{service.port}") as client:
        yield client


def give(name, array, datatype, **options):
    given = triton.InferInput(name, array.shape, datatype)
    given.set_data_from_numpy(array, **options)
    return given


def test_triton_client_reads_server_and_models(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.get_server_metadata()["name"] == "inferq"
    assert client.is_model_ready("copy")
    assert not client.is_model_ready("nothing")
    metadata = client.get_model_metadata("copy")
    assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, -1]}]
    assert client.get_model_metadata("copy", metadata["versions"][0]) == metadata
    assert client.get_model_config("copy")["input"][0]["data_type"] == "TYPE_FP32"
    index = client.get_model_repository_index()
    assert {(entry["name"], entry["state"]) for entry in index} == {(name, "READY") for name in MODELS}
    assert client.get_inference_statistics("copy")["model_stats"][0]["name"] == "copy"
    assert len(client.get_inference_statistics()["model_stats"]) == len(MODELS)


def test_triton_client_sends_and_reads_bfloat16(client):
    x = np.array([[1.5, -2, 0.25]], np.float32)
    result = client.infer("bfloat16", [give("x", x, "FP32"), give("code", 2 * x, "BF16")])
    np.testing.assert_array_equal(result.as_numpy("as_code"), x)
    np.testing.assert_array_equal(result.as_numpy("as_float"), 2 * x)


@pytest.mark.parametrize("binary", [True, False])
def test_triton_client_infers_with_all_it_may_say(client, binary):
    result = client.infer(
        "copy",
        [give("x", X, "FP32", binary_data=binary)],
        outputs=[triton.InferRequestedOutput("y", binary_data=binary)],
        request_id="mine",
        priority=1,
        timeout=60_000_000,
        parameters={"my": "own"},
    )
    assert np.array_equal(result.as_numpy("y"), X)
    assert result.get_response()["id"] == "mine"


def test_triton_client_infers_as_its_quick_start_does(client):
    result = client.infer("copy", [give("x", X, "FP32")])
    assert np.array_equal(result.as_numpy("y"), X)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_triton_client_compresses_both_ways(client, coding):
    result = client.infer(
        "copy",
        [give("x", X, "FP32")],
        request_compression_algorithm=coding,
        response_compression_algorithm=coding,
    )
    assert np.array_equal(result.as_numpy("y"), X)


@pytest.mark.parametrize("binary", [True, False])
def test_triton_client_sends_every_datatype(client, binary):
    arrays = {
        "BOOL": np.array([[True, False]]),
        "BYTES": np.array([["cat", "犬"]], dtype=np.object_),
        "FP16": np.array([[0.1, -1]], np.float16),
        "FP32": X[:1],
        "FP64": np.array([[0.1, -1e300]]),
        **{f"INT{bits}": np.array([[-1, 1]], f"int{bits}") for bits in (8, 16, 32, 64)},
        **{f"UINT{bits}": np.array([[0, 2**bits - 1]], f"uint{bits}") for bits in (8, 16, 32, 64)},
    }
    # the client itself sends half floats as bytes alone
    inputs = [
        give(f"x_{name}", array, name, binary_data=binary or name == "FP16") for name, array in arrays.items()
    ]
    outputs = [triton.InferRequestedOutput(f"y_{name}", binary_data=binary) for name in arrays]
    result = client.infer("types", inputs, outputs=outputs)
    for name, array in arrays.items():
        answered = result.as_numpy(f"y_{name}")
        if name == "BYTES":
            answered = [one.decode() if isinstance(one, bytes) else one for one in answered.ravel()]
            array = ["cat", "犬"]
        assert np.array_equal(answered, array), name


@pytest.mark.parametrize("binary", [True, False])
def test_triton_client_asks_for_classes(client, binary):
    wish = triton.InferRequestedOutput("probabilities", binary_data=binary, class_count=1)
    scores = np.array([[0, 1], [3, 0]], np.float32)
    result = client.infer("pets", [give("scores", scores, "FP32")], outputs=[wish])
    answered = result.as_numpy("probabilities").ravel()
    texts = [one.decode() if isinstance(one, bytes) else one for one in answered]
    assert [text.partition(":")[2] for text in texts] == ["1:dog", "0:cat"]


def test_triton_client_shows_what_is_wrong(client):
    with pytest.raises(InferenceServerException, match=r"\[404\] There is no model 'nothing'"):
        client.infer("nothing", [give("x", X, "FP32")])
    with pytest.raises(InferenceServerException, match=r"\[400\] data\[.x.\] is FP64"):
        client.infer("copy", [give("x", X.astype(np.float64), "FP64")])
    with pytest.raises(InferenceServerException, match=r"\[500\] The model 'failing' failed"):
        client.infer("failing", [give("index", np.array([99]), "INT64")])
    with pytest.raises(InferenceServerException, match=r"\[400\] Models with a state"):
        client.infer("copy", [give("x", X, "FP32")], sequence_id=1, sequence_start=True)
    with pytest.raises(InferenceServerException, match="There is no shared memory"):
        client.get_system_shared_memory_status()
    with pytest.raises(InferenceServerException, match="Failed to load 'nothing'"):
        client.load_model("nothing")


def test_triton_client_sends_many_without_waiting(service):
    with triton.InferenceServerClient(f"127.0.0.1:{service.port}", concurrency=8) as client:
        under_way = [client.async_infer("copy", [give("x", X + number, "FP32")]) for number in range(8)]
        for number, one in enumerate(under_way):
            assert np.array_equal(one.get_result().as_numpy("y"), X + number)


async def test_asynchronous_triton_client(service):
    async with triton_aio.InferenceServerClient(f"127.0.0.1:{service.port}") as client:
        assert await client.is_model_ready("copy")
        assert (await client.get_model_config("copy"))["max_batch_size"] > 0
        result = await client.infer("copy", [give("x", X, "FP32")], request_id="mine")
        assert np.array_equal(result.as_numpy("y"), X)
        with pytest.raises(InferenceServerException, match="There is no model"):
            await client.infer("nothing", [give("x", X, "FP32")])


@pytest.mark.foreign
@pytest.mark.skipif(platform.libc_ver() < ("glibc", "2.38"), reason="perf_analyzer's wheel needs glibc 2.38")
def test_perf_analyzer_measures_and_reads_the_statistics(service):
    tool = ["uvx", "--no-config", "--from", "perf-analyzer==2.60.0", "perf_analyzer"]
    options = [
        "-m",
        "copy",
        "--shape",
        "x:64",
        "--concurrency-range",
        "2",
        "-p",
        "1000",
        "-r",
        "3",
        "-s",
        "999",
    ]
    command = [*tool, "-u", f"127.0.0.1:{service.port}", "-i", "http", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    assert "Successful request count" in done.stdout


@pytest.mark.foreign
def test_client_of_kserve(service):
    # its pandas and protobuf are older than ours may be, and it is 300 MB with all that it needs
    uv = ["uv", "run", "--isolated", "--no-project", "--no-config", "--with", "kserve==0.21.0"]
    script = Path(__file__).with_name("kserve_client.py")
    subprocess.run([*uv, "--python", sys.executable, str(script), str(service.port)], check=True, timeout=600)
