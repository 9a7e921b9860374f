"""The processor on a real queue, with executors that do as they are told."""

import asyncio
import threading
from collections import Counter
from concurrent.futures import Future
from types import SimpleNamespace

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from inferq.jobs import ClaimedJob, Outcome, Priority, Status
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.producer.submission import Submission
from inferq.queue.redis_client.outage import Outage
from inferq.worker import processor as processor_module
from inferq.worker.background.lease_renewer import LeaseRenewer
from inferq.worker.processor import Processor
from inferq.worker.runs.awaited_files import AwaitedFiles
from inferq.worker.runs.watchdog import Watchdog
from inferq.worker.serving.served_models import NotServedError
from tests.integration.worker.processors import StubExecutor
from tests.records import change_record, leased, record
from tests.servers import wait_until

DATA = b"[[5.1,3.5,1.4,0.2]]"


class HangingExecutor(StubExecutor):
    """Runs three jobs at a time, and none before it is released."""

    def __init__(self):
        super().__init__()
        self.began, self.released = threading.Event(), threading.Event()

    def plan_limits(self):
        return {"iris": 3}

    def run(self, jobs, _store):
        assert jobs
        self.began.set()
        self.released.wait()
        return [Outcome(job, result=b"{}") for job in jobs]


@pytest.fixture
def hanging(settings):
    """A processor in a thread of its own, inside a run, with the next jobs prefetched."""
    consumer, executor = Consumer(settings, "worker-1", ["iris"]), HangingExecutor()
    processor = Processor(consumer, executor, Outage())
    thread = threading.Thread(target=processor.run)
    yield consumer, executor, processor, thread
    processor.stopping.set()
    executor.released.set()
    if thread.ident is not None:
        thread.join()
    consumer.close()


def run_until_done(processor, count):
    """Runs a processor in a thread of its own until it has done so many jobs."""
    thread = threading.Thread(target=processor.run)
    thread.start()
    wait_until(lambda: processor.jobs_done == count, what="all jobs")
    processor.stopping.set()
    thread.join()


async def start(producer, hanging):
    ids = [await producer.submit(Submission("iris", DATA)) for _ in range(7)]
    _, executor, processor, thread = hanging
    thread.start()
    wait_until(executor.began.is_set, what="the run")
    wait_until(lambda: processor.held, what="the jobs of the run")
    return ids


async def test_jobs_claimed_ahead_of_a_run_that_hangs_can_be_requeued(producer, hanging, redis_client):
    ids = await start(producer, hanging)
    consumer, _, processor, _ = hanging
    in_run = processor.held
    wait_until(lambda: len(leased(redis_client)) == 6, what="the claim ahead")

    processor.receive_prefetched(60)
    assert processor.held == in_run
    processor.receive_prefetched()
    ahead = [job for job in processor.held if job not in in_run]
    assert [job.id for job in ahead] == ids[3:6]

    assert consumer.requeue(ahead) == ["requeued"] * 3
    back = await producer.read_many(ids[3:6])
    assert {(job.status, job.attempts) for job in back} == {(Status.PENDING, 0)}


async def test_jobs_claimed_ahead_are_run_once_and_held_no_longer(producer, hanging):
    ids = await start(producer, hanging)
    _, executor, processor, _ = hanging
    processor.receive_prefetched()
    executor.released.set()

    wait_until(lambda: processor.jobs_done == 7, what="all jobs")
    wait_until(lambda: not processor.held, what="their ends")
    jobs = await producer.read_many(ids)
    assert {(job.status, job.attempts) for job in jobs} == {(Status.COMPLETED, 1)}


class GrowingExecutor(HangingExecutor):
    """Runs one job at a time until a run has begun, then four."""

    def plan_limits(self):
        return {"iris": 4 if self.began.is_set() else 1}


