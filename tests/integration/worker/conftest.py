import pytest

from inferq.queue.producer import Producer
from tests.integration.worker.processes import WorkerProcess


@pytest.fixture
def start_worker(redis_server, redis_url):
    workers = []

    def start(**settings):
        workers.append(WorkerProcess(redis_url, **settings))
        return workers[-1]

    yield start
    for worker in workers:
        worker.end()


@pytest.fixture
async def producer(settings):
    producer = Producer.from_settings(settings)
    yield producer
    await producer.close()
