"""At `maxmemory` nothing new is taken, and everything that was taken still drains."""

import asyncio
import json

import pytest

from inferq.errors import RedisUnavailableError
from inferq.jobs import Outcome
from inferq.queue.producer.producer import Producer
from inferq.queue.producer.submission import Submission
from tests.integration.queue.test_queue import stored_result

DATA = b"[[5.1,3.5,1.4,0.2]]"
LARGE = json.dumps([[float(i)] * 4 for i in range(5000)]).encode()


@pytest.fixture
def full(redis_client):
    """Fills the server's memory, and lets it be."""

    def fill():
        redis_client.config_set("maxmemory", "1")

    yield fill
    redis_client.config_set("maxmemory", "0")


async def claimed(producer, consumer, count=2):
    for _ in range(count):
        await producer.submit(Submission("iris", DATA))
    return consumer.claim(count)


async def test_large_results_are_stored(producer, consumer, full):
    jobs = await claimed(producer, consumer)
    full()
    assert consumer.finish([Outcome(job, result=LARGE) for job in jobs]) == ["completed"] * 2
    assert [await stored_result(producer, job.id) for job in jobs] == [LARGE] * 2


@pytest.mark.parametrize("is_sent_ahead", [False, True])
async def test_large_results_are_stored_with_the_next_claim(
    producer, consumer, redis_client, full, is_sent_ahead
):
    done = [Outcome(job, result=LARGE) for job in await claimed(producer, consumer)]
    waiting = await producer.submit(Submission("iris", DATA))
    full()
    if is_sent_ahead:
        prefetch = consumer.prepare_prefetch(done, {"iris": 5})
        prefetch.send()
        verdicts, jobs = prefetch.answer()
    else:
        verdicts, jobs = consumer.finish_and_claim(done, 5)
    assert verdicts == ["completed"] * 2
    assert [job.id for job in jobs] == [waiting]
    assert redis_client.keys("job:*:result:*") == []


async def test_job_that_is_refused_lets_none_beside_it_in(settings, producer, redis_client, full):
    limited = Producer.from_settings(settings.model_copy(update={"max_queued": 1}))
    await limited.submit(Submission("iris", DATA))
    first = asyncio.create_task(
        limited.submit(Submission("other", DATA))
    )  # the next two wait, and go together
    await asyncio.sleep(0)
    full()
    together = [limited.submit(Submission(model, DATA)) for model in ("iris", "another")]
    answers = await asyncio.gather(first, *together, return_exceptions=True)
    await limited.close()
    assert all(isinstance(answer, RedisUnavailableError) for answer in answers)
    assert redis_client.exists("queue:other", "queue:another") == 0


async def test_models_are_announced_and_the_scan_goes_on(producer, consumer, full):
    full()
    consumer.announce({"iris": b"{}"})
    assert await producer.read_models() == {"iris": b"{}"}
    assert consumer.acquire_scan_step()
    assert consumer.requeue_orphans() == []
    with pytest.raises(RedisUnavailableError, match="memory limit"):
        await producer.submit(Submission("iris", DATA))
