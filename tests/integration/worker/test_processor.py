"""The main loop on a real queue, with models that do as they are told."""

import threading
from collections import Counter

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from inferq.jobs import Outcome, Priority, Status
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.producer.submission import Submission
from inferq.queue.redis_client.outage import Outage
from inferq.worker.processor import Processor
from tests.records import change_record, leased
from tests.servers import wait_until

DATA = b"[[5.1,3.5,1.4,0.2]]"


class HangingRunner:
    """Runs three jobs at a time, and none before it is released."""

    def __init__(self):
        self.began, self.released = threading.Event(), threading.Event()

    def limits(self):
        return {"iris": 3}

    def run(self, jobs):
        assert jobs
        self.began.set()
        self.released.wait()
        return [Outcome(job, result=b"{}") for job in jobs]


@pytest.fixture
def hanging(settings):
    """A loop in a thread of its own, inside a run, with the next jobs claimed ahead."""
    consumer, runner = Consumer(settings, "worker-1", ["iris"]), HangingRunner()
    loop = Processor(consumer, runner, Outage())
    thread = threading.Thread(target=loop.run)
    yield consumer, runner, loop, thread
    loop.stopping.set()
    runner.released.set()
    if thread.ident is not None:
        thread.join()
    consumer.close()


def run_until_done(loop, count):
    """Runs a loop in a thread of its own until it has done so many jobs."""
    thread = threading.Thread(target=loop.run)
    thread.start()
    wait_until(lambda: loop.jobs_done == count, what="all jobs")
    loop.stopping.set()
    thread.join()


async def start(producer, hanging):
    ids = [await producer.submit("iris", DATA) for _ in range(7)]
    _, runner, loop, thread = hanging
    thread.start()
    wait_until(runner.began.is_set, what="the run")
    wait_until(lambda: loop.held, what="the jobs of the run")
    return ids


async def test_jobs_claimed_ahead_of_a_run_that_hangs_can_be_given_back(producer, hanging, redis_client):
    ids = await start(producer, hanging)
    consumer, _, loop, _ = hanging
    in_run = loop.held
    wait_until(lambda: len(leased(redis_client)) == 6, what="the claim ahead")

    loop.fetch_what_waits(60)
    assert loop.held == in_run
    loop.fetch_what_waits()
    ahead = [job for job in loop.held if job not in in_run]
    assert [job.id for job in ahead] == ids[3:6]

    assert consumer.requeue(ahead) == ["released"] * 3
    back = await producer.read_many(ids[3:6])
    assert {(job.status, job.attempts) for job in back} == {(Status.PENDING, 0)}


async def test_jobs_claimed_ahead_are_run_once_and_held_no_longer(producer, hanging):
    ids = await start(producer, hanging)
    _, runner, loop, _ = hanging
    loop.fetch_what_waits()
    runner.released.set()

    wait_until(lambda: loop.jobs_done == 7, what="all jobs")
    wait_until(lambda: not loop.held, what="their ends")
    jobs = await producer.read_many(ids)
    assert {(job.status, job.attempts) for job in jobs} == {(Status.COMPLETED, 1)}


class GrowingRunner(HangingRunner):
    """Takes one job at a time until a run has begun, then four."""

    def limits(self):
        return {"iris": 4 if self.began.is_set() else 1}


async def test_nothing_is_claimed_beside_a_job_that_was_taken_alone(settings, producer, redis_client):
    for _ in range(6):
        await producer.submit("iris", DATA)
    consumer, runner = Consumer(settings, "worker-1", ["iris"]), GrowingRunner()
    leased_beside = []

    def run(jobs):
        runner.began.set()
        if len(jobs) == 1:
            leased_beside.append(len(leased(redis_client)) - 1)
        return [Outcome(job, result=b"{}") for job in jobs]

    runner.run = run
    run_until_done(Processor(consumer, runner, Outage()), 6)
    consumer.close()
    assert leased_beside
    assert set(leased_beside) == {0}


class PromptRunner:
    """Runs four jobs at a time, at once, and notes them."""

    def __init__(self, note):
        self.note = note

    def limits(self):
        return {"iris": 4}

    def run(self, jobs):
        self.note(jobs)
        return [Outcome(job, result=b"{}") for job in jobs]


@pytest.mark.parametrize("priority", [Priority.LOW, Priority.NORMAL])
async def test_job_that_must_run_alone_does_not_starve_behind_full_batches(
    settings, producer, redis_client, priority
):
    lonely = await producer.submit("iris", DATA, priority)
    change_record(redis_client, lonely, alone="1")
    behind = await producer.submit("iris", DATA, priority)
    await producer.submit_all([Submission("iris", DATA, Priority.HIGH) for _ in range(800)])
    left = {}

    def note(jobs):
        for job in jobs:
            if job.id in (lonely, behind):
                left[job.id] = len(jobs), redis_client.llen("queue:iris:high")

    consumer = Consumer(settings.model_copy(update={"lower_share": 0.1}), "worker-1", ["iris"])
    run_until_done(Processor(consumer, PromptRunner(note), Outage()), 802)
    consumer.close()
    assert left[lonely][0] == 1
    assert left[lonely][1] > 600
    assert left[behind][1] > 600