async def test_nothing_is_claimed_beside_a_job_that_was_taken_alone(settings, producer, redis_client):
    for _ in range(6):
        await producer.submit(Submission("iris", DATA))
    consumer, executor = Consumer(settings, "worker-1", ["iris"]), GrowingExecutor()
    leased_beside = []

    def run(jobs, _store):
        executor.began.set()
        if len(jobs) == 1:
            leased_beside.append(len(leased(redis_client)) - 1)
        return [Outcome(job, result=b"{}") for job in jobs]

    executor.run = run
    run_until_done(Processor(consumer, executor, Outage()), 6)
    consumer.close()
    assert leased_beside
    assert set(leased_beside) == {0}


async def test_results_that_cannot_wait_for_the_rest_of_their_claim_are_stored_at_once(settings, producer):
    ids = [await producer.submit(Submission("iris", DATA + b" " * 100_000)) for _ in range(6)]
    consumer, executor = Consumer(settings, "worker-1", ["iris"]), HangingExecutor()
    processor = Processor(consumer, executor, Outage())
    held = []

    def run(jobs, store):
        outcomes = [Outcome(job, result=b"%d" % len(job.data)) for job in jobs]
        store(outcomes[:1])
        held.append([job.id for job in processor.held])
        return outcomes[2:]  # one of them was cancelled

    executor.run = run
    run_until_done(processor, 6)
    consumer.close()
    jobs = await producer.read_many(ids)
    assert [jobs[index].status for index in (0, 2, 3, 5)] == [Status.COMPLETED] * 4
    assert {job.result for job in jobs if job.result} == {b"%d" % (len(DATA) + 100_000)}
    assert all(of_claim[0] in ids and ids[0] not in of_claim for of_claim in held)
    assert processor.held == []


class QuickExecutor(StubExecutor):
    """Runs four jobs at a time, at once, and notes them."""

    def __init__(self, note):
        super().__init__()
        self.note = note

    def plan_limits(self):
        return {"iris": 4}

    def run(self, jobs, _store):
        self.note(jobs)
        return [Outcome(job, result=b"{}") for job in jobs]


@pytest.mark.parametrize("priority", [Priority.LOW, Priority.NORMAL])
async def test_job_that_must_run_alone_does_not_starve_behind_full_batches(
    settings, producer, redis_client, priority
):
    solo = await producer.submit(Submission("iris", DATA, priority))
    change_record(redis_client, solo, alone="1")
    behind = await producer.submit(Submission("iris", DATA, priority))
    await producer.submit_batch([Submission("iris", DATA, Priority.HIGH) for _ in range(800)])
    left = {}

    def note(jobs):
        for job in jobs:
            if job.id in (solo, behind):
                left[job.id] = len(jobs), redis_client.llen("queue:iris:high")

    consumer = Consumer(settings.model_copy(update={"lower_priority_share": 0.1}), "worker-1", ["iris"])
    run_until_done(Processor(consumer, QuickExecutor(note), Outage()), 802)
    consumer.close()
    assert left[solo][0] == 1
    assert left[solo][1] > 600
    assert left[behind][1] > 600


async def test_job_whose_end_is_being_stored_is_held_but_not_unfinished(producer, hanging):
    await start(producer, hanging)
    consumer, executor, processor, _ = hanging
    held = processor.held
    assert all(processor.is_unfinished(job) for job in held)
    prepare, stored, seen = consumer.prepare_prefetch, threading.Event(), threading.Event()

    def note(outcomes, *arguments, **options):
        if outcomes:
            stored.set()
            seen.wait()
        return prepare(outcomes, *arguments, **options)

    consumer.prepare_prefetch = note
    executor.released.set()
    assert stored.wait(60)
    assert all(job in processor.held and not processor.is_unfinished(job) for job in held)
    seen.set()
    wait_until(lambda: processor.jobs_done == 7, what="all jobs")
    wait_until(lambda: not processor.held, what="their ends")


