import asyncio
import threading

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from inferq.errors import RedisUnavailableError
from inferq.jobs import Priority
from inferq.queue.consumer.claim import Popped, new_token
from inferq.queue.producer.submission import Submission
from inferq.queue.redis_client.pipelined import AsyncPipelinedConnection, PipelinedConnection, pack
from tests.servers import wait_until

DATA = b"[[5.1,3.5,1.4,0.2]]"


@pytest.fixture
def line(redis_client):
    line = PipelinedConnection(redis_client)
    yield line
    line.disconnect()


def kill_others(redis_client):
    redis_client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def ping(line):
    assert line.execute(("PING",)) == [b"PONG"]


def test_answers_come_in_the_order_of_the_commands(line):
    assert line.execute(("SET", "a", 1), ("GET", "a"), ("LPUSH", "b", b"\x00\xff", "ä")) == [b"OK", b"1", 2]


def test_after_a_failed_command_no_answer_is_left_for_the_next(line):
    with pytest.raises(ResponseError):
        line.execute(("LPUSH", "a", 1), ("GET", "a"), ("PING",))
    assert line.execute(("GET", "nothing")) == [None]


def test_answers_are_received_by_another_thread_than_the_one_that_sends(line, redis_client):
    sent_on = line.send(pack([("BLPOP", "late", 20)]))
    answers = []
    reading = threading.Thread(target=lambda: answers.extend(line.receive(1, sent_on)))
    reading.start()
    assert not line.has_reply(sent_on)
    assert line.send(pack([("PING",)])) is sent_on
    redis_client.lpush("late", "a")
    reading.join()
    assert answers == [[b"late", b"a"]]
    assert line.receive(1, sent_on) == [b"PONG"]


def test_answer_on_a_connection_that_was_lost_is_not_looked_for_on_the_next(line):
    first = line.send(pack([("GET", "a")]))
    line.disconnect()
    assert line.has_reply(first)
    ping(line)
    with pytest.raises(RedisConnectionError):
        line.receive(1, first)
    ping(line)


def test_nobody_hangs_up_while_another_thread_sends(line, redis_client):
    ping(line)
    connection, is_sending, may_go_on = line._connection, threading.Event(), threading.Event()
    send = connection.send_packed_command

    def slow_send(packed):
        is_sending.set()
        may_go_on.wait()
        send(packed)

    connection.send_packed_command = slow_send
    sent_on = []
    sending = threading.Thread(target=lambda: sent_on.append(line.send(pack([("PING",)]))))
    sending.start()
    is_sending.wait()
    hanging_up = threading.Thread(target=line.disconnect)
    hanging_up.start()
    hanging_up.join(0.1)
    assert hanging_up.is_alive()
    may_go_on.set()
    sending.join()
    hanging_up.join()
    assert sent_on == [connection]
    with pytest.raises(RedisConnectionError):
        line.receive(1, connection)
    ping(line)


def test_line_that_was_cut_fails_once(line, redis_client):
    ping(line)
    kill_others(redis_client)
    with pytest.raises(RedisConnectionError):
        ping(line)
    ping(line)


async def test_answer_to_a_question_that_was_given_up_is_not_taken_for_the_next(producer, redis_client):
    line = AsyncPipelinedConnection(producer.redis.client)
    given_up = asyncio.create_task(line.execute(("BLPOP", "nothing", 30)))
    await asyncio.to_thread(
        wait_until, lambda: redis_client.info("clients")["blocked_clients"], what="the question"
    )
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    assert await line.execute(("PING",)) == b"PONG"


async def test_jobs_are_stored_once_and_read_when_connections_are_cut_all_the_time(producer, redis_client):
    ids = []
    for _ in range(20):
        kill_others(redis_client)
        ids.append(await producer.submit(Submission("iris", DATA)))
        kill_others(redis_client)
        assert (await producer.read(ids[-1])).id == ids[-1]
    assert redis_client.lrange("queue:iris", 0, -1) == [job_id.encode() for job_id in reversed(ids)]


async def test_job_that_could_not_be_put_in_line_is_not_accepted(producer, redis_client):
    await producer.submit(Submission("iris", DATA))
    redis_client.execute_command("ACL", "SETUSER", "default", "-lpush")
    try:
        for _ in range(2):
            with pytest.raises(RedisUnavailableError):
                await producer.submit(Submission("iris", DATA))
    finally:
        redis_client.execute_command("ACL", "SETUSER", "default", "+@all")
    assert redis_client.llen("queue:iris") == 1


def test_claim_that_fails_is_not_repeated(consumer, redis_client):
    for job_id in ("a", "b", "c"):
        redis_client.set(f"job:{job_id}:data", DATA)
        redis_client.lpush("queue:iris", job_id)
    redis_client.rpop("queue:iris")
    popped = Popped("a", "iris", Priority.NORMAL, new_token())
    redis_client.set("queue:iris:leases", "no sorted set")
    with pytest.raises(RedisUnavailableError):
        consumer.claim(1, popped)
    assert redis_client.llen("queue:iris") == 2


def test_worker_whose_idle_connection_was_cut_waits_on(consumer, redis_client):
    assert consumer.wait_and_claim(1, timeout_seconds=0.05).jobs == []
    kill_others(redis_client)
    assert consumer.wait_and_claim(1, timeout_seconds=0.05).jobs == []


async def test_lines_leave_a_primary_that_sentinel_has_replaced(line, producer, redis_client, monkeypatch):
    def connection_id():
        return line.execute(("CLIENT", "ID"))

    asking = AsyncPipelinedConnection(producer.redis.client)
    first = connection_id(), await asking.execute(("CLIENT", "ID"))
    assert (connection_id(), await asking.execute(("CLIENT", "ID"))) == first
    for client in (redis_client, producer.redis.client):
        monkeypatch.setattr(client.connection_pool, "master_address", ("replaced", 6379), raising=False)
    second = connection_id(), await asking.execute(("CLIENT", "ID"))
    assert second[0] != first[0]
    assert second[1] != first[1]
