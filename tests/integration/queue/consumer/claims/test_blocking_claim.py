"""A worker that blocks for a job, and claims it behind the BRPOP without knowing which it is."""

import asyncio

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from inferq.errors import ModelError, RedisUnavailableError
from inferq.jobs import Outcome, Priority, Status
from inferq.queue.consumer.claims.blocking_claim import WaitResult
from inferq.queue.consumer.claims.claim import Popped
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.producer.submission import Submission
from tests.integration.queue.calls import in_thread
from tests.integration.queue.consumer.claiming import claim_next
from tests.servers import wait_until

DATA = b"[[5.1,3.5,1.4,0.2]]"
LONG_SECONDS = 25.0
"""A wait that no busy machine comes to the end of before its job is there."""
LARGE = b'"' + b"x" * 20_000 + b'"'


def blocked(redis_client):
    return redis_client.info("clients")["blocked_clients"]


def commands_of(redis_client, call):
    """The commands that reach the server while it is made."""
    with redis_client.monitor() as monitor:
        call()
        redis_client.echo("that was it")
        commands = []
        while "that was it" not in (heard := monitor.next_command())["command"]:
            if heard["client_type"] != "lua":
                commands.append(heard["command"].split()[0])
    return [command for command in commands if command not in ("HELLO", "CLIENT")]


async def test_what_was_popped_is_claimed_with_what_waits_behind_it(producer, consumer):
    ids = [await producer.submit(Submission("iris", DATA)) for _ in range(4)]

    jobs = consumer.wait_and_claim(3).jobs

    assert [(job.id, job.data, job.attempt) for job in jobs] == [(job_id, DATA, 1) for job_id in ids[:3]]
    assert [job.id for job in consumer.wait_and_claim(3).jobs] == ids[3:]


async def test_worker_that_waits_gets_its_job_in_one_round_trip(producer, consumer, redis_client):
    for _ in range(2):
        claimed = in_thread(lambda: consumer.wait_and_claim(5, timeout_seconds=LONG_SECONDS).jobs)
        wait_until(lambda: blocked(redis_client), what="the worker")
        job_id = await producer.submit(Submission("iris", DATA))
        assert [job.id for job in claimed()] == [job_id]
    await producer.submit(Submission("iris", DATA))
    assert commands_of(redis_client, lambda: consumer.wait_and_claim(5)) == ["EVALSHA", "BRPOP", "EVALSHA"]


@pytest.mark.parametrize("priority", Priority)
async def test_it_is_found_in_whatever_list_it_was(settings, producer, priority):
    consumer = Consumer(settings, "worker-1", ["iris", "other"])
    job_id = await producer.submit(Submission("other", DATA, priority))
    [job] = consumer.wait_and_claim(5).jobs
    assert (job.id, job.model) == (job_id, "other")
    consumer.close()


async def test_beside_others_that_run_or_wait_for_a_retry(producer, consumer):
    first, second, third = [await producer.submit(Submission("iris", DATA)) for _ in range(3)]
    [job] = consumer.wait_and_claim(1).jobs
    assert [job.id for job in consumer.wait_and_claim(1).jobs] == [second]
    assert consumer.finish([Outcome(job, error=ModelError("It broke."))]) == ["retrying"]
    assert [job.id for job in consumer.wait_and_claim(1).jobs] == [third]
    assert job.id == first


async def test_of_two_that_are_in_no_list_the_popped_one_is_claimed_by_its_id(
    producer, consumer, redis_client
):
    ids = [await producer.submit(Submission("iris", DATA)) for _ in range(2)]
    redis_client.rpop("queue:iris")

    _, jobs, unclaimed = consumer.wait_and_claim(5)

    assert jobs == []
    assert unclaimed.id == ids[1]
    assert [job.id for job in consumer.claim(5, unclaimed)] == [ids[1]]
    assert (await producer.read(ids[0])).attempts == 0


async def test_what_an_outside_worker_has_popped_stays_its_own(producer, consumer, redis_client):
    job_id = await producer.submit(Submission("iris", DATA))
    redis_client.rpop("queue:iris")
    assert consumer.wait_and_claim(5, timeout_seconds=0.05) == WaitResult([], [])
    assert (await producer.read(job_id)).status is Status.PENDING