class Unreachable(Consumer):
    """Its server goes away for good when large data of prefetched jobs is fetched."""

    def fail(self, *_):
        self.processor.stopping.set()
        self.processor.given_up.set()
        raise RedisConnectionError("gone")

    def prepare_prefetch(self, *arguments, **options):
        self.access.redis.mget = self.access.redis.ping = self.fail
        return super().prepare_prefetch(*arguments, **options)


async def test_processor_ends_in_order_when_it_gives_up_the_data_of_a_full_batch(settings, producer):
    large = b"[[" + b"5.1," * 10_000 + b"1]]"
    ids = [await producer.submit(Submission("iris", large)) for _ in range(12)]
    consumer, executor = Unreachable(settings, "worker-1", ["iris"]), HangingExecutor()
    executor.released.set()
    consumer.processor = processor = Processor(consumer, executor, Outage())
    processor.run()
    consumer.close()

    jobs = await producer.read_many(ids)
    assert processor.jobs_done == 3
    assert Counter(job.status for job in jobs)[Status.COMPLETED] == 3


class Slow(Consumer):
    """Its server does not answer the first prefetch before another is sent, or some time has passed."""

    def __init__(self, settings, redis_client, models=("iris",), longest_seconds=60.0):
        super().__init__(settings, "worker-1", list(models))
        self._server = redis_client
        self._longest_ms = round(1000 * longest_seconds)
        self.sent = []
        self.after_first = lambda: None

    def prepare_prefetch(self, *arguments, **options):
        claim = super().prepare_prefetch(*arguments, **options)
        send, wait = claim.send, claim.wait

        def slow_send():
            if not self.sent:
                self._server.client_pause(self._longest_ms, all=False)
            self.sent.append((claim, [other for other, _ in self.sent if not other.is_answered]))
            send()
            if len(self.sent) == 2:
                self._server.client_unpause()

        def wait_and_call():
            brings = wait()
            if claim is self.sent[0][0]:
                self.after_first()
            return brings

        claim.send, claim.wait = slow_send, wait_and_call
        return claim


@pytest.fixture
def slow(settings, redis_client):
    """A processor whose runs are faster than its server."""
    consumer, executor = Slow(settings, redis_client), HangingExecutor()
    executor.released.set()
    processor = Processor(consumer, executor, Outage())
    thread = threading.Thread(target=processor.run)
    yield consumer, processor, thread
    redis_client.client_unpause()
    processor.stopping.set()
    if thread.ident is not None:
        thread.join()
    consumer.close()


@pytest.mark.parametrize("count", [3, 4, 5, 6, 7, 9, 12, 20])
async def test_server_that_is_slower_than_the_model_does_not_wait_for_it(producer, slow, count):
    consumer, processor, thread = slow
    ids = [await producer.submit(Submission("iris", DATA)) for _ in range(count)]
    thread.start()
    wait_until(lambda: processor.jobs_done == count, what="all jobs")
    wait_until(lambda: not processor.held, what="their ends")
    processor.stopping.set()
    thread.join()

    (first, _), (_, unanswered), *_ = consumer.sent
    assert unanswered == [first]
    jobs = await producer.read_many(ids)
    assert {(job.status, job.attempts) for job in jobs} == {(Status.COMPLETED, 1)}


class TwoModelExecutor(HangingExecutor):
    def plan_limits(self):
        return {"iris": 3, "other": 3}


async def test_worker_of_several_models_knows_what_it_has_before_it_asks_for_more(
    settings, producer, redis_client
):
    consumer = Slow(settings, redis_client, ["iris", "other"], longest_seconds=0.3)
    executor = TwoModelExecutor()
    executor.released.set()
    for model in ("iris", "other") * 9:
        await producer.submit(Submission(model, DATA))
    run_until_done(Processor(consumer, executor, Outage()), 18)
    consumer.close()
    assert [unanswered for _, unanswered in consumer.sent] == [[]] * len(consumer.sent)


