import contextlib
from dataclasses import replace

import pytest

from inferq.egress.url_policy import UrlPolicy
from inferq.jobs import Outcome
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.producer.producer import Producer
from inferq.queue.producer.submission import Submission
from inferq.queue.redis_client.outage import Outage
from inferq.queue.retry_policy import RetryPolicy
from inferq.settings import Settings
from inferq.worker.background import webhook_delivery
from inferq.worker.background.webhook_delivery import WebhookDelivery
from tests.integration.worker.processes import WorkerProcess
from tests.receivers import SECRET, Receiver


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


@pytest.fixture
def consumer(settings):
    consumer = Consumer(settings, "worker-1", ["iris"])
    yield consumer
    consumer.close()


@pytest.fixture
def make_receiver():
    receivers = []

    def make(*statuses, **options):
        receivers.append(Receiver(*statuses, **options))
        return receivers[-1]

    yield make
    for receiver in receivers:
        receiver.close()


@pytest.fixture
def receiver(make_receiver):
    return make_receiver()


@pytest.fixture
def start_delivery(redis_url, monkeypatch):
    """Starts deliveries that call loopback, and whose pauses are short."""
    monkeypatch.setattr(webhook_delivery, "PAUSE_SECONDS", 0.02)
    with contextlib.ExitStack() as stack:

        def start(*, resolver=None, **settings):
            usual = {"redis_url": redis_url, "webhook_secret": SECRET, "webhook_private_addresses": True}
            chosen = Settings(**(usual | settings))
            rules = UrlPolicy.for_webhooks(chosen)
            retries = replace(RetryPolicy.for_webhooks(chosen), base_seconds=0.02)
            delivery = WebhookDelivery(chosen, rules, Outage(), retries=retries, resolver=resolver)
            delivery.start()
            stack.callback(delivery.stop)
            return delivery

        yield start


@pytest.fixture
def end_job(producer, consumer):
    """Submits a job with this webhook and ends it."""

    async def end(url, **outcome):
        job_id = await producer.submit(Submission("iris", b"[[5.1,3.5,1.4,0.2]]", webhook=url))
        [job] = consumer.claim(1)
        consumer.finish([Outcome(job, **(outcome or {"result": b'{"x":1.10}'}))])
        return job_id

    return end
