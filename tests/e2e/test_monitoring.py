"""Every expression of deploy/monitoring on a real Prometheus that scrapes the real service under load."""

import hashlib
import itertools
import json
import re
import shutil
import subprocess
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
import yaml

from tests.e2e.processes import ROOT, Program, wait_until_healthy
from tests.onnx_models import write_failing_model
from tests.receivers import SECRET, Receiver
from tests.servers import Server, free_port, wait_until

FOLDER = ROOT / "deploy/monitoring"
PATIENCE = 90.0
KEY = "key-of-the-tests"
MAXMEMORY = 64 * 1024 * 1024
MAX_QUEUED_BYTES = 400_000
LARGE = [[5.1, 3.5, 1.4, 0.2]] * 2000  # 40 KB

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        shutil.which("prometheus") is None,
        reason="prometheus is not installed (Debian's package of that name)",
    ),
]


def read_yaml(name):
    return yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))


def shorten_rules():
    """The rules with their conditions, but told of after a second, over 6 s, and for jobs that wait 2 s."""
    rules = read_yaml("alerts.yml")
    for rule in itertools.chain.from_iterable(group["rules"] for group in rules["groups"]):
        rule["for"] = "1s"
        rule["expr"] = re.sub(r"\[\w+\]", "[6s]", rule["expr"]).replace("> 300", "> 2")
    return rules


def configure_prometheus(ports):
    """The configuration for these proxies, with the key that its comment speaks of."""
    text = (FOLDER / "prometheus.yml").read_text(encoding="utf-8")
    text = re.sub(r"^    # (authorization:|  credentials_file: )", r"    \1", text, flags=re.MULTILINE)
    config = yaml.safe_load(text)
    config["global"] = dict.fromkeys(("scrape_interval", "scrape_timeout", "evaluation_interval"), "1s")
    [job] = config["scrape_configs"]
    del job["dns_sd_configs"]
    job["static_configs"] = [{"targets": [f"127.0.0.1:{port}" for port in ports]}]
    return config


