"""Sends one long array through the whole service, and prints what that costs the proxy.

Run: uv run python -m benchmarks.streaming [--mib 1024] [--store s3://bucket/prefix]

The array goes from memory to the proxy, from there into the blob store, to a model that returns it, into the
store again, and back. Without `--store` that is a folder; a bucket is found by the usual variables, such as
AWS_ENDPOINT_URL. Needs the group dev, Linux, and twice the array's length on the disk.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import onnx
import redis
from onnx import TensorProto, helper

from benchmarks.processes import (
    BenchmarkError,
    can_connect,
    free_port,
    program,
    python,
    redis_server,
    wait_until,
)
from inferq.tensors.npy_codec import write_header
from inferq.tensors.signature import Datatype

_MIB = 1024 * 1024
_ROW = _MIB // 4
"""Values in a row: 1 MiB of FP32."""
_NPY = {"content-type": "application/x-npy"}
_SECONDS = 600.0


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streaming", description=__doc__)
    parser.add_argument("--mib", type=int, default=1024, help="how long the array is, MiB (1024)")
    parser.add_argument("--store", default="", help="the blob store; a folder of its own if left out")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="inferq-benchmark-") as name, ExitStack() as stack:
        folder = Path(name)
        store = chosen.store or (folder / "blobs").as_uri()
        if not chosen.store and shutil.disk_usage(folder).free < 3 * chosen.mib * _MIB:
            raise BenchmarkError(f"{folder} has too little room. Set TMPDIR to a folder that has more.")
        _write_copy(folder / "models" / "copy")
        settings = {
            "INFERQ_BLOB_STORE": store,
            "INFERQ_BLOB_RESERVE_BYTES": "0",
            "INFERQ_MODELS_DIR": str(folder / "models"),
            "INFERQ_MAX_BODY_BYTES": str((chosen.mib + 1) * _MIB),
            "INFERQ_MAX_RESULT_BYTES": str((chosen.mib + 1) * _MIB),
        }
        url, port = stack.enter_context(redis_server()), free_port()
        server = stack.enter_context(redis.Redis.from_url(url))
        stack.enter_context(
            program(python("-m", "inferq", "worker"), "the worker", url=url, settings=settings)
        )
        command = python("-m", "inferq", "proxy", "--port", str(port))
        proxy = stack.enter_context(program(command, "the proxy", url=url, settings=settings))
        wait_until(lambda: can_connect(port), "the proxy listens", alive=proxy)
        client = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=_SECONDS))
        wait_until(lambda: client.get("/health").json()["status"] == "healthy", "the service is healthy")
        process = Path("/proc", str(proxy.pid))
        _measure(client, server, process, 16)  # what the proxy needs for the first one it keeps
        print(f"{chosen.mib} MiB through {store.partition(':')[0]}: the proxy's resident memory grows by")
        for line in _measure(client, server, process, chosen.mib):
            print(f"  {line}")


def _measure(client: httpx.Client, server: redis.Redis, process: Path, rows: int) -> list[str]:
    lines = []
    header = write_header(Datatype.FP32, [rows, _ROW])

    def write() -> Iterator[bytes]:
        yield header
        for row in range(rows):
            yield bytes([row % 251]) * _MIB

    peak, began = _PeakMemory(process), time.perf_counter()
    headers = {**_NPY, "content-length": str(len(header) + rows * _MIB)}
    job_id = client.post("/predict", content=write(), headers=headers).raise_for_status().json()["job_id"]
    lines.append(_describe("in ", rows, peak, began))
    if server.strlen(f"job:{job_id}:data") > _MIB:
        raise BenchmarkError("The array went into Redis: the store cannot be used.")
    deadline = time.monotonic() + _SECONDS
    while (view := client.get(f"/job/{job_id}?wait=10").json())["status"] in ("pending", "processing"):
        if time.monotonic() > deadline:
            raise BenchmarkError(f"The job has not ended within {_SECONDS:g} s.")
    if view["status"] != "completed":
        raise BenchmarkError(f"The job has failed: {view['error']}")
    peak, began, row = _PeakMemory(process), time.perf_counter(), b""
    with client.stream("GET", f"/job/{job_id}/result", headers={"accept": _NPY["content-type"]}) as answer:
        received = 0
        for part in answer.raise_for_status().iter_raw():
            received, row = received + len(part), part[-1:]
    if received != len(header) + rows * _MIB or row != bytes([(rows - 1) % 251]):
        raise BenchmarkError("The array did not come back as it was sent.")
    lines.append(_describe("out", rows, peak, began))
    client.delete(f"/job/{job_id}")
    return lines


def _describe(way: str, rows: int, peak: "_PeakMemory", began: float) -> str:
    return f"{way}  {peak.growth:6.1f} MiB, at {rows / (time.perf_counter() - began):5.0f} MiB/s"


class _PeakMemory:
    """The most resident memory of a process since this was made.

    Args:
        process: Its folder in /proc.
    """

    def __init__(self, process: Path) -> None:
        self._status = process / "status"
        (process / "clear_refs").write_text("5")  # forgets the peak
        self._before = self._read("VmRSS")

    @property
    def growth(self) -> float:
        """By how much it was more than at the begin, MiB."""
        return self._read("VmHWM") - self._before

    def _read(self, name: str) -> float:
        lines = self._status.read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def _write_copy(folder: Path) -> None:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", _ROW]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "copy", values[:1], values[1:])
    folder.mkdir(parents=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, folder / "model.onnx")


if __name__ == "__main__":
    main()
