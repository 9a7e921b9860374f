import gc
import os
import subprocess
import sys

import httpx
import pytest

from tests.integration.worker.processes import WorkerProcess
from tests.servers import free_port, wait_until


@pytest.fixture
def uncollected():
    """Until the test ends only references free memory, as in a proxy that seldom looks for cycles."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(scope="module")
def service(redis_server):
    """The address of a whole service: a proxy and a worker, in processes of their own."""
    with redis_server.client() as client:
        client.flushall()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = os.environ | {"INFERQ_REDIS_URL": redis_server.url, "INFERQ_SIMULATED_RUN_SECONDS": "0"}
    proxy = subprocess.Popen([sys.executable, "-m", "inferq", "proxy", "--port", str(port)], env=environment)
    worker = WorkerProcess(redis_server.url)
    try:
        wait_until(lambda: is_healthy(url), what="the service")
        yield url
    finally:
        proxy.terminate()
        proxy.wait(60)
        worker.end()


def is_healthy(url):
    try:
        return httpx.get(f"{url}/health", timeout=30).json()["status"] == "healthy"
    except httpx.TransportError:
        return False