async def test_what_an_outside_worker_runs_stays_its_own(producer, consumer, redis_client):
    job_id = await producer.submit(Submission("iris", DATA))
    redis_client.rpop("queue:iris")
    redis_client.set(f"job:{job_id}:status", "processing")
    for _ in range(2):
        redis_client.set("job:outside:data", DATA)
        redis_client.lpush("queue:iris", "outside")
        [job] = claim_next(consumer, 5)
        assert job.id == "outside"
        consumer.finish([Outcome(job, result=b"1")])
    assert redis_client.get(f"job:{job_id}:status") == b"processing"
    assert redis_client.llen("queue:iris") == 0


async def test_nothing_is_guessed_where_programs_from_outside_share_the_queue(
    producer, consumer, redis_client
):
    redis_client.set("job:outside:data", DATA)
    redis_client.lpush("queue:iris", "outside")
    [job] = consumer.claim(1)
    consumer.finish([Outcome(job, result=b"1")])
    job_id = await producer.submit(Submission("iris", DATA))

    unclaimed = consumer.wait_and_claim(5).unclaimed
    assert [job.id for job in consumer.claim(5, unclaimed)] == [job_id]
    assert 0 < redis_client.pttl("queue:iris:outside") <= 60_000


@pytest.mark.parametrize("is_away", [False, True], ids=["at once", "later"])
async def test_popped_job_is_requeued_where_another_was_claimed(
    producer, consumer, redis_client, monkeypatch, is_away
):
    """Another worker popped that other one just now."""
    claimed_for_it = await producer.submit(Submission("iris", DATA))
    redis_client.rpop("queue:iris")
    redis_client.set("job:outside:data", DATA)
    redis_client.lpush("queue:iris", "outside")
    if is_away:
        monkeypatch.setattr(consumer.access.pipelined, "execute", unavailable)

    assert [job.id for job in consumer.wait_and_claim(5).jobs] == [claimed_for_it]
    monkeypatch.undo()
    assert [job.id for job in claim_next(consumer, 5)] == ["outside"]
    job = await producer.read("outside")
    assert (job.status, job.attempts) == (Status.PROCESSING, 1)
    assert redis_client.llen("queue:iris") == 0


def unavailable(*_, **__):
    raise RedisUnavailableError("It is away.")


async def test_job_that_waits_is_not_mistaken_for_the_popped_one(producer, consumer, redis_client):
    for job_id in ("x0", "x1"):
        redis_client.set(f"job:{job_id}:data", DATA)
        redis_client.lpush("queue:iris", job_id)
    ours = await producer.submit(Submission("iris", DATA))

    claimed = [claim_next(consumer, 1)[0].id for _ in range(3)]
    assert claimed == ["x0", "x1", ours]
    assert redis_client.llen("queue:iris") == 0


async def test_worker_that_waited_long_claims_one_job_and_leaves_the_others(producer, consumer, redis_client):
    """It may be gone: what it has claimed waits for its lease."""
    claimed = in_thread(lambda: consumer.wait_and_claim(5, timeout_seconds=LONG_SECONDS).jobs)
    wait_until(lambda: blocked(redis_client), what="the worker")
    await asyncio.sleep(0.1)  # twice as long as it counts as surely there
    ids = await producer.submit_batch([Submission("iris", DATA) for _ in range(5)])
    assert [job.id for job in claimed()] == ids[:1]
    assert [job.id for job in consumer.wait_and_claim(5).jobs] == ids[1:]


async def test_server_that_still_waits_for_a_worker_that_asks_anew_claims_nothing(
    producer, consumer, monkeypatch
):
    """Its connection is half open: the worker knows that it is lost, the server does not."""
    pipelined = consumer.access.pipelined
    pipelined.execute(("PING",))  # it is open
    receive, sent_on = pipelined.receive, []

    def receive_once(count, connection):
        if sent_on:
            raise RedisConnectionError("lost")
        sent_on.append(connection)
        return receive(count, connection)

    monkeypatch.setattr(pipelined, "receive", receive_once)
    assert consumer.wait_and_claim(5, timeout_seconds=LONG_SECONDS) == WaitResult([], [])
    job_id = await producer.submit(Submission("iris", DATA))
    popped, (model, ids, *_) = receive(2, *sent_on)
    assert (popped, model, ids) == ([b"queue:iris", job_id.encode()], b"", [])


