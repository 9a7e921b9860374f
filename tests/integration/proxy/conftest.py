from pathlib import Path

import httpx
import pytest

from inferq.proxy.app import create_app
from inferq.queue.consumer.consumer import Consumer
from inferq.settings import Settings
from tests.integration.proxy.serving import serving
from tests.models import load_models


@pytest.fixture(scope="session")
def iris():
    return load_models(Path(__file__).parents[3] / "models")["iris"]


@pytest.fixture
def settings(redis_url) -> Settings:
    """With more time for Redis than the default, which a busy machine may need."""
    return Settings(redis_url=redis_url, redis_timeout_seconds=20.0)


@pytest.fixture
def consumer(settings):
    consumer = Consumer(settings, "worker-1", ["iris"])
    yield consumer
    consumer.close()


@pytest.fixture
def announced(consumer, iris):
    """The iris model, as a worker announces it."""
    consumer.announce({"iris": iris.document.to_json()})
    return iris


class AppClient(httpx.AsyncClient):
    """A client of an application in this process. Its errors are answers, as they are over a socket."""

    def __init__(self, app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        super().__init__(transport=transport, base_url="http://proxy")
        self.app = app


@pytest.fixture
async def app(settings):
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def client(app):
    async with AppClient(app) as client:
        yield client


@pytest.fixture
async def make_client():
    """Makes clients of proxies with settings of their own."""
    clients = []

    async def make(settings, **options):
        client = AppClient(create_app(settings, **options))
        clients.append(client)
        return client

    yield make
    for client in clients:
        await client.app.state.services.subscriber.aclose()
        await client.app.state.services.producer.close()
        client.app.state.services.process_pool.close()
        await client.aclose()


@pytest.fixture
def proxy(settings):
    """The application behind a real socket."""
    with serving(settings) as proxy:
        yield proxy
