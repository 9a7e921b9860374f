"""The live page in a real browser, with a real proxy, worker and server below it."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.e2e.processes import ROOT, Program, call, wait_for_job, wait_until_healthy
from tests.onnx_models import write_failing_model, write_two_by_two
from tests.servers import Server, free_port, wait_until

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
MODELS = ["digits", "gather", "iris", "prices"]
KEY = "iq_the-key-of-the-tests"
PATIENCE_MS = 60_000
"""How long a page may take to show something: costs nothing where it is quick."""


def pytest_collection_modifyitems(items):
    for item in items:
        if CHROMIUM is None and Path(__file__).parent in item.path.parents:
            item.add_marker(
                pytest.mark.skip(reason="chromium is not installed (Debian: apt install chromium)")
            )


@dataclass
class Service:
    """A server, a worker, and a proxy that can be ended and started again."""

    server: Server
    settings: dict
    proxy: Program | None = None

    def start_proxy(self):
        port = self.url.rpartition(":")[2] if self.proxy else free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.proxy = Program("inferq", "proxy", "--port", port, redis_url=self.server.url, **self.settings)
        wait_until(lambda: call("GET", f"{self.url}/health/live")[0] == 200, 60, "the proxy")
        return self

    def stop_proxy(self):
        self.proxy.end()

    def fail(self, *indices):
        """Submits jobs that fail alike, and waits for their end; returns their ids."""
        answers = [
            call("POST", f"{self.url}/predict", {"model": "gather", "data": [index]})[1] for index in indices
        ]
        for answer in answers:
            assert wait_for_job(self.url, answer["job_id"])["status"] == "failed"
        return [answer["job_id"] for answer in answers]

    def fail_outside(self, data, job_id="5eed" * 8):
        """Pushes a job as another program does, with data that the proxy would refuse; returns its id."""
        with self.server.client() as client:
            client.set(f"job:{job_id}:data", data)
            client.lpush("queue:gather", job_id)
        assert wait_for_job(self.url, quote(job_id, safe=""))["status"] == "failed"
        return job_id


@pytest.fixture(scope="module")
def backend(tmp_path_factory):
    """A server, and a worker of four models: two classifiers, one of tensors, and one that fails at will."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copytree(ROOT / "models" / "iris", folder / "iris")
    shutil.copytree(ROOT / "docs" / "examples" / "digits", folder / "digits")
    write_two_by_two(folder / "prices")
    write_failing_model(folder / "gather")
    server = Server("valkey").start()
    worker = Program("src.backend.worker", redis_url=server.url, models_dir=folder, max_attempts=1)
    yield server
    worker.end()
    print(worker.output)
    server.stop()


@pytest.fixture(scope="module")
def make_service(backend):
    services = []

    def make(**settings):
        services.append(Service(backend, settings).start_proxy())
        wait_until_healthy(services[-1].url)
        return services[-1]

    yield make
    for service in services:
        service.stop_proxy()
        print(service.proxy.output)


@pytest.fixture(scope="module")
def service(make_service):
    service = make_service()
    wait_until(lambda: call("GET", f"{service.url}/models")[1]["models"] == MODELS, 60, "the models")
    return service


@pytest.fixture(scope="module")
def guarded(make_service, service):
    """A proxy that wants a key."""
    return make_service(api_keys=f"ann:{hashlib.sha256(KEY.encode()).hexdigest()}")


@pytest.fixture(scope="module")
def read_only(make_service, service):
    return make_service(ui="read-only")


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """Opens the live page of a service, in a context of its own; no script may fail, nor be refused."""
    contexts, faults = [], []

    def note(message):
        if message.type == "error" and "Failed to load resource" not in message.text:
            faults.append(message.text)

    def open_in_browser(service, address="", *, page=None, **options):
        if page is None:
            context = browser.new_context(
                **{"locale": "en-GB", "viewport": {"width": 1280, "height": 900}, **options}
            )
            contexts.append(context)
            page = context.new_page()
            page.set_default_timeout(PATIENCE_MS)
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.on("console", note)
        page.goto(f"{service.url}/ui{address}")
        return page

    yield open_in_browser
    for context in contexts:
        context.close()
    assert faults == []