class VersionsExecutor(HangingExecutor):
    """Serves two versions of a model, and notes of which queues the jobs of each run were."""

    def __init__(self):
        super().__init__()
        self.runs = []

    def plan_limits(self):
        return {"iris": 3, "iris@2": 3}

    def run(self, jobs, store):
        self.runs.append({job.model for job in jobs})
        return super().run(jobs, store)


async def test_jobs_of_different_queues_are_never_run_together(settings, producer, redis_client):
    consumer, executor = Slow(settings, redis_client, ["iris", "iris@2"]), VersionsExecutor()
    executor.released.set()
    for model in ("iris",) * 5 + ("iris@2",) * 2:
        await producer.submit(Submission(model, DATA))
    run_until_done(Processor(consumer, executor, Outage()), 7)
    consumer.close()
    (first, _), (_, unanswered), *_ = consumer.sent
    assert unanswered == [first]
    assert all(len(queues) == 1 for queues in executor.runs)


async def test_what_a_prefetch_has_stored_is_not_held_any_more_by_who_takes_its_answer(producer, hanging):
    await start(producer, hanging)
    processor = hanging[2]
    in_run = processor.held
    processor._claims.send(processor._claims.prepare([Outcome(job, result=b"{}") for job in in_run]))
    processor.receive_prefetched()
    assert not set(in_run) & set(processor.held)


async def test_jobs_of_two_prefetches_are_requeued_by_a_worker_that_is_told_to_stop(producer, slow):
    consumer, processor, thread = slow
    consumer.after_first = processor.stopping.set
    ids = [await producer.submit(Submission("iris", DATA)) for _ in range(12)]
    thread.start()
    thread.join()

    assert len(consumer.sent) == 2
    jobs = await producer.read_many(ids)
    assert [job.status for job in jobs] == [Status.COMPLETED] * 3 + [Status.PENDING] * 9
    assert {job.attempts for job in jobs[3:]} == {0}
    assert [job.queue_position for job in jobs[3:]] == list(range(1, 10))


class WithdrawnExecutor(HangingExecutor):
    """Has ceased to serve the model whose jobs were claimed."""

    def plan_limits(self):
        return {"digits": 1} if self.began.is_set() else {"iris": 3}

    def run(self, jobs, _store):
        if jobs[0].model == "iris":
            self.began.set()
            raise NotServedError("iris")
        return [Outcome(job, result=b"{}") for job in jobs]


async def test_jobs_of_a_model_that_went_after_their_claim_are_left_to_other_workers(settings, producer):
    consumer = Consumer(settings, "worker-1", ["iris", "digits"])
    processor = Processor(consumer, WithdrawnExecutor(), Outage())
    ids = [await producer.submit(Submission("iris", DATA)) for _ in range(5)]
    await producer.submit(Submission("digits", DATA))
    run_until_done(processor, 1)
    consumer.close()
    jobs = await producer.read_many(ids)
    assert {(job.status, job.attempts) for job in jobs} == {(Status.PENDING, 0)}
    assert [job.queue_position for job in jobs] == [1, 2, 3, 4, 5]
    assert processor.held == []


class FetchingExecutor(StubExecutor):
    """Runs one job at a time, of a slow model; the oldest one names a file."""

    def __init__(self):
        super().__init__()
        self.file, self.asked, self.ran = Future(), threading.Event(), []
        self.awaited = AwaitedFiles(lambda _: self.asked.set() or self.file)

    def plan_limits(self):
        return {"iris": 1}

    def run(self, jobs, _store):
        if not self.asked.is_set():
            self.awaited.add(jobs[0], [SimpleNamespace(url="https://example.com/x.npy")])
            return []
        self.ran += [job.id for job in jobs]
        return [Outcome(job, result=b"{}") for job in jobs]