async def test_what_a_lost_answer_brought_can_be_requeued(producer, consumer, monkeypatch):
    ids = [await producer.submit(Submission("iris", DATA)) for _ in range(3)]
    receive, call = consumer.access.pipelined.receive, consumer.access.call

    def receive_and_lose(count, sent_on):
        answers = receive(count, sent_on)
        if answers != [b"OK"]:
            consumer.access.pipelined.disconnect()
            raise RedisConnectionError("lost")
        return answers

    monkeypatch.setattr(consumer.access.pipelined, "setup_commands", [])
    monkeypatch.setattr(consumer.access.pipelined, "receive", receive_and_lose)
    monkeypatch.setattr(consumer.access, "call", unavailable)
    with pytest.raises(RedisUnavailableError):
        consumer.wait_and_claim(2)
    monkeypatch.setattr(consumer.access, "call", call)
    monkeypatch.setattr(consumer.access.pipelined, "receive", receive)
    consumer.requeue_in_doubt()

    jobs = await producer.read_many(ids)
    assert {(job.status, job.attempts) for job in jobs} == {(Status.PENDING, 0)}
    assert [job.id for job in consumer.claim(5)] == ids


async def test_popped_job_that_has_ended_is_not_requeued(producer, consumer, redis_client):
    job_id, waiting = [await producer.submit(Submission("iris", DATA)) for _ in range(2)]
    redis_client.rpop("queue:iris")
    await producer.cancel(job_id)
    consumer.requeue(consumer.claim(0, Popped(job_id, "iris", Priority.NORMAL, "t1")))
    assert redis_client.lrange("queue:iris", 0, -1) == [waiting.encode()]
    assert (await producer.read(waiting)).attempts == 0


async def test_nothing_is_guessed_while_ids_from_outside_wait(producer, consumer, redis_client):
    for number in range(1100):
        redis_client.set(f"job:x{number}:data", DATA)
        redis_client.lpush("queue:iris", f"x{number}")
    await producer.submit(Submission("iris", DATA))
    assert consumer.wait_and_claim(1).unclaimed.id == "x0"


async def test_where_it_cannot_tell_nothing_else_is_claimed(producer, consumer, redis_client):
    ids = [await producer.submit(Submission("iris", DATA)) for _ in range(4)]
    redis_client.rpop("queue:iris")
    unclaimed = consumer.wait_and_claim(5).unclaimed
    assert redis_client.zcard("queue:iris:leases") == 0
    assert [job.id for job in consumer.claim(5, unclaimed)] == ids[1:]


async def test_large_result_is_stored_though_memory_is_full(producer, consumer, redis_client):
    job_id = await producer.submit(Submission("iris", DATA))
    await producer.submit(Submission("iris", DATA))
    [job] = consumer.wait_and_claim(1).jobs
    redis_client.config_set("maxmemory", 1)
    try:
        verdicts, [following], _ = consumer.wait_and_claim(1, [Outcome(job, result=LARGE)])
    finally:
        redis_client.config_set("maxmemory", 0)
    assert verdicts == ["completed"]
    assert (await producer.read(job_id)).result == LARGE
    assert following.attempt == 1


@pytest.mark.parametrize("lost", [1, 2])
async def test_jobs_of_a_claim_whose_answer_was_lost_are_claimed_again(producer, consumer, monkeypatch, lost):
    """The answer to BRPOP is lost, or only the one to the claim behind it."""
    ids = [await producer.submit(Submission("iris", DATA)) for _ in range(3)]
    pipelined, received = consumer.access.pipelined, []
    receive = pipelined.receive

    def receive_and_lose(count, sent_on):
        answers = receive(count, sent_on)
        received.append(answers)
        if len(received) == lost + 2:  # before them come those to the scripts, and to what goes before
            pipelined.disconnect()
            raise RedisConnectionError("lost")
        return answers

    monkeypatch.setattr(pipelined, "receive", receive_and_lose)
    jobs = consumer.wait_and_claim(2).jobs

    assert len(received) == lost + 2
    assert [(job.id, job.attempt) for job in jobs] == [(job_id, 1) for job_id in ids[:2]]
    assert consumer.finish([Outcome(job, result=b"1") for job in jobs]) == ["completed"] * 2
    assert [job.id for job in claim_next(consumer, 2)] == ids[2:]


