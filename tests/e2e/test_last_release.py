"""Programs of the last release and of today on one Redis: what one side accepts, the other runs and reads.

The last release is a commit, named in last_release.toml, with an environment of its own.
"""

import io
import os
import shutil
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

from inferq import Client, InferqError
from tests.e2e.processes import ROOT, wait_until_healthy
from tests.servers import Server, free_port, wait_until

pytestmark = [pytest.mark.foreign, pytest.mark.timeout(600)]

ROW = [5.1, 3.5, 1.4, 0.2]
PICTURE = ROOT / "docs" / "examples" / "digit.png"
NEW = Path(sys.executable)


@pytest.fixture(scope="module")
def last_release(tmp_path_factory):
    """The Python of an environment that has the last release."""
    commit = tomllib.loads((Path(__file__).parent / "last_release.toml").read_text())["commit"]
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    found = subprocess.run(["git", "cat-file", "-e", f"{commit}^{{commit}}"], cwd=ROOT, capture_output=True)
    if found.returncode:
        pytest.skip(f"the last release, {commit[:12]}, is not in this clone: {found.stderr.decode()[:200]}")
    folder = tmp_path_factory.mktemp("last-release")
    with subprocess.Popen(["git", "archive", commit], cwd=ROOT, stdout=subprocess.PIPE) as archive:
        subprocess.run(["tar", "-x"], cwd=folder, stdin=archive.stdout, check=True)
    environment = folder / ".venv"
    uv = [os.environ.get("UV", "uv"), "sync", "--quiet", "--no-dev", "--extra", "all", "--no-editable"]
    subprocess.run(uv, cwd=folder, env=os.environ | {"UV_PROJECT_ENVIRONMENT": str(environment)}, check=True)
    return environment / "bin" / "python"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    (folder / "iris").symlink_to(ROOT / "models" / "iris")
    (folder / "digits").symlink_to(ROOT / "docs" / "examples" / "digits")
    return folder


@pytest.fixture(params=["proxy of the last release", "worker of the last release"])
def sides(request, last_release):
    """The Pythons of the proxy and of the worker."""
    is_old_proxy = request.param.startswith("proxy")
    return (last_release, NEW) if is_old_proxy else (NEW, last_release)


class Service:
    """Proxies and workers of any release on one server.

    Args:
        start: Starts a program.
        server: The server.
        settings: Settings of all programs.
    """

    def __init__(self, start, server, **settings):
        self._start = start
        self._settings = {"redis_url": server.url, "lease_seconds": 2, "blob_bytes": 1024, **settings}
        self.redis = server.client()

    def start_proxy(self, python, **settings):
        port = free_port()
        command = ("inferq", "proxy", "--port", port)
        settings = self._settings | settings
        program = self._start(*command, python=python, cwd=settings["models_dir"], **settings)
        wait_until(lambda: "proxy_listening" in program.output, 60, "the proxy listening")
        return f"http://127.0.0.1:{port}"

    def start_worker(self, python, **settings):
        settings = self._settings | settings
        program = self._start("inferq", "worker", python=python, cwd=settings["models_dir"], **settings)
        wait_until(lambda: "worker_ready" in program.output, 60, "the worker being ready")
        return program

    def push(self, job_id, data, model="iris"):
        """Submits a job as programs do that know Redis alone."""
        self.redis.set(f"job:{job_id}:data", data)
        self.redis.lpush(f"queue:{model}", job_id)
        return job_id


@pytest.fixture
def service(start, outside_server, models, tmp_path):
    service = Service(start, outside_server, models_dir=models, blob_store=f"file://{tmp_path}/blobs")
    with service.redis:
        yield service


