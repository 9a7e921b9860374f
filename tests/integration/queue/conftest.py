import pytest

from inferq.queue.consumer.consumer import Consumer
from inferq.queue.producer.producer import Producer


@pytest.fixture
async def producer(settings):
    producer = Producer.from_settings(settings)
    yield producer
    await producer.close()


@pytest.fixture
def consumer(settings):
    consumer = Consumer(settings, "worker-1", ["iris"])
    yield consumer
    consumer.close()