class Service:
    """Two proxies, a worker with one model that works and one that can fail, a server, and a Prometheus."""

    def __init__(self, folder: Path) -> None:
        self.server = Server("valkey", "--maxmemory", str(MAXMEMORY)).start()
        self.receivers = {status: Receiver(status) for status in (200, 500)}
        models = folder / "models"
        shutil.copytree(ROOT / "models/iris", models / "iris")
        write_failing_model(models / "fragile")
        self._settings = {
            "redis_url": self.server.url,
            "models_dir": models,
            "default_model": "iris",
            "api_keys": f"tests:{hashlib.sha256(KEY.encode()).hexdigest()}",
            "metrics_keys": "tests",
            "max_queued_bytes": MAX_QUEUED_BYTES,
            "max_attempts": 1,
            "heartbeat_seconds": 0.5,
            "simulated_run_seconds": 0.05,  # so that jobs wait
            "webhook_secret": SECRET,
            "webhook_private_addresses": "true",
            "webhook_attempts": 1,
        }
        self.ports = [free_port(), free_port()]
        self.proxies = {port: self._start_proxy(port) for port in self.ports}
        self.worker = self._start_worker()
        self.http = httpx.Client(timeout=PATIENCE, headers={"Authorization": f"Bearer {KEY}"})
        self._start_prometheus(folder)
        self._stop = threading.Event()
        self._load = threading.Thread(target=self._submit_until_stopped)
        self._load.start()

    def _start_proxy(self, port):
        return Program("inferq", "proxy", "--port", port, **self._settings)

    def _start_worker(self):
        return Program("inferq", "worker", **self._settings)

    def _start_prometheus(self, folder):
        (folder / "alerts.yml").write_text(yaml.safe_dump(shorten_rules()))
        (folder / "metrics-key").write_text(KEY)
        (folder / "prometheus.yml").write_text(yaml.safe_dump(configure_prometheus(self.ports)))
        port = free_port()
        self._api = f"http://127.0.0.1:{port}/api/v1"
        self._prometheus = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--log.level=warn",
            ]
        )

    def _submit_until_stopped(self):
        """Ten jobs at once each second, of all priorities, by both proxies; whatever becomes of them."""
        rounds = itertools.cycle(itertools.product(self.ports, ("high", "normal", "low")))
        body = {"data": [[5.1, 3.5, 1.4, 0.2]], "webhook": self.receivers[200].url}
        with httpx.Client(timeout=PATIENCE, headers=self.http.headers) as http:
            while not self._stop.wait(1):
                for port, priority in itertools.islice(rounds, 10):
                    try:
                        http.post(f"http://127.0.0.1:{port}/predict", json=body | {"priority": priority})
                    except httpx.TransportError:
                        continue  # its proxy, or Redis, is away

    def submit(self, **body):
        return self.http.post(f"http://127.0.0.1:{self.ports[0]}/predict", json=body).status_code

    def query(self, expression):
        """The values of an expression, NaN left out."""
        answer = self.http.get(f"{self._api}/query", params={"query": expression}).json()
        assert answer["status"] == "success", answer
        return [value for one in answer["data"]["result"] if (value := one["value"][1]) != "NaN"]

    def evaluates(self):
        """Whether Prometheus has started, and no alert fires or is about to."""
        try:
            answer = self.http.get(f"{self._api}/alerts")
        except httpx.TransportError:
            return False
        return answer.status_code == 200 and answer.json()["data"]["alerts"] == []

    def alerts(self):
        """Names of the alerts that fire."""
        alerts = self.http.get(f"{self._api}/alerts").json()["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    @contextmanager
    def without_worker(self):
        """Nobody takes jobs, and the queue fills up."""
        self.worker.stop()
        try:
            wait_until(lambda: self.submit(data=LARGE) == 503, PATIENCE, "a full queue")
            yield
        finally:
            self.worker = self._start_worker()

    @contextmanager
    def with_failures(self):
        """A model gets what it cannot run, and who is told of it answers 500."""
        is_over = threading.Event()

        def submit_until_over():
            while not is_over.wait(0.2):
                self.submit(model="fragile", data=[99], webhook=self.receivers[500].url)

        thread = threading.Thread(target=submit_until_over)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    @contextmanager
    def with_little_memory(self):
        """The server may use only a little more memory than it does."""
        with self.server.client() as client:
            client.config_set("maxmemory", int(client.info("memory")["used_memory"] * 1.02))
            try:
                yield
            finally:
                client.config_set("maxmemory", MAXMEMORY)

    @contextmanager
    def without_redis(self):
        """The server is killed."""
        self.server.kill()
        try:
            yield
        finally:
            self.server.start()

    @contextmanager
    def without_a_proxy(self):
        """One of the proxies is stopped."""
        port = self.ports[1]
        self.proxies[port].stop()
        try:
            yield
        finally:
            self.proxies[port] = self._start_proxy(port)

    def end(self):
        with ExitStack() as steps:
            steps.callback(self.server.stop)
            for part in (self.http, *self.receivers.values()):
                steps.callback(part.close)
            for program in (*self.proxies.values(), self.worker):
                steps.callback(program.end)
            steps.callback(self._prometheus.wait)
            steps.callback(self._prometheus.kill)
            steps.callback(self._load.join)
            steps.callback(self._stop.set)


FAULTS = {
    Service.without_worker: {"InferqNoWorker", "InferqJobsWaitLong", "InferqQueueNearlyFull"},
    Service.with_failures: {"InferqJobsFail", "InferqDeadLettersGrow", "InferqWebhooksGivenUp"},
    Service.with_little_memory: {"InferqRedisMemoryNearlyFull"},
    Service.without_redis: {"InferqRedisAway"},
    Service.without_a_proxy: {"InferqProxyAway"},
}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    service = Service(tmp_path_factory.mktemp("monitoring"))
    try:
        for port in service.ports:
            wait_until_healthy(f"http://127.0.0.1:{port}", PATIENCE)
        wait_until(service.evaluates, PATIENCE, "a Prometheus without alerts", 0.1)
        yield service
    finally:
        service.end()


def test_every_expression_of_the_dashboard_returns_data(service):
    panels = json.loads((FOLDER / "grafana/dashboards/inferq.json").read_text(encoding="utf-8"))["panels"]
    queries = {target["expr"] for panel in panels for target in panel.get("targets", [])}
    assert len(queries) > 40

    with service.with_failures():
        for query in sorted(queries):
            filled_in = query.replace("$__rate_interval", "15s").replace("$model", ".*")
            wait_until(lambda expression=filled_in: service.query(expression), PATIENCE, query, 0.2)


@pytest.mark.parametrize("make_fault", FAULTS, ids=lambda make_fault: make_fault.__name__)
def test_alerts_fire_while_there_is_a_fault_and_stop_when_it_is_mended(service, make_fault):
    expected = FAULTS[make_fault]
    with make_fault(service):
        wait_until(lambda: expected <= service.alerts(), PATIENCE, f"{expected} firing", 0.2)
    wait_until(lambda: not expected & service.alerts(), PATIENCE, f"{expected} ending", 0.2)


def test_every_alert_has_a_fault():
    [group] = read_yaml("alerts.yml")["groups"]
    assert set().union(*FAULTS.values()) == {rule["alert"] for rule in group["rules"]}