def write_npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def submit_all_forms(url, client):
    """Submits jobs in every form; returns name to job."""
    row, many = np.array([ROW], "f4"), np.tile(np.array(ROW, "f4"), (1000, 1))
    with httpx.Client(base_url=url, timeout=30) as http:
        tensor = {"name": "features", "shape": [1, 4], "datatype": "FP32", "data": ROW}
        answers = {
            "form": http.post(
                "/predict", files={"pixels": ("digit.png", PICTURE.read_bytes())}, params={"model": "digits"}
            ),
            "idempotent": http.post("/predict", json={"data": [ROW]}, headers={"Idempotency-Key": "once"}),
            "respond-async": http.post(
                "/v2/models/iris/infer", json={"inputs": [tensor]}, headers={"Prefer": "respond-async"}
            ),
        }
        for name, answer in answers.items():
            assert answer.status_code == 202, (name, answer.text)
        ids = {name: answer.json().get("job_id") or answer.json()["id"] for name, answer in answers.items()}
    return {
        "json": client.submit([ROW], model="iris"),
        "high": client.submit([ROW], priority="high", timeout=60, expires_in=600),
        "array": client.submit(row, model="iris"),
        "npy": client.submit(write_npy(row), model="iris"),
        "picture": client.submit(PICTURE, model="digits"),
        "large": client.submit(many.tolist(), model="iris"),
        "large array": client.submit(many, model="iris"),
        **{f"batch {n}": job for n, job in enumerate(client.submit_many([[ROW]] * 3, model="iris"))},
        **{name: client.job(job_id) for name, job_id in ids.items()},
    }


def check_all(jobs):
    """Checks that all jobs were completed, once, with the right result."""
    for name, job in jobs.items():
        job.wait(60)
        assert (name, job.status, job.error) == (name, "completed", None)
        assert (name, job.attempts) == (name, 1)
    assert jobs["large"].result()["prediction"] == [jobs["json"].result()["prediction"]] * 1000
    arrays = jobs["large array"].result_arrays()
    assert {len(array) for array in arrays.values()} == {1000}
    small = jobs["array"].result_arrays()
    assert {name for name, array in arrays.items() if np.allclose(array[:1], small[name])} == {*small}
    assert jobs["picture"].result() == jobs["form"].result()


def test_jobs_of_all_forms_are_run_and_read_across_releases(service, sides):
    proxy, worker = sides
    service.start_worker(worker, split_rows=200)
    url = service.start_proxy(proxy)
    wait_until_healthy(url)
    with Client(url) as client:
        jobs = submit_all_forms(url, client)
        check_all(jobs)
        listed = {job.id for job in client.jobs()}
        if proxy != NEW:  # it knows no chunks, and lists them as jobs
            listed = {job_id for job_id in listed if "-chunk" not in job_id}
        assert listed == {job.id for job in jobs.values()}
        assert client.health()["status"] == "healthy"
        numbers = client.queue(target_wait_seconds=10)["models"]["iris"]
        assert (numbers["workers"], numbers["running"], numbers["failed"]) == (1, 0, 0)
        assert [view["status"] for view in client.events(jobs["json"].id)][-1] == "completed"
    outside = service.push("0123456789abcdef0123456789abcdef", b"[[5.1, 3.5, 1.4, 0.2]]")
    wait_until(lambda: service.redis.get(f"job:{outside}:status") == b"completed", 30)


def test_jobs_are_cancelled_and_retried_across_releases(service, sides):
    proxy, worker = sides
    url = service.start_proxy(proxy)
    first = service.start_worker(worker)
    wait_until_healthy(url)
    assert first.stop() == 0
    other = service.start_proxy(sides[1])
    with Client(url) as client, Client(other) as beside:
        kept, cancelled, dropped = (client.submit([ROW], model="iris") for _ in range(3))
        beside.job(cancelled.id).cancel()
        broken = service.push("fedcba9876543210fedcba9876543210", b"no data")
        service.start_worker(worker)
        assert kept.wait(60).status == "completed"
        assert cancelled.refresh().status == "failed"
        assert dropped.wait(60).status == "completed"
        wait_until(lambda: beside.job(broken).refresh().status == "failed", 60, "the end of the broken job")
        for side in (client, beside):
            side.job(broken).retry()
            wait_until(lambda side=side: side.job(broken).refresh().status == "failed", 60)
            kinds = {group["error_kind"] for group in side.job_errors(model="iris")["groups"]}
            assert kinds == {"cancelled", "invalid-input"}
        assert client.change_jobs("retry", error_kind="cancelled")["changed"] == 1
        assert client.job(cancelled.id).wait(60).status == "completed"
        assert beside.change_jobs("delete", error_kind="invalid-input")["changed"] == 1
        with pytest.raises(InferqError, match="There is no job"):
            client.job(broken).refresh()