@pytest.mark.parametrize("result", [b"1", LARGE], ids=["short", "large"])
async def test_verdicts_are_not_lost_where_redis_goes_away_during_the_wait(
    producer, consumer, monkeypatch, result
):
    ids = [await producer.submit(Submission("iris", DATA)) for _ in range(2)]
    [job] = consumer.wait_and_claim(1).jobs
    receive, receives = consumer.access.pipelined.receive, []

    def receive_verdicts_only(count, sent_on):
        receives.append(receive(count, sent_on))
        if len(receives) == (1 if result == LARGE else 2):
            monkeypatch.setattr(consumer.access, "call", unavailable)
            consumer.access.pipelined.disconnect()
            raise RedisConnectionError("lost")
        return receives[-1]

    monkeypatch.setattr(consumer.access.pipelined, "receive", receive_verdicts_only)
    assert consumer.wait_and_claim(1, [Outcome(job, result=result)]) == WaitResult(["completed"], [])
    monkeypatch.undo()

    assert (await producer.read(ids[0])).status is Status.COMPLETED
    assert [job.id for job in consumer.wait_and_claim(1).jobs] == ids[1:]


@pytest.mark.parametrize("result", [b"1", LARGE], ids=["short", "large"])
async def test_outcomes_are_stored_before_the_wait(producer, consumer, redis_client, result):
    job_id = await producer.submit(Submission("iris", DATA))
    [job] = consumer.wait_and_claim(1).jobs

    noted = []
    outcomes = [Outcome(job, result=result)]
    waiting = in_thread(lambda: consumer.wait_and_claim(1, outcomes, LONG_SECONDS, noted.append))
    wait_until(lambda: blocked(redis_client), what="the wait")
    wait_until(lambda: noted, LONG_SECONDS / 2, "the verdicts, before the wait is over")
    done = await producer.read(job_id)
    following = await producer.submit(Submission("iris", DATA))

    assert (done.status, done.result) == (Status.COMPLETED, result)
    verdicts, jobs, _ = waiting()
    assert [verdicts] == noted == [["completed"]]
    assert [job.id for job in jobs] == [following]


async def test_outcomes_and_the_next_job_are_one_round_trip(producer, consumer, redis_client):
    await producer.submit(Submission("iris", DATA))
    [job] = consumer.wait_and_claim(1).jobs
    await producer.submit(Submission("iris", DATA))
    finish = [Outcome(job, result=b"1")]
    assert commands_of(redis_client, lambda: consumer.wait_and_claim(1, finish)) == [
        *("EVALSHA", "EVALSHA", "BRPOP", "EVALSHA"),
    ]


async def test_server_that_has_lost_the_scripts_loses_no_job(producer, consumer, redis_client):
    ids = [await producer.submit(Submission("iris", DATA)) for _ in range(4)]
    [job] = consumer.wait_and_claim(1).jobs
    redis_client.script_flush()
    assert {job.id for job in claim_next(consumer, 1) + claim_next(consumer, 1)} == set(ids[1:3])

    redis_client.script_flush()
    verdicts, _, unclaimed = consumer.wait_and_claim(1, [Outcome(job, result=b"1")])
    assert verdicts == ["completed"]
    assert [job.id for job in consumer.claim(1, unclaimed)] == ids[3:]


async def test_popped_job_is_not_lost_where_scripts_cannot_be_loaded_again(
    producer, consumer, redis_client, monkeypatch
):
    def lose():
        raise RedisConnectionError("lost")

    consumer.wait_and_claim(1, timeout_seconds=0.05)
    redis_client.script_flush()
    monkeypatch.setattr(consumer.access, "load_scripts", lose)
    job_id = await producer.submit(Submission("iris", DATA))

    assert consumer.wait_and_claim(5).unclaimed.id == job_id


async def test_replies_that_were_not_read_are_not_taken_for_later_ones(
    producer, consumer, redis_client, monkeypatch
):
    await producer.submit(Submission("iris", DATA))
    [job] = consumer.wait_and_claim(1).jobs
    redis_client.script_flush()
    monkeypatch.setattr(consumer.access, "call", unavailable)
    with pytest.raises(RedisUnavailableError):
        consumer.wait_and_claim(1, [Outcome(job, result=b"1")], timeout_seconds=0.05)
    monkeypatch.undo()
    consumer.access.load_scripts()
    consumer.requeue_in_doubt()

    stored = consumer.wait_and_claim(1, [Outcome(job, result=b"1")], timeout_seconds=0.05)
    assert stored.verdicts == ["completed"]
