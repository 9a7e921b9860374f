"""Who is woken by what: without Redis."""

import asyncio
from contextlib import suppress

import pytest

from inferq.jobs import Job, Status
from inferq.queue.events.waiter import Waiter
from inferq.queue.producer.producer import Producer
from inferq.settings import Settings

PENDING = Job("a", Status.PENDING, queue_position=3)
HELD = 0.01


@pytest.fixture
async def subscriber():
    settings = Settings(redis_url="redis://127.0.0.1:1", redis_timeout_seconds=0.2)
    producer = Producer.from_settings(settings)
    subscriber = producer.open_subscriber()
    yield subscriber
    await subscriber.aclose()
    await producer.close()


def seen(job, **options):
    waiter = Waiter(job.id, **options)
    waiter.begin_read()
    waiter.end_read(job)
    return waiter


async def test_wake_before_the_wait_ends_it_at_once_and_only_once():
    waiter = seen(PENDING)
    waiter.wake()
    assert await waiter.wait(60)
    assert not await waiter.wait(HELD)


async def test_wake_in_the_middle_ends_the_wait():
    waiter = seen(PENDING)
    asyncio.get_running_loop().call_soon(waiter.notify, Status.COMPLETED)
    assert await waiter.wait(60)
    assert waiter.notified is Status.COMPLETED


async def test_what_was_told_while_the_job_was_read_is_not_forgotten():
    waiter = Waiter("a")
    waiter.begin_read()
    waiter.notify(Status.COMPLETED)  # while an answer from before is on its way
    waiter.end_read(PENDING)
    assert await waiter.wait(60)
    assert waiter.notified is Status.COMPLETED


@pytest.mark.parametrize(
    ("status", "is_woken"), [(Status.PENDING, False), (Status.FAILED, True), (None, True)]
)
async def test_poll_wakes_waiters_that_know_something_else_or_cannot_be_notified(status, is_woken):
    waiter = seen(PENDING)
    waiter.compare(status)
    assert await waiter.wait(HELD) is is_woken


async def test_what_one_was_told_by_a_message_is_no_news_in_the_poll_after_it():
    waiter = seen(PENDING)
    waiter.notify(Status.PROCESSING)
    assert await waiter.wait(60)
    waiter.compare(Status.PROCESSING)
    assert not await waiter.wait(HELD)


async def test_poll_that_a_message_has_overtaken_hides_nothing():
    waiter = seen(PENDING)
    waiter.notify(Status.COMPLETED)
    waiter.compare(Status.PROCESSING)
    assert waiter.notified is None  # a reader that waits for the end does read the job


async def test_failed_read_leaves_a_waiter_that_any_poll_wakes():
    waiter = seen(PENDING)
    waiter.begin_read()
    waiter.compare(Status.PENDING)
    assert await waiter.wait(60)


async def test_wait_with_the_timer_of_an_earlier_one_takes_its_own_time():
    waiter = seen(PENDING)
    loop = asyncio.get_running_loop()
    for seconds in (0.05, 0.03, 0.15):
        loop.call_later(0.01, waiter.wake)
        assert await waiter.wait(seconds)
    began = loop.time()
    assert not await waiter.wait(0.2)
    assert loop.time() - began > 0.19
    loop.call_later(0.01, waiter.wake)
    assert await waiter.wait(600)
    began = loop.time()
    assert not await waiter.wait(0.05)
    assert loop.time() - began < 300
    waiter.close()


async def test_new_position_wakes_with_the_job_that_was_read():
    waiter = seen(PENDING, counts_position=True)
    assert waiter.is_queued
    waiter.compare_position(PENDING)
    assert not await waiter.wait(HELD)
    further = Job("a", Status.PENDING, queue_position=2)
    waiter.compare_position(further)
    assert await waiter.wait(60)
    assert (waiter.take_read(), waiter.take_read()) == (further, None)


async def test_read_of_a_position_that_a_message_has_overtaken_is_not_used():
    waiter = seen(PENDING, counts_position=True)
    waiter.compare_position(Job("a", Status.PENDING, queue_position=2))
    waiter.notify(Status.PROCESSING)
    assert waiter.take_read() is None
    assert not waiter.is_queued
    waiter.compare_position(Job("a", Status.PENDING, queue_position=1))
    assert waiter.take_read() is None


async def test_message_wakes_those_it_names_and_no_others(subscriber):
    with subscriber.subscribe("a") as a, subscriber.subscribe("a") as again, subscriber.subscribe("b:c") as b:
        subscriber.dispatch(b"x:completed,a:completed,,:,b:c:processing,\xff:failed,odd")
        assert [waiter.notified for waiter in (a, again, b)] == [
            Status.COMPLETED,
            *[Status.COMPLETED],
            "processing",
        ]
        subscriber.dispatch(b"a:sideways")
        assert (a.notified, await a.wait(60)) == (None, True)


async def test_waiters_leave_nothing_behind_however_they_go(subscriber):
    with (
        suppress(ZeroDivisionError),
        subscriber.subscribe("a"),
        subscriber.subscribe("a"),
        subscriber.subscribe("b"),
    ):
        assert len(subscriber) == 2
        raise ZeroDivisionError

    async def wait():
        with subscriber.subscribe("c") as waiter:
            await waiter.wait(60)

    task = asyncio.create_task(wait())
    while not len(subscriber):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(subscriber) == 0


async def test_closing_wakes_all_waiters(subscriber):
    with subscriber.subscribe("a") as a, subscriber.subscribe("b") as b:
        subscriber.close()
        assert await a.wait(60)
        assert await b.wait(60)
    assert subscriber.is_closed