async def test_job_whose_end_is_being_stored_is_held_but_not_still_to_end(producer, hanging):
    await start(producer, hanging)
    consumer, runner, loop, _ = hanging
    held = loop.held
    assert all(loop.is_still_to_end(job) for job in held)
    prepare, stored, seen = consumer.prepare_prefetch, threading.Event(), threading.Event()

    def note(outcomes, *arguments, **options):
        if outcomes:
            stored.set()
            seen.wait()
        return prepare(outcomes, *arguments, **options)

    consumer.prepare_prefetch = note
    runner.released.set()
    assert stored.wait(10)
    assert all(job in loop.held and not loop.is_still_to_end(job) for job in held)
    seen.set()
    wait_until(lambda: loop.jobs_done == 7, what="all jobs")
    wait_until(lambda: not loop.held, what="their ends")
    assert not loop._ended


class Unreachable(Consumer):
    """Whose server goes away for good when data is fetched of jobs that an exchange has claimed."""

    def fail(self, *_):
        self.loop.stopping.set()
        self.loop.given_up.set()
        raise RedisConnectionError("gone")

    def prepare_prefetch(self, *arguments, **options):
        self.access.redis.mget = self.access.redis.ping = self.fail
        return super().prepare_prefetch(*arguments, **options)


async def test_loop_ends_in_order_when_it_gives_up_the_data_of_a_full_batch(settings, producer):
    large = b"[[" + b"5.1," * 10_000 + b"1]]"
    ids = [await producer.submit("iris", large) for _ in range(12)]
    consumer, runner = Unreachable(settings, "worker-1", ["iris"]), HangingRunner()
    runner.released.set()
    consumer.loop = loop = Processor(consumer, runner, Outage())
    loop.run()
    consumer.close()

    jobs = await producer.read_many(ids)
    assert loop.jobs_done == 3
    assert Counter(job.status for job in jobs)[Status.COMPLETED] == 3


class Slow(Consumer):
    """Whose server takes a while to answer the first exchange."""

    def __init__(self, settings, redis_client, models=("iris",)):
        super().__init__(settings, "worker-1", list(models))
        self._server = redis_client
        self.sent = []
        self.after_first = lambda: None

    def prepare_prefetch(self, *arguments, **options):
        exchange = super().prepare_prefetch(*arguments, **options)
        send, wait = exchange.send, exchange.wait

        def slow_send():
            if not self.sent:
                self._server.execute_command("CLIENT", "PAUSE", 300, "ALL")
            self.sent.append((exchange, [other for other, _ in self.sent if not other.is_answered]))
            send()

        def wait_and_tell():
            brings = wait()
            if exchange is self.sent[0][0]:
                self.after_first()
            return brings

        exchange.send, exchange.wait = slow_send, wait_and_tell
        return exchange


@pytest.fixture
def slow(settings, redis_client):
    """A loop whose runs are faster than its server."""
    consumer, runner = Slow(settings, redis_client), HangingRunner()
    runner.released.set()
    loop = Processor(consumer, runner, Outage())
    thread = threading.Thread(target=loop.run)
    yield consumer, loop, thread
    loop.stopping.set()
    if thread.ident is not None:
        thread.join()
    consumer.close()


@pytest.mark.parametrize("count", [3, 4, 5, 6, 7, 9, 12, 20])
async def test_server_that_is_slower_than_the_model_does_not_wait_for_it(producer, slow, count):
    consumer, loop, thread = slow
    ids = [await producer.submit("iris", DATA) for _ in range(count)]
    thread.start()
    wait_until(lambda: loop.jobs_done == count, what="all jobs")
    wait_until(lambda: not loop.held, what="their ends")
    loop.stopping.set()
    thread.join()

    (first, _), (_, unanswered), *_ = consumer.sent
    assert unanswered == [first]
    jobs = await producer.read_many(ids)
    assert {(job.status, job.attempts) for job in jobs} == {(Status.COMPLETED, 1)}


class TwoModels(HangingRunner):
    def limits(self):
        return {"iris": 3, "other": 3}


async def test_worker_of_several_models_knows_what_it_has_before_it_asks_for_more(
    settings, producer, redis_client
):
    consumer, runner = Slow(settings, redis_client, ["iris", "other"]), TwoModels()
    runner.released.set()
    for model in ("iris", "other") * 9:
        await producer.submit(model, DATA)
    run_until_done(Processor(consumer, runner, Outage()), 18)
    consumer.close()
    assert [unanswered for _, unanswered in consumer.sent] == [[]] * len(consumer.sent)


async def test_what_an_exchange_has_stored_is_not_held_any_more_by_who_takes_its_answer(producer, hanging):
    await start(producer, hanging)
    loop = hanging[2]
    in_run = loop.held
    loop._send(loop._prepare([Outcome(job, result=b"{}") for job in in_run], takes_solo=False))
    loop.fetch_what_waits()
    assert not set(in_run) & set(loop.held)


async def test_jobs_of_two_exchanges_are_given_back_by_a_worker_that_is_told_to_stop(producer, slow):
    consumer, loop, thread = slow
    consumer.after_first = loop.stopping.set
    ids = [await producer.submit("iris", DATA) for _ in range(12)]
    thread.start()
    thread.join()

    assert len(consumer.sent) == 2
    jobs = await producer.read_many(ids)
    assert [job.status for job in jobs] == [Status.COMPLETED] * 3 + [Status.PENDING] * 9
    assert {job.attempts for job in jobs[3:]} == {0}
    assert [job.queue_position for job in jobs[3:]] == list(range(1, 10))