@pytest.mark.parametrize(("patience_seconds", "is_first"), [(60.0, True), (0.0, False)])
async def test_file_that_comes_soon_is_not_behind_a_slow_run(
    producer, settings, monkeypatch, patience_seconds, is_first
):
    monkeypatch.setattr(processor_module, "_PATIENCE_SECONDS", patience_seconds)
    ids = [await producer.submit(Submission("iris", DATA)) for _ in range(2)]
    consumer, executor = Consumer(settings, "worker-1", ["iris"]), FetchingExecutor()
    processor = Processor(consumer, executor, Outage())
    thread = threading.Thread(target=processor.run)
    thread.start()
    try:
        await asyncio.to_thread(executor.asked.wait)
        if is_first:
            assert {job.id for job in processor.held} == {ids[0]}
        else:
            wait_until(lambda: executor.ran == ids[1:], what="the other job's run")
            assert processor.waited_seconds(processor.held[0]) > 0
        executor.file.set_result({})
        wait_until(lambda: len(executor.ran) == 2, what="both runs")
    finally:
        processor.stopping.set()
        await asyncio.to_thread(thread.join)
        consumer.close()
    assert executor.ran == (ids if is_first else ids[::-1])
    assert processor.jobs_done == 2
    assert [(await producer.read(job_id)).status for job_id in ids] == [Status.COMPLETED] * 2


async def test_records_say_at_once_who_waits_before_what_could_kill_the_worker(
    producer, settings, monkeypatch, redis_client
):
    monkeypatch.setattr(processor_module, "_PATIENCE_SECONDS", 0.0)
    ids = [await producer.submit(Submission("iris", DATA)) for _ in range(2)]
    change_record(redis_client, ids[0], alone="1")
    consumer, executor = Consumer(settings, "worker-1", ["iris"]), FetchingExecutor()
    run, seen = executor.run, []

    def note_and_run(jobs, store):
        if executor.asked.is_set():
            seen.append((jobs[0].id, record(redis_client, ids[0]).get("awaits_files")))
            if len(seen) == 1:
                executor.file.set_result({})
        return run(jobs, store)

    executor.run = note_and_run
    processor = Processor(consumer, executor, Outage())
    timed = SimpleNamespace(find_timeout=lambda _: 60.0)
    renewer = LeaseRenewer(consumer, processor, timed, Watchdog(5.0, lambda _: None), settings, Outage())
    processor.note_waits = renewer.note_waits
    run_until_done(processor, 2)
    consumer.close()
    assert seen == [(ids[1], "1"), (ids[0], None)]


class LateExecutor(StubExecutor):
    """The file that the oldest job names never comes; nor do those of some others, at the same host.

    Args:
        limits: How many jobs to claim of each queue.
        others: How many jobs wait already.
    """

    def __init__(self, limits, others):
        super().__init__()
        self.limits, self.ran, self.has_named = limits, [], False
        self.awaited = AwaitedFiles(lambda _: Future())
        for number in range(others):
            self.add(ClaimedJob(str(number), "iris", b"", 1, "token"))

    def add(self, job):
        self.awaited.add(job, [SimpleNamespace(url="https://example.com/x.npy")])

    def plan_limits(self):
        return self.limits

    def run(self, jobs, _store):
        if not self.has_named:
            self.has_named = True
            self.add(jobs[0])
            jobs = jobs[1:]
        self.ran += [job.id for job in jobs]
        return [Outcome(job, result=b"{}") for job in jobs]


@pytest.mark.parametrize(
    ("limits", "others"),
    [({"iris": 2, "iris@1~chunks": 1}, 0), ({"iris": 1}, 6)],
    ids=["quick models that are divided", "a host that has all the fetches it may have"],
)
async def test_no_time_is_given_to_files_where_that_is_in_vain(
    producer, settings, monkeypatch, limits, others
):
    monkeypatch.setattr(processor_module, "_PATIENCE_SECONDS", 600.0)
    await producer.submit(Submission("iris", DATA))
    consumer, executor = Consumer(settings, "worker-1", [*limits]), LateExecutor(limits, others)
    processor = Processor(consumer, executor, Outage())
    thread = threading.Thread(target=processor.run)
    thread.start()
    try:
        wait_until(lambda: executor.has_named, what="the job that names a file")
        ids = [await producer.submit(Submission("iris", DATA)) for _ in range(3)]
        wait_until(lambda: executor.ran == ids, what="the other jobs' runs")
    finally:
        processor.stopping.set()
        await asyncio.to_thread(thread.join)
        consumer.close()


