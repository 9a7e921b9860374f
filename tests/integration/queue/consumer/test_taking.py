"""A worker that blocks for a job, and claims it behind the BRPOP without knowing which it is."""

import asyncio
import threading

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from inferq.errors import ModelError, RedisUnavailableError
from inferq.jobs import Outcome, Priority, Status
from inferq.queue.consumer.consumer import Consumer, Popped
from inferq.queue.producer.submission import Submission
from inferq.queue.redis_client.pipelined import PipelinedConnection
from tests.integration.queue.consumer.taking import take
from tests.servers import wait_until

DATA = b"[[5.1,3.5,1.4,0.2]]"
LARGE = b'"' + b"x" * 20_000 + b'"'


def blocked(redis_client):
    return redis_client.info("clients")["blocked_clients"]


def in_thread(call):
    """Runs it in a thread; what is returned waits for its answer."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(call()))
    thread.start()

    def answer():
        thread.join()
        return answers[0]

    return answer


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
    ids = [await producer.submit("iris", DATA) for _ in range(4)]

    taken = consumer.take(3)

    assert [(job.id, job.data, job.attempt) for job in taken] == [(job_id, DATA, 1) for job_id in ids[:3]]
    assert [job.id for job in consumer.take(3)] == ids[3:]


async def test_worker_that_waits_gets_its_job_in_one_round_trip(producer, consumer, redis_client):
    for _ in range(2):
        taken = in_thread(lambda: consumer.take(5))
        wait_until(lambda: blocked(redis_client), what="the worker")
        job_id = await producer.submit("iris", DATA)
        assert [job.id for job in taken()] == [job_id]
    await producer.submit("iris", DATA)
    assert commands_of(redis_client, lambda: consumer.take(5)) == ["EVALSHA", "BRPOP", "EVALSHA"]


@pytest.mark.parametrize("priority", Priority)
async def test_it_is_found_in_whatever_list_it_was(settings, producer, priority):
    consumer = Consumer(settings, "worker-1", ["iris", "other"])
    job_id = await producer.submit("other", DATA, priority)
    [job] = consumer.take(5)
    assert (job.id, job.model) == (job_id, "other")
    consumer.close()


async def test_beside_others_that_run_or_wait_for_a_retry(producer, consumer):
    first, second, third = [await producer.submit("iris", DATA) for _ in range(3)]
    [job] = consumer.take(1)
    assert [job.id for job in consumer.take(1)] == [second]
    assert consumer.finish([Outcome(job, error=ModelError("It broke."))]) == ["retrying"]
    assert [job.id for job in consumer.take(1)] == [third]
    assert job.id == first


async def test_of_two_that_are_in_no_list_the_popped_one_is_claimed_by_its_id(
    producer, consumer, redis_client
):
    ids = [await producer.submit("iris", DATA) for _ in range(2)]
    redis_client.rpop("queue:iris")

    popped = consumer.take(5)

    assert isinstance(popped, Popped)
    assert popped.id == ids[1]
    assert [job.id for job in consumer.claim(5, popped)] == [ids[1]]
    assert (await producer.read(ids[0])).attempts == 0


async def test_what_an_outside_worker_has_popped_stays_its_own(producer, consumer, redis_client):
    job_id = await producer.submit("iris", DATA)
    redis_client.rpop("queue:iris")
    assert consumer.take(5, timeout_seconds=0.05) == []
    assert (await producer.read(job_id)).status is Status.PENDING


async def test_what_an_outside_worker_runs_stays_its_own(producer, consumer, redis_client):
    job_id = await producer.submit("iris", DATA)
    redis_client.rpop("queue:iris")
    redis_client.set(f"job:{job_id}:status", "processing")
    for _ in range(2):
        redis_client.set("job:outside:data", DATA)
        redis_client.lpush("queue:iris", "outside")
        [job] = take(consumer, 5)
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
    job_id = await producer.submit("iris", DATA)

    popped = consumer.take(5)
    assert isinstance(popped, Popped)
    assert [job.id for job in consumer.claim(5, popped)] == [job_id]
    assert 0 < redis_client.pttl("queue:iris:outside") <= 60_000


@pytest.mark.parametrize("is_away", [False, True], ids=["at once", "later"])
async def test_popped_job_is_put_in_line_again_where_another_was_claimed(
    producer, consumer, redis_client, monkeypatch, is_away
):
    """That other one was popped by somebody else just now."""
    taken_for_it = await producer.submit("iris", DATA)
    redis_client.rpop("queue:iris")
    redis_client.set("job:outside:data", DATA)
    redis_client.lpush("queue:iris", "outside")
    if is_away:
        monkeypatch.setattr(consumer, "_put_back", unavailable)

    assert [job.id for job in consumer.take(5)] == [taken_for_it]
    monkeypatch.undo()
    assert [job.id for job in take(consumer, 5)] == ["outside"]
    job = await producer.read("outside")
    assert (job.status, job.attempts) == (Status.PROCESSING, 1)
    assert redis_client.llen("queue:iris") == 0


def unavailable(*_, **__):
    raise RedisUnavailableError("It is away.")


async def test_job_that_waits_is_not_taken_for_the_popped_one(producer, consumer, redis_client):
    for job_id in ("x0", "x1"):
        redis_client.set(f"job:{job_id}:data", DATA)
        redis_client.lpush("queue:iris", job_id)
    ours = await producer.submit("iris", DATA)

    taken = [take(consumer, 1)[0].id for _ in range(3)]
    assert taken == ["x0", "x1", ours]
    assert redis_client.llen("queue:iris") == 0


async def test_worker_that_waited_long_takes_one_job_and_leaves_the_others(producer, consumer, redis_client):
    """It may be gone: what it has taken waits for its lease."""
    taken = in_thread(lambda: consumer.take(5))
    wait_until(lambda: blocked(redis_client), what="the worker")
    await asyncio.sleep(0.1)  # twice as long as it counts as surely there
    ids = await producer.submit_all([Submission("iris", DATA) for _ in range(5)])
    assert [job.id for job in taken()] == ids[:1]
    assert [job.id for job in consumer.take(5)] == ids[1:]


async def test_server_that_still_waits_for_a_worker_that_asks_anew_claims_nothing(producer, consumer):
    """Its connection is half open: the worker knows that it is lost, the server does not."""
    sent_on = consumer._send_take(None, 5, "t1", 1.0)
    consumer._line.receive(1, sent_on)
    line, consumer._line = consumer._line, PipelinedConnection(consumer._redis, consumer._line.prelude)

    assert consumer.take(5, timeout_seconds=0.05) == []
    job_id = await producer.submit("iris", DATA)
    assert line.receive(2, sent_on) == [[b"queue:iris", job_id.encode()], [b"", [], [], [], b""]]
    line.hang_up()


async def test_what_a_lost_answer_brought_can_be_given_back(producer, consumer, monkeypatch):
    ids = [await producer.submit("iris", DATA) for _ in range(3)]
    receive, claim = consumer._line.receive, consumer.claim

    def receive_and_lose(count, sent_on):
        answers = receive(count, sent_on)
        if answers != [b"OK"]:
            consumer._line.hang_up()
            raise RedisConnectionError("lost")
        return answers

    monkeypatch.setattr(consumer._line, "prelude", [])
    monkeypatch.setattr(consumer._line, "receive", receive_and_lose)
    monkeypatch.setattr(consumer, "claim", unavailable)
    with pytest.raises(RedisUnavailableError):
        consumer.take(2)
    monkeypatch.setattr(consumer, "claim", claim)
    monkeypatch.setattr(consumer._line, "receive", receive)
    consumer.give_back_unanswered()

    jobs = await producer.read_many(ids)
    assert {(job.status, job.attempts) for job in jobs} == {(Status.PENDING, 0)}
    assert [job.id for job in consumer.claim(5)] == ids


async def test_popped_job_that_has_ended_is_not_put_in_line_again(producer, consumer, redis_client):
    job_id, waiting = [await producer.submit("iris", DATA) for _ in range(2)]
    redis_client.rpop("queue:iris")
    await producer.cancel(job_id)
    consumer._put_back(Popped(job_id, "iris", Priority.NORMAL, "t1"))
    assert redis_client.lrange("queue:iris", 0, -1) == [waiting.encode()]
    assert (await producer.read(waiting)).attempts == 0


async def test_nothing_is_guessed_while_ids_from_outside_wait(producer, consumer, redis_client):
    for number in range(1100):
        redis_client.set(f"job:x{number}:data", DATA)
        redis_client.lpush("queue:iris", f"x{number}")
    await producer.submit("iris", DATA)
    popped = consumer.take(1)
    assert isinstance(popped, Popped)
    assert popped.id == "x0"


async def test_where_it_cannot_tell_nothing_else_is_claimed(producer, consumer, redis_client):
    ids = [await producer.submit("iris", DATA) for _ in range(4)]
    redis_client.rpop("queue:iris")
    popped = consumer.take(5)
    assert isinstance(popped, Popped)
    assert redis_client.zcard("queue:iris:leases") == 0
    assert [job.id for job in consumer.claim(5, popped)] == ids[1:]


async def test_large_result_is_stored_though_memory_is_full(producer, consumer, redis_client):
    job_id = await producer.submit("iris", DATA)
    await producer.submit("iris", DATA)
    [job] = consumer.take(1)
    redis_client.config_set("maxmemory", 1)
    try:
        noted = []
        [following] = consumer.take(1, [Outcome(job, result=LARGE)], noted.append)
    finally:
        redis_client.config_set("maxmemory", 0)
    assert noted == [["completed"]]
    assert (await producer.read(job_id)).result == LARGE
    assert following.attempt == 1


@pytest.mark.parametrize("lost", [1, 2])
async def test_jobs_of_a_take_whose_answer_was_lost_are_taken_again(producer, consumer, monkeypatch, lost):
    """The answer to BRPOP is lost, or only the one to the claim behind it."""
    ids = [await producer.submit("iris", DATA) for _ in range(3)]
    line, receive, received = consumer._line, consumer._line.receive, []

    def receive_and_lose(count, sent_on):
        answers = receive(count, sent_on)
        received.append(answers)
        if len(received) == lost + 2:  # before them come those to the scripts, and to what goes before
            line.hang_up()
            raise RedisConnectionError("lost")
        return answers

    monkeypatch.setattr(line, "receive", receive_and_lose)
    jobs = consumer.take(2)

    assert len(received) == lost + 2
    assert [(job.id, job.attempt) for job in jobs] == [(job_id, 1) for job_id in ids[:2]]
    assert consumer.finish([Outcome(job, result=b"1") for job in jobs]) == ["completed"] * 2
    assert [job.id for job in take(consumer, 2)] == ids[2:]


@pytest.mark.parametrize("result", [b"1", LARGE], ids=["short", "large"])
async def test_outcomes_are_stored_before_the_wait(producer, consumer, redis_client, result):
    job_id = await producer.submit("iris", DATA)
    [job] = consumer.take(1)
    noted = []

    taken = in_thread(lambda: consumer.take(1, [Outcome(job, result=result)], noted.append))
    wait_until(lambda: noted, what="the verdict")
    wait_until(lambda: blocked(redis_client), what="the wait")
    done = await producer.read(job_id)
    following = await producer.submit("iris", DATA)

    assert noted == [["completed"]]
    assert (done.status, done.result) == (Status.COMPLETED, result)
    assert [job.id for job in taken()] == [following]


async def test_outcomes_and_the_next_job_are_one_round_trip(producer, consumer, redis_client):
    await producer.submit("iris", DATA)
    [job] = consumer.take(1)
    await producer.submit("iris", DATA)
    finish = [Outcome(job, result=b"1")]
    assert commands_of(redis_client, lambda: consumer.take(1, finish)) == [
        *("EVALSHA", "EVALSHA", "BRPOP", "EVALSHA"),
    ]


async def test_server_that_has_lost_the_scripts_loses_no_job(producer, consumer, redis_client):
    ids = [await producer.submit("iris", DATA) for _ in range(4)]
    [job] = consumer.take(1)
    redis_client.script_flush()
    assert {job.id for job in take(consumer, 1) + take(consumer, 1)} == set(ids[1:3])

    redis_client.script_flush()
    noted = []
    popped = consumer.take(1, [Outcome(job, result=b"1")], noted.append)
    assert noted == [["completed"]]
    assert [job.id for job in consumer.claim(1, popped)] == ids[3:]
