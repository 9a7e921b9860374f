"""The main loop on a real queue, with models that do as they are told."""

import threading

import pytest

from inferq.jobs import Outcome, Status
from inferq.queue.consumer import Consumer
from inferq.queue.outage import Outage
from inferq.worker.loop import Loop
from tests.servers import wait_until

DATA = b"[[5.1,3.5,1.4,0.2]]"


class HangingRunner:
    """Runs three jobs at a time, and none before it is released."""

    def __init__(self):
        self.began, self.released = threading.Event(), threading.Event()

    def limits(self):
        return {"iris": 3}

    def run(self, jobs):
        self.began.set()
        self.released.wait()
        return [Outcome(job, result=b"{}") for job in jobs]


@pytest.fixture
def hanging(settings):
    """A loop in a thread of its own, inside a run, with the next jobs claimed ahead."""
    consumer, runner = Consumer(settings, "worker-1", ["iris"]), HangingRunner()
    loop = Loop(consumer, runner, Outage())
    thread = threading.Thread(target=loop.run)
    yield consumer, runner, loop, thread
    loop.stopping.set()
    runner.released.set()
    if thread.ident is not None:
        thread.join()
    consumer.close()


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
    wait_until(lambda: redis_client.zcard("queue:iris:leases") == 6, what="the claim ahead")

    loop.fetch_what_waits(60)
    assert loop.held == in_run
    loop.fetch_what_waits()
    ahead = [job for job in loop.held if job not in in_run]
    assert [job.id for job in ahead] == ids[3:6]

    assert consumer.release(ahead) == ["released"] * 3
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
