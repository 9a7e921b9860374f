import pytest

from inferq.queue.consumer.consumer import Consumer
from inferq.queue.consumer.recovery.recovery import RecoveryTimes
from inferq.queue.producer.producer import Producer


@pytest.fixture
def settings(settings):
    """Has time for a server that waits for its turn on a busy machine."""
    return settings.model_copy(update={"redis_timeout_seconds": 30.0})


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


@pytest.fixture
def eager_consumer(settings):
    """A consumer that soon takes a job for lost that is in no list."""
    consumer = Consumer(settings, "worker-1", ["iris"], times=RecoveryTimes(missing_seconds=0.01))
    yield consumer
    consumer.close()
