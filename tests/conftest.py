import os
import secrets
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from inferq.settings import Settings
from tests.servers import REDIS_BINARY, ObjectServer, Server

SERVERS = [
    "valkey",
    pytest.param(
        "redis", marks=pytest.mark.skipif(REDIS_BINARY is None, reason="redis-server is not installed")
    ),
]

# how fast a machine is that does other work beside the tests says nothing of them
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_xdist_auto_num_workers(config):
    """Two processes for each processor, since most tests wait; but one for unit tests, which compute."""
    per_processor = 1 if all("unit" in Path(argument).parts for argument in config.args) else 2
    return min(per_processor * (os.cpu_count() or 1), 8)


def pytest_configure():
    # every program that the tests start would compile all its packages anew
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    # a shell that starts the tests in the background has it ignored, and every program they start would too
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def valkey_server():
    """The embedded server, one for the whole run."""
    server = Server("valkey")
    yield server.start()
    server.stop()


@pytest.fixture(scope="session", params=SERVERS)
def redis_server(request):
    """One server of each kind for the whole run. Tests that end a server use `own_redis_server`.

    Folders whose tests are about HTTP or the command line alone have the embedded one only.
    """
    if request.param == "valkey":
        yield request.getfixturevalue("valkey_server")
        return
    server = Server(request.param)
    yield server.start()
    server.stop()


@pytest.fixture(params=SERVERS)
def own_redis_server(request):
    """A server for this test alone, which may kill it and start it again: it loses nothing it answered."""
    server = Server(request.param, "--appendfsync", "always")
    yield server.start()
    server.stop()


@pytest.fixture
def redis_url(redis_server) -> str:
    with redis_server.client() as client:
        client.flushall()
    return redis_server.url


@pytest.fixture
def redis_client(redis_server, redis_url):
    with redis_server.client() as client:
        yield client


@pytest.fixture
def settings(redis_url) -> Settings:
    return Settings(redis_url=redis_url)


@pytest.fixture(scope="session")
def object_server():
    """An S3 server, one for the whole run. Tests that end or stop it have their own."""
    server = ObjectServer()
    yield server.start()
    server.stop()


@pytest.fixture
def bucket_url(object_server, monkeypatch) -> str:
    """A prefix in a bucket that no other test uses, which the environment lets programs use."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in object_server.environment.items():
        monkeypatch.setenv(name, value)
    if user_objects := sys.modules.get("inferq.blobs.user_objects"):
        user_objects._open_bucket.cache_clear()  # a test before may have had another server
    return f"s3://inferq-test/{secrets.token_hex(8)}"


@pytest.fixture
def otlp_receiver(monkeypatch):
    """A receiver of traces, which the environment names; spans leave for it soon."""
    from tests.otlp import OtlpReceiver  # only those tests wait for its imports

    receiver = OtlpReceiver()
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    yield receiver
    receiver.close()