def test_release_takes_over_what_another_has_left(service, sides):
    """Everything of one release is killed while jobs run and wait; the other goes on."""
    before, after = sides
    worker = service.start_worker(before, simulated_run_seconds=1.0)
    url = service.start_proxy(before)
    wait_until_healthy(url)
    with Client(url) as client:
        done = client.submit([ROW], model="iris", idempotency_key="done").wait(60)
        jobs = submit_all_forms(url, client)
        wait_until(lambda: any(job.refresh().status == "processing" for job in jobs.values()), 60)
        ids = {name: job.id for name, job in jobs.items()}
    worker.process.kill()
    url = service.start_proxy(after)
    with Client(url) as client:
        assert client.submit([ROW], model="iris", idempotency_key="done").id == done.id
        assert client.job(done.id).result() == done.result()
        jobs = {name: client.job(job_id) for name, job_id in ids.items()}
        service.start_worker(after, split_rows=200)
        with ThreadPoolExecutor() as threads:
            list(threads.map(lambda job: job.wait(120), jobs.values()))
        assert {job.status for job in jobs.values()} == {"completed"}
        assert max(job.attempts for job in jobs.values()) == 2  # what ran when its worker was killed
        assert len(jobs["large"].result()["prediction"]) == 1000
        assert {job.id for job in client.jobs()} == {done.id, *ids.values()}
        wait_until_healthy(url)


def test_workers_of_both_releases_share_a_queue(service, last_release):
    workers = [service.start_worker(python, simulated_run_seconds=0.05) for python in (NEW, last_release)]
    url = service.start_proxy(NEW)
    wait_until_healthy(url)
    with Client(url) as client:
        jobs = client.submit_many([[ROW]] * 60, model="iris")
        for job in jobs:
            job.wait(60)
        assert {job.status for job in jobs} == {"completed"}
        done = [worker["jobs_done"] for worker in client.queue()["workers"]]
        assert len(done) == 2
    for worker in workers:
        assert worker.stop() == 0
        assert "Traceback" not in worker.output


def test_queue_of_the_last_release_grows_to_two_servers(service, last_release, outside_server):
    old_url = service.start_proxy(last_release)
    first = service.start_worker(last_release)
    wait_until_healthy(old_url)
    with Client(old_url) as client:
        done = client.submit([ROW], model="iris").wait(60)
        assert first.stop() == 0
        waiting = client.submit_many([[ROW] * 200] * 5, model="iris")
    second = Server("valkey").start()
    both = {"redis_url": f"{outside_server.url},{second.url}"}
    try:
        service.start_worker(NEW, **both)
        service.start_worker(last_release)  # goes on as one of the first shard
        url = service.start_proxy(NEW, **both)
        wait_until_healthy(url)
        with Client(url) as client:
            assert client.job(done.id).result() == done.result()
            jobs = [*waiting, *(client.submit([ROW] * rows, model="iris") for rows in (1, 200) * 20)]
            for job in jobs:
                assert client.job(job.id).wait(60).status == "completed"
            assert {job.id for job in client.jobs()} == {done.id, *(job.id for job in jobs)}
            assert {job.id[32:] for job in jobs} == {"", "-1"}
    finally:
        second.stop()
