"""How much memory long bodies and results cost a proxy, which has a process of its own here."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from inferq.jobs import Outcome, WorkerInfo
from inferq.queue.consumer.consumer import Consumer
from inferq.settings import Settings
from inferq.tensors.forms import MEDIA_TYPES
from inferq.tensors.npy_codec import write_header
from inferq.tensors.signature import Datatype
from tests.model_documents import write_document
from tests.servers import free_port, wait_until

MIB = 1024 * 1024
MOST_MIB = 16
"""An upload holds 6 MiB at most; the rest is for what the interpreter keeps of memory that it has freed."""


@pytest.fixture
def settings(valkey_server, tmp_path):
    with valkey_server.client() as client:
        client.flushall()
    return Settings(
        redis_url=valkey_server.url, blob_store=(tmp_path / "blobs").as_uri(), blob_reserve_bytes=0
    )


@pytest.fixture
def worker(settings):
    consumer = Consumer(settings, "worker-1", ["numbers"])
    now, store = datetime.now(UTC), consumer.identify_blob_store()
    info = WorkerInfo("worker-1", "host", 1, ("numbers",), now, forms=MEDIA_TYPES, blob_store=store)
    document = write_document("numbers", x=("FP32", [-1, MIB // 4]), y=("FP32", [-1]))
    consumer.heartbeat(info, {"numbers": document}, 600.0)
    yield consumer
    consumer.close()


@pytest.fixture
def proxy(settings, worker):
    port = free_port()
    environment = os.environ | {
        "INFERQ_REDIS_URL": settings.redis_url,
        "INFERQ_BLOB_STORE": settings.blob_store,
        "INFERQ_BLOB_RESERVE_BYTES": "0",
        "INFERQ_MAX_BODY_BYTES": str(1024 * MIB),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "inferq", "proxy", "--port", str(port)], env=environment
    )
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120)
    try:
        wait_until(lambda: is_up(client), 60, "the proxy")
        yield process.pid, client
    finally:
        client.close()
        process.terminate()
        process.wait(60)


def is_up(client):
    try:
        return client.get("/health/live").is_success
    except httpx.TransportError:
        return False


class PeakMemory:
    """The most resident memory of a process since this was made, MiB."""

    def __init__(self, pid):
        self._folder = Path("/proc", str(pid))
        (self._folder / "clear_refs").write_text("5")
        self._before = self._read()

    def _read(self):
        lines = (self._folder / "status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

    @property
    def growth(self):
        return self._read() - self._before


def upload(client, rows):
    header = write_header(Datatype.FP32, [rows, MIB // 4])

    def parts():
        yield header
        for _ in range(rows):
            yield bytes(MIB)

    headers = {"content-type": "application/x-npy", "content-length": str(len(header) + rows * MIB)}
    answer = client.post("/predict?model=numbers", content=parts(), headers=headers)
    assert answer.status_code == 202, answer.text
    return answer.json()["job_id"]


@pytest.mark.skipif(sys.platform != "linux", reason="The peak is read from /proc.")
def test_long_body_and_long_result_cost_a_proxy_little_memory(proxy, worker):
    pid, client = proxy
    upload(client, 8)  # what it needs for the first one it keeps
    peak = PeakMemory(pid)
    job_id = upload(client, 160)
    assert peak.growth < MOST_MIB
    [_], [job] = worker.claim(1), worker.claim(1)
    assert (job.id, len(job.data)) == (job_id, 160 * MIB + 128)
    worker.finish(worker.offload_results([Outcome(job, job.data)]))
    peak = PeakMemory(pid)
    with client.stream("GET", f"/job/{job_id}/result") as answer:
        assert sum(map(len, answer.iter_raw())) == 160 * MIB + 128
    assert peak.growth < MOST_MIB
