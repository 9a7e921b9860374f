"""big rows: a job of 100,000 × 4 numbers, and one of an image, from request to result; the share of JSON."""

import json
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import httpx
import numpy as np
import onnx
import orjson
import redis
from onnx import TensorProto, helper
from pydantic_core import from_json, to_json

from benchmarks.figures import Figure, figure_of
from benchmarks.processes import ROOT, can_connect, free_port, program, python, redis_server, wait_until
from benchmarks.rounds import rounds, tell
from inferq.models.model import Model
from inferq.models.repository.model_folder import load_model

_IMAGE = (1, 3, 224, 224)
_ROWS = 100_000


def write_pooling(folder: Path) -> None:
    """FP32 [n, 3, 224, 224] to [n, 3, 1, 1]: the mean of each channel."""
    graph = helper.make_graph(
        [helper.make_node("GlobalAveragePool", ["image"], ["mean"])],
        "pooling",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", *_IMAGE[1:]])],
        [helper.make_tensor_value_info("mean", TensorProto.FLOAT, ["n", 3, 1, 1])],
    )
    folder.mkdir(parents=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, folder / "model.onnx")


def measure(quick: bool) -> list[Figure]:
    """Sends both jobs through a proxy and a worker of their own."""
    random = np.random.default_rng(7)
    table = np.round(random.uniform(0, 8, (_ROWS, 4)), 1).tolist()
    image = np.round(random.uniform(0, 1, _IMAGE), 4).tolist()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="inferq-benchmark-") as folder, ExitStack() as stack:
        models = Path(folder)
        (models / "iris").symlink_to(ROOT / "models" / "iris")
        write_pooling(models / "pooling")
        settings = {"INFERQ_MODELS_DIR": folder}
        url = stack.enter_context(redis_server())
        port = free_port()
        command = python("-m", "inferq", "proxy", "--port", str(port))
        proxy = stack.enter_context(program(command, "the proxy", url=url, settings=settings))
        worker = python("-m", "inferq", "worker")
        stack.enter_context(program(worker, "the worker", url=url, settings=settings))
        client = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60))
        store = stack.enter_context(redis.Redis.from_url(url))
        wait_until(lambda: can_connect(port), "the proxy listens", alive=proxy)
        wait_until(lambda: store.zcard("workers") == 1, "the worker reports")
        for name, model, data in (
            ("100,000 rows of 4", "iris", table),
            ("3×224×224 image", "pooling", image),
        ):
            body = json.dumps({"model": model, "data": data}).encode()
            samples = [_round_trip(client, body) for _ in range(rounds(quick))]
            share = _json_seconds(load_model(models / model), body) / median(samples)
            tell(f"big rows: {name}, {len(body) / 1e6:.1f} MB, {median(samples):.2f} s, {share:.0%} in JSON")
            subject = f"{name}, {len(body) / 1e6:.1f} MB"
            figures.append(figure_of("big rows", subject, samples, "s"))
            figures.append(figure_of("big rows: share of JSON", subject, [100 * share], "%"))
    return figures


def _round_trip(client: httpx.Client, body: bytes) -> float:
    """Seconds from the request to the result."""
    began = time.perf_counter()
    job_id = client.post("/predict", content=body).raise_for_status().json()["job_id"]
    while True:
        answer = client.get(f"/job/{job_id}").raise_for_status()
        if b'"status":"completed"' in answer.content[:100]:
            return time.perf_counter() - began
        time.sleep(0.005)


def _json_seconds(model: Model, body: bytes) -> float:
    """What proxy and worker spend in reading and writing JSON for this job, without validation."""
    began = time.perf_counter()
    data = to_json(from_json(body)["data"])  # the proxy reads the request and stores its data
    orjson.loads(data)  # the worker reads that
    seconds = time.perf_counter() - began
    job = model.decode(data)
    outputs = model.run(job.inputs)
    began = time.perf_counter()
    [result] = model.encode(outputs, [job])
    from_json(result)  # the proxy looks whether what it shows is JSON
    return seconds + time.perf_counter() - began
