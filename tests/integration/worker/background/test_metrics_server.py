"""What a worker tells of its own process, and that this never keeps it from its work."""

import re
import socket
import sys

import httpx
import pytest

from inferq.jobs import Status
from inferq.queue.producer.submission import Submission
from inferq.worker.background.metrics_server import MetricsServer
from tests.integration.worker.processes import ended
from tests.metrics import read_samples
from tests.servers import free_port, wait_until

DATA = b"[[5.1,3.5,1.4,0.2]]"


@pytest.fixture
def serve():
    """Starts servers that stop with the test; returns their addresses."""
    servers = []

    def serve(read=lambda: ()):
        port = free_port()
        servers.append(MetricsServer("127.0.0.1", port, read))
        servers[-1].start()
        return f"http://127.0.0.1:{port}"

    yield serve
    for server in servers:
        server.stop()


async def test_worker_tells_what_its_process_does(start_worker, producer):
    port = free_port()
    worker = start_worker(worker_metrics_port=port)
    for _ in range(3):
        await ended(producer, await producer.submit(Submission("iris", DATA)))
    await ended(producer, await producer.submit(Submission("iris", b"[[1]]")))

    def read():
        samples = read_samples(httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=60))
        return samples if samples.get(("inferq_worker_attempts_total", "iris", "failed")) else None

    samples = wait_until(read, what="the end of the last job")  # a job ends before its worker has noted that
    assert samples["inferq_worker_attempts_total", "iris", "completed"] == 3
    assert samples["inferq_worker_attempts_total", "iris", "failed"] == 1
    assert samples["inferq_worker_rows_total", "iris"] == 3
    assert samples["inferq_worker_run_seconds_count", "iris"] == 3
    assert samples["inferq_worker_batch_jobs_bucket", "1.0", "iris"] == 3
    assert samples["inferq_worker_jobs_held",] == 0
    if sys.platform == "linux":
        assert samples["process_cpu_seconds_total",] > 0
    assert worker.stop()[0] == 0


async def test_worker_works_without_its_port_if_that_is_taken(start_worker, producer):
    with socket.create_server(("127.0.0.1", 0)) as other:
        worker = start_worker(worker_metrics_port=other.getsockname()[1])
        await worker.until_logged("metrics_port_unavailable")
        job = await ended(producer, await producer.submit(Submission("iris", DATA)))
    assert job.status is Status.COMPLETED
    code, log = worker.stop()
    assert code == 0
    assert re.search(r"metrics_port_unavailable.*Address already in use", log)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/metrics?x=1", 200),
        ("GET", "/", 404),
        ("POST", "/metrics", 501),
    ],
)
def test_other_requests_are_refused(serve, capfd, method, path, status):
    assert httpx.request(method, serve() + path, timeout=60).status_code == status
    assert "Traceback" not in "".join(capfd.readouterr())


def test_client_that_says_nothing_is_given_up(serve):
    url = serve()
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))):
        assert httpx.get(f"{url}/metrics", timeout=30).status_code == 200


def test_client_that_sends_its_request_byte_by_byte_is_given_up(serve):
    url = serve()
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as slow:
        slow.settimeout(0.2)

        def is_given_up():
            try:
                slow.sendall(b"x")
                return slow.recv(1) == b""
            except TimeoutError:
                return False
            except ConnectionError:
                return True

        wait_until(is_given_up, what="the end of the connection")
    assert httpx.get(f"{url}/metrics", timeout=30).status_code == 200


def test_scrape_that_fails_leaves_the_next_ones_alone(serve):
    reads = iter([None, ()])
    url = serve(lambda: next(reads))
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{url}/metrics", timeout=60)
    assert httpx.get(f"{url}/metrics", timeout=60).status_code == 200
