"""The real images and the real docker-compose.yml. Left out of `uv run pytest`; see CONTRIBUTING.md."""

import json
import os
import secrets
import shutil
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from tests.onnx_models import write_upper_case
from tests.servers import free_port, wait_until

pytestmark = [pytest.mark.container, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
# what .dockerignore lets through, and itself
BUILT_FROM = [".dockerignore", "pyproject.toml", "LICENSE", "src", "models"]
RUN_FROM = ["Dockerfile.proxy", "Dockerfile.worker", "docker-compose.yml", "test_async.sh", "deploy"]
SETOSA = {"data": [[5.1, 3.5, 1.4, 0.2]]}
ABSENT = {
    "proxy": ["onnxruntime", "numpy", "PIL", "orjson", "sklearn", "pytest"],
    "worker": ["fastapi", "starlette", "uvicorn", "sklearn", "pytest"],
}
KILL_PYTHON = (
    "import os, pathlib, signal\n"
    "for entry in pathlib.Path('/proc').glob('[0-9]*'):\n"
    "    if entry.name not in ('1', str(os.getpid())) and b'inferq' in (entry / 'cmdline').read_bytes():\n"
    "        os.kill(int(entry.name), signal.SIGKILL)\n"
)


class Stack:
    """The services of docker-compose.yml under a project name and on a port of their own.

    Args:
        compose: The command.
        checkout: The folder of docker-compose.yml and of what it builds and mounts.
    """

    def __init__(self, compose: list[str], checkout: Path) -> None:
        self._compose = compose
        self.checkout = checkout
        self.project = f"inferqtest{secrets.token_hex(3)}"
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        self.prometheus_port = free_port()
        self._environment = {
            **{name: text for name, text in os.environ.items() if not name.startswith("INFERQ_")},
            "DOCKER_BUILDKIT": "1",
            "COMPOSE_DOCKER_CLI_BUILD": "1",
            "COMPOSE_PROJECT_NAME": self.project,
            "INFERQ_PORT": str(port),
            "PROMETHEUS_PORT": str(self.prometheus_port),
        }
        self.http = httpx.Client(base_url=self.url, timeout=10)

    def run(self, *command, **settings) -> str:
        environment = self._environment | {f"INFERQ_{name.upper()}": str(settings[name]) for name in settings}
        done = subprocess.run(command, cwd=self.checkout, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def exit_codes(self, service):
        """Those of the containers of a service that have been stopped."""
        stopped = self.run(
            "docker", "ps", "-aq",
            "--filter", f"label=com.docker.compose.project={self.project}",
            "--filter", f"label=com.docker.compose.service={service}",
        ).split()  # fmt: skip
        return {self.inspect(one)["State"]["ExitCode"] for one in stopped}

    def compose(self, *arguments, **settings) -> str:
        return self.run(*self._compose, *arguments, **settings)

    def up(self, *options, workers=2, **settings) -> None:
        """Brings the stack into this state and waits until exactly so many workers report themselves."""
        self.compose("up", "-d", *options, **settings)
        wait_until(lambda: self.is_healthy() and self.live_workers() == workers, 60, f"{workers} workers")

    def containers(self, service) -> list[str]:
        return self.compose("ps", "-q", service).split()

    def inspect(self, container) -> dict:
        [state] = json.loads(self.run("docker", "inspect", container))
        return state

    def is_healthy(self) -> bool:
        try:
            answer = self.http.get("/health")
        except httpx.TransportError:
            return False
        return answer.status_code == 200 and answer.json()["status"] == "healthy"

    def live_workers(self) -> int:
        [redis] = self.containers("redis")
        keys = self.run("docker", "exec", redis, "redis-cli", "--scan", "--pattern", "worker:*")
        return len(keys.split())

    def submit(self, body=SETOSA) -> str:
        answer = self.http.post("/predict", json=body)
        assert answer.status_code == 202, answer.text
        return answer.json()["job_id"]

    def job(self, job_id) -> dict:
        return self.http.get(f"/job/{job_id}").json()

    def wait_for_status(self, jobs, status, timeout=30.0) -> None:
        wait_until(lambda: all(self.job(one)["status"] == status for one in jobs), timeout, f"all {status}")


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    compose = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
    for probe in (["docker", "info"], [*compose, "version"]):
        if shutil.which(probe[0]) is None or subprocess.run(probe, capture_output=True).returncode:
            pytest.skip(f"`{' '.join(probe)}` does not answer: no container engine here")
    checkout = tmp_path_factory.mktemp("checkout")
    for name in (*RUN_FROM, *BUILT_FROM):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, checkout / name)
    stack = Stack(compose, checkout)
    try:
        (checkout / "models").chmod(0o700)
        stack.compose("build")
        (checkout / "models").chmod(0o755)
        write_upper_case(checkout / "models" / "upper_case")
        stack.up()
        yield stack
    finally:
        stack.compose("down", "-v", "--rmi", "local", "--remove-orphans")
        stack.http.close()
    label = f"label=com.docker.compose.project={stack.project}"
    assert stack.run("docker", "ps", "-aq", "--filter", label) == ""
    assert stack.run("docker", "volume", "ls", "-q", "--filter", label) == ""


def test_job_posted_to_the_stack_is_completed_by_a_worker(stack):
    assert stack.http.get("/health").json() == {
        "status": "healthy",
        "components": {"redis": "ok", "worker": "ok"},
    }
    job_id = stack.submit()
    stack.wait_for_status([job_id], "completed")
    assert stack.job(job_id)["result"]["class_name"] == "setosa"


def test_model_put_into_the_checkout_after_the_build_is_served_and_finds_its_locale(stack):
    job_id = stack.submit({"data": ["straße", "Ünal", "Жук"], "model": "upper_case"})
    stack.wait_for_status([job_id], "completed")
    assert stack.job(job_id)["result"] == {"outputs": {"upper": ["STRAßE", "ÜNAL", "ЖУК"]}}
    for container in stack.containers("worker"):
        mounts = stack.inspect(container)["Mounts"]
        assert {mount["Destination"]: mount["RW"] for mount in mounts} == {
            "/app/models": False,
            "/blobs": True,
        }


def test_image_of_the_worker_carries_the_models_of_its_build_and_its_user_may_read_them(stack):
    image = stack.inspect(stack.containers("worker")[0])["Image"]
    assert stack.run("docker", "run", "--rm", image, "ls", "models") == "iris\n"


def test_setting_of_the_environment_reaches_the_containers_and_others_keep_their_default(stack):
    stack.up(max_rows=1)
    answer = stack.http.post("/predict", json={"data": [[5.1, 3.5, 1.4, 0.2]] * 2})
    assert answer.status_code == 422, answer.text
    for service in ("proxy", "worker"):
        environment = stack.run("docker", "exec", stack.containers(service)[0], "env").splitlines()
        assert sorted(line for line in environment if line.startswith("INFERQ_")) == [
            "INFERQ_MAX_ROWS=1",
            "INFERQ_REDIS_URL=redis://redis:6379/0",
            "INFERQ_SHUTDOWN_SECONDS=30",
        ]


def test_two_workers_run_and_only_the_proxy_has_a_port_on_the_host(stack):
    assert len(stack.containers("worker")) == 2
    for service, published in (("redis", False), ("worker", False), ("proxy", True)):
        for container in stack.containers(service):
            ports = stack.inspect(container)["NetworkSettings"]["Ports"]
            assert any(ports.values()) is published, (service, ports)


@pytest.mark.parametrize("service", ["proxy", "worker"])
def test_image_holds_only_what_its_program_needs(stack, service):
    container = stack.containers(service)[0]
    probe = f"import importlib.util as u; print([m for m in {ABSENT[service]} if u.find_spec(m)])"
    assert stack.run("docker", "exec", container, "python", "-c", probe).strip() == "[]"
    tools = "import shutil; print([t for t in ('uv', 'gcc', 'cc', 'make') if shutil.which(t)])"
    assert stack.run("docker", "exec", container, "python", "-c", tools).strip() == "[]"


@pytest.mark.parametrize("service", ["redis", "proxy", "worker"])
def test_container_has_no_privileges_and_a_read_only_root(stack, service):
    container = stack.containers(service)[0]
    assert stack.run("docker", "exec", container, "id", "-u").strip() != "0"
    host = stack.inspect(container)["HostConfig"]
    assert (host["ReadonlyRootfs"], host["CapDrop"]) == (True, ["ALL"])
    assert "no-new-privileges:true" in host["SecurityOpt"]


def test_every_container_becomes_healthy_by_its_own_check(stack):
    stack.up()
    every = [one for service in ("redis", "proxy", "worker") for one in stack.containers(service)]
    wait_until(
        lambda: all(stack.inspect(one)["State"]["Health"]["Status"] == "healthy" for one in every),
        60,
        "healthy containers",
    )


@pytest.mark.parametrize("service", ["proxy", "worker"])
def test_health_check_passes_by_the_http_proxy_of_the_environment(stack, service):
    stack.up()
    container = stack.containers(service)[0]
    check = stack.inspect(container)["Config"]["Healthcheck"]["Test"][1:]
    stack.run("docker", "exec", "-e", "http_proxy=http://127.0.0.1:9", container, *check)


def test_worker_reports_nothing_to_the_maker_of_onnx_runtime(stack):
    container = stack.containers("worker")[0]
    assert "ORT_DISABLE_TELEMETRY=1" in stack.inspect(container)["Config"]["Env"]
    assert "telemetry" not in stack.compose("logs", "worker")


def test_third_worker_runs_a_third_job_at_the_same_time(stack):
    stack.up("--scale", "worker=3", workers=3, simulated_run_seconds=4)
    jobs = [stack.submit() for _ in range(3)]
    stack.wait_for_status(jobs, "processing", 4)
    stack.wait_for_status(jobs, "completed")


def test_async_script_proves_the_three_claims_against_the_stack(stack):
    stack.up(simulated_run_seconds=3)
    stack.run("sh", "./test_async.sh", stack.url)


def test_jobs_of_a_killed_worker_container_are_completed_by_the_other(stack):
    stack.up(simulated_run_seconds=4)
    jobs = [stack.submit() for _ in range(2)]
    stack.wait_for_status(jobs, "processing", 4)
    stack.run("docker", "kill", "--signal", "KILL", stack.containers("worker")[0])
    stack.wait_for_status(jobs, "completed", 60)
    assert sorted(stack.job(one)["attempts"] for one in jobs) == [1, 2]


def test_worker_process_that_crashes_is_started_again(stack):
    stack.up()
    container = stack.containers("worker")[0]
    subprocess.run(["docker", "exec", container, "python", "-c", KILL_PYTHON], capture_output=True)
    wait_until(lambda: stack.inspect(container)["RestartCount"] == 1, 30, "the restart")
    wait_until(lambda: stack.inspect(container)["State"]["Running"], 30, "the worker's return")
    assert stack.inspect(container)["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"


def test_stopped_worker_finishes_its_job_first_and_exits_0(stack):
    stack.up(simulated_run_seconds=3)
    jobs = [stack.submit() for _ in range(2)]
    stack.wait_for_status(jobs, "processing", 3)
    started = time.monotonic()
    stack.compose("stop", "worker")
    assert time.monotonic() - started < 30
    assert [stack.job(one)["status"] for one in jobs] == ["completed", "completed"]
    assert stack.exit_codes("worker") == {0}


def test_stopped_proxy_exits_0(stack):
    stack.up()
    stack.compose("stop", "proxy")
    assert stack.exit_codes("proxy") == {0}


def test_queued_jobs_outlive_a_restart_of_redis(stack):
    stack.up()
    stack.compose("stop", "worker")
    jobs = [stack.submit() for _ in range(3)]
    stack.compose("restart", "redis")
    stack.up()
    stack.wait_for_status(jobs, "completed")


def test_profile_monitoring_scrapes_every_proxy_and_has_the_alerts(stack):
    image = "prom/prometheus:latest"  # of another version than the file's, which may not be had here
    if subprocess.run(["docker", "image", "inspect", image], capture_output=True).returncode:
        pytest.skip(f"no image {image} here")
    (stack.checkout / "image.yml").write_text(f"services: {{prometheus: {{image: '{image}'}}}}")
    files = ("-f", "docker-compose.yml", "-f", "image.yml", "--profile", "monitoring")
    stack.up()
    stack.compose("run", "-d", "--use-aliases", "proxy")  # a second one
    stack.compose(*files, "up", "-d", "prometheus")

    api = f"http://127.0.0.1:{stack.prometheus_port}/api/v1"

    def scrapes():
        try:
            return [one["health"] for one in httpx.get(f"{api}/targets").json()["data"]["activeTargets"]]
        except httpx.TransportError:  # it starts
            return []

    wait_until(lambda: scrapes() == ["up", "up"], 60, "both proxies")
    assert "InferqNoWorker" in httpx.get(f"{api}/rules").text