@pytest.fixture
async def waiting(producer, settings, monkeypatch):
    """A processor inside a run that hangs, and a job that waits for a file meanwhile."""
    monkeypatch.setattr(processor_module, "_PATIENCE_SECONDS", 0.0)
    for _ in range(2):
        await producer.submit(Submission("iris", DATA))
    consumer, executor = Consumer(settings, "worker-1", ["iris"]), FetchingExecutor()
    began, released, run = threading.Event(), threading.Event(), executor.run

    def run_or_hang(jobs, store):
        if executor.asked.is_set():
            began.set()
            released.wait()
        return run(jobs, store)

    executor.run = run_or_hang
    processor = Processor(consumer, executor, Outage())
    thread = threading.Thread(target=processor.run)
    thread.start()
    await asyncio.to_thread(began.wait)
    yield processor, processor.held[0]
    processor.stopping.set()
    released.set()
    await asyncio.to_thread(thread.join)
    consumer.close()


async def test_lease_of_a_job_that_waits_is_not_prolonged_for_ever_by_a_run_that_hangs(waiting):
    processor, job = waiting
    waited = processor.waited_seconds(job)
    await asyncio.sleep(0.05)
    assert processor.waited_seconds(job) == waited


async def test_job_that_is_cancelled_while_it_waits_is_not_held_until_the_run_under_way_has_ended(waiting):
    processor, job = waiting
    running = processor.held[1]
    processor.stop_awaiting(running)
    processor.stop_awaiting(job)
    assert processor.held == [running]


async def test_jobs_that_waited_are_requeued_before_those_that_were_claimed_after_them(
    producer, settings, monkeypatch, redis_client
):
    monkeypatch.setattr(processor_module, "_PATIENCE_SECONDS", 0.0)
    ids = [await producer.submit(Submission("iris", DATA)) for _ in range(3)]
    consumer, executor = Consumer(settings, "worker-1", ["iris"]), FetchingExecutor()
    processor = Processor(consumer, executor, Outage())
    claim = processor._run_or_claim

    def claim_and_stop(outcomes):
        processor.stopping.set()
        return claim(outcomes)

    processor._run_or_claim = claim_and_stop
    await asyncio.to_thread(processor.run)
    consumer.close()
    assert executor.ran == []
    assert redis_client.lrange("queue:iris", 0, -1)[::-1] == [job_id.encode() for job_id in ids]


class FullBatchesExecutor(StubExecutor):
    """Runs four jobs at a time, and notes them; the oldest one names a file, which is there at once."""

    def __init__(self):
        super().__init__()
        self.ran = []
        self.file = Future()
        self.awaited = AwaitedFiles(lambda _: self.file)

    def plan_limits(self):
        return {"iris": 4}

    def run(self, jobs, _store):
        if not self.file.done():
            self.awaited.add(jobs[0], [SimpleNamespace(url="https://example.com/x.npy")])
            self.file.set_result({})
            jobs = jobs[1:]
        self.ran += [job.id for job in jobs]
        return [Outcome(job, result=b"{}") for job in jobs]


async def test_job_whose_files_are_there_does_not_starve_behind_full_batches(settings, producer):
    first, *_ = await producer.submit_batch([Submission("iris", DATA) for _ in range(200)])
    consumer, executor = Consumer(settings, "worker-1", ["iris"]), FullBatchesExecutor()
    run_until_done(Processor(consumer, executor, Outage()), 200)
    consumer.close()
    assert executor.ran.index(first) < 20
