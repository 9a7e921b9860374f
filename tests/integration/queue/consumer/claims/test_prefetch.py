"""Finishing and claiming ahead, in one round trip that is waited for later."""

from collections import Counter

import pytest

from inferq.jobs import Outcome, Priority, Status
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.producer.submission import Submission
from tests.integration.queue.consumer.claiming import complete
from tests.integration.queue.test_queue import stored_result
from tests.servers import wait_until

DATA = b"[[5.1,3.5,1.4,0.2]]"


async def test_prefetch_is_sent_now_and_answered_later(producer, consumer):
    first, second, third = [await producer.submit(Submission("iris", DATA)) for _ in range(3)]
    [job] = consumer.claim(1)

    prefetch = consumer.prepare_prefetch([Outcome(job, result=b"1")], {"iris": 1})
    assert (await producer.read(first)).status is Status.PROCESSING
    prefetch.send()
    assert (await producer.read(first)).status is Status.COMPLETED
    assert [other.id for other in consumer.claim(1)] == [third]  # on another connection meanwhile
    assert prefetch.wait() == ("iris", 1)
    verdicts, [claimed] = prefetch.answer()

    assert (verdicts, claimed.id, claimed.data) == (["completed"], second, DATA)
    assert complete(consumer, claimed) == ["completed"]


async def test_prefetch_that_is_not_sent_takes_no_turn_of_the_lower_priorities(settings, producer):
    consumer = Consumer(settings.model_copy(update={"lower_priority_share": 0.1}), "worker-1", ["iris"])
    for priority in Priority:
        await producer.submit_batch([Submission("iris", DATA, priority) for _ in range(30)])
    taken = Counter()
    for _ in range(20):
        prefetch = consumer.prepare_prefetch([], {"iris": 1})
        prefetch.send()
        consumer.prepare_prefetch([], {"iris": 1})
        [job] = prefetch.answer()[1]
        taken[(await producer.read(job.id)).priority] += 1
    assert taken == {Priority.HIGH: 16, Priority.NORMAL: 2, Priority.LOW: 2}
    consumer.close()


async def test_prefetch_carries_large_results(producer, consumer):
    job_id = await producer.submit(Submission("iris", DATA))
    [job] = consumer.claim(1)
    result = b"[" + b"1," * 50_000 + b"1]"
    prefetch = consumer.prepare_prefetch([Outcome(job, result=result)], {"iris": 1})
    prefetch.send()
    assert prefetch.wait()[1] == 0
    assert prefetch.answer() == (["completed"], [])
    assert await stored_result(producer, job_id) == result


async def test_prefetch_sent_after_a_script_flush_claims_once(producer, consumer, redis_client):
    ids = [await producer.submit(Submission("iris", DATA)) for _ in range(3)]
    [job] = consumer.claim(1)
    redis_client.script_flush()
    prefetch = consumer.prepare_prefetch([Outcome(job, result=b"1")], {"iris": 2})
    prefetch.send()
    verdicts, claimed = prefetch.answer()
    assert (verdicts, [other.id for other in claimed]) == (["completed"], ids[1:])
    assert consumer.claim(1) == []


@pytest.mark.parametrize("is_cut", [False, True])
async def test_prefetch_is_sent_before_another_is_answered(producer, consumer, redis_client, is_cut):
    ids = [await producer.submit(Submission("iris", DATA)) for _ in range(6)]
    jobs = consumer.claim(2)
    consumer.access.pipelined.execute(("PING",))  # it is open
    redis_client.execute_command("CLIENT", "PAUSE", 100_000, "WRITE")
    try:
        prefetches = []
        for job in jobs:
            prefetches.append(consumer.prepare_prefetch([Outcome(job, result=b"1")], {"iris": 2}))
            prefetches[-1].send()
        assert [prefetch.is_answered for prefetch in prefetches] == [False, False]
        if is_cut:
            consumer.access.pipelined._connection.disconnect()
    finally:
        redis_client.execute_command("CLIENT", "UNPAUSE")
    answers = [prefetch.answer() for prefetch in prefetches]

    assert [[job.id for job in claimed] for _, claimed in answers] == [ids[2:4], ids[4:]]
    assert [(await producer.read(job_id)).status for job_id in ids[:2]] == [Status.COMPLETED] * 2
    assert [(await producer.read(job_id)).attempts for job_id in ids] == [1] * 6


async def test_prefetch_that_was_answered_says_so(producer, consumer):
    prefetch = consumer.prepare_prefetch([], {"iris": 1})
    assert prefetch.is_answered  # it was not sent: there is nothing to wait for
    prefetch.send()
    wait_until(lambda: prefetch.is_answered, what="the answer")
    consumer.access.pipelined.disconnect()
    assert prefetch.is_answered
    assert prefetch.answer() == ([], [])


async def test_prefetch_that_brings_nothing_holds_no_jobs(consumer):
    prefetch = consumer.prepare_prefetch([], {"iris": 2})
    prefetch.send()
    assert prefetch.leased() == []


@pytest.mark.parametrize("asks", [["answer"], ["wait", "answer"]])
async def test_prefetch_whose_answer_was_lost_is_repeated(producer, consumer, asks):
    ids = [await producer.submit(Submission("iris", DATA)) for _ in range(3)]
    [job] = consumer.claim(1)
    prefetch = consumer.prepare_prefetch([Outcome(job, result=b"1")], {"iris": 2})
    prefetch.send()
    assert (await producer.read(ids[0])).status is Status.COMPLETED
    consumer.access.pipelined._connection.disconnect()

    verdicts, claimed = [getattr(prefetch, ask)() for ask in asks][-1]
    assert [other.id for other in claimed] == ids[1:]
    assert verdicts == ["stale"]  # the first had stored it
    assert [complete(consumer, other) for other in claimed] == [["completed"], ["completed"]]
