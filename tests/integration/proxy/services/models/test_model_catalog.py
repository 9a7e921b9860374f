import asyncio

import pytest
from structlog.testing import capture_logs

from inferq.errors import NoWorkerError, UnknownModelError
from inferq.proxy.services.models import model_catalog as module
from inferq.proxy.services.models.model_catalog import ModelCatalog
from inferq.queue.producer.producer import Producer
from inferq.settings import Settings


@pytest.fixture
async def producer(settings):
    producer = Producer.from_settings(settings)
    yield producer
    await producer.close()


@pytest.fixture
def readings(producer, monkeypatch):
    """Notes each time that the models are read."""
    read_models, readings = producer.read_models, []

    async def read_and_note():
        readings.append(await read_models())
        return readings[-1]

    monkeypatch.setattr(producer, "read_models", read_and_note)
    return readings


async def test_requests_at_the_same_time_share_one_reading(
    producer, readings, settings, announced, monkeypatch
):
    monkeypatch.setattr(module, "FRESH_SECONDS", 60.0)
    catalog = ModelCatalog(producer, settings)
    found = await asyncio.gather(*(catalog.read_announced() for _ in range(20)))
    await catalog.read_announced()
    assert len(readings) == 1
    assert all(list(models) == ["iris"] for models in found)


async def test_validator_is_kept_until_its_model_changes(
    producer, readings, settings, announced, consumer, monkeypatch
):
    monkeypatch.setattr(module, "FRESH_SECONDS", 0.0)
    catalog = ModelCatalog(producer, settings)
    first = (await catalog.read_announced())["iris"]
    assert (await catalog.read_announced())["iris"] is first
    consumer.announce({"iris": announced.document.model_copy(update={"version": "other"}).to_json()})
    assert (await catalog.read_announced())["iris"].validator is not first.validator
    assert len(readings) == 3


async def test_request_that_is_given_up_does_not_take_the_others_reading_with_it(
    producer, settings, announced
):
    catalog = ModelCatalog(producer, settings)
    given_up, other = (asyncio.create_task(catalog.read_announced()) for _ in range(2))
    await asyncio.sleep(0)
    given_up.cancel()
    assert list(await other) == ["iris"]
    assert given_up.cancelled()


async def test_unreadable_model_is_left_out_and_logged_once(
    producer, settings, announced, redis_client, monkeypatch
):
    monkeypatch.setattr(module, "FRESH_SECONDS", 0.0)
    redis_client.hset("models", "broken", "no json")
    catalog = ModelCatalog(producer, settings)
    with capture_logs() as logged:
        for _ in range(3):
            assert list(await catalog.read_announced()) == ["iris"]
    assert [(line["event"], line["model"]) for line in logged] == [("model_not_readable", "broken")]


async def test_default_model_that_is_none_of_those_served_is_named(producer, announced):
    catalog = ModelCatalog(producer, Settings(default_model="nope"))
    with pytest.raises(NoWorkerError, match=r"INFERQ_DEFAULT_MODEL.*Known: iris"):
        await catalog.find_default()
    with pytest.raises(UnknownModelError, match="It is the default"):
        await catalog.find("nope")
