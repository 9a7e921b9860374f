import asyncio
import threading

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from inferq.errors import RedisUnavailableError
from inferq.jobs import Priority
from inferq.queue.consumer.claims.claim import Popped, new_token
from inferq.queue.producer.submission import Submission
from inferq.queue.redis_client.pipelined import AsyncPipelinedConnection, PipelinedConnection, pack
from tests.servers import wait_until

DATA = b"[[5.1,3.5,1.4,0.2]]"


@pytest.fixture
def pipelined(redis_client):
    pipelined = PipelinedConnection(redis_client)
    yield pipelined
    pipelined.disconnect()


def kill_others(redis_client):
    redis_client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def ping(pipelined):
    assert pipelined.execute(("PING",)) == [b"PONG"]


def test_answers_come_in_the_order_of_the_commands(pipelined):
    assert pipelined.execute(("SET", "a", 1), ("GET", "a"), ("LPUSH", "b", b"\x00\xff", "ä")) == [
        b"OK",
        b"1",
        2,
    ]


def test_after_a_failed_command_no_answer_is_left_for_the_next(pipelined):
    with pytest.raises(ResponseError):
        pipelined.execute(("LPUSH", "a", 1), ("GET", "a"), ("PING",))
    assert pipelined.execute(("GET", "nothing")) == [None]


def test_answers_are_received_by_another_thread_than_the_one_that_sends(pipelined, redis_client):
    sent_on = pipelined.send(pack([("BLPOP", "late", 0)]))
    answers = []
    reading = threading.Thread(target=lambda: answers.extend(pipelined.receive(1, sent_on)))
    reading.start()
    assert not pipelined.has_reply(sent_on)
    assert pipelined.send(pack([("PING",)])) is sent_on
    redis_client.lpush("late", "a")
    reading.join()
    assert answers == [[b"late", b"a"]]
    assert pipelined.receive(1, sent_on) == [b"PONG"]


def test_reply_on_a_connection_that_was_lost_is_not_expected_on_the_next(pipelined):
    first = pipelined.send(pack([("GET", "a")]))
    pipelined.disconnect()
    assert pipelined.has_reply(first)
    ping(pipelined)
    with pytest.raises(RedisConnectionError):
        pipelined.receive(1, first)
    ping(pipelined)


def test_no_thread_disconnects_while_another_sends(pipelined, redis_client):
    ping(pipelined)
    connection, is_sending, may_go_on = pipelined._connection, threading.Event(), threading.Event()
    send = connection.send_packed_command

    def slow_send(packed):
        is_sending.set()
        may_go_on.wait()
        send(packed)

    connection.send_packed_command = slow_send
    sent_on = []
    sending = threading.Thread(target=lambda: sent_on.append(pipelined.send(pack([("PING",)]))))
    sending.start()
    is_sending.wait()
    disconnecting = threading.Thread(target=pipelined.disconnect)
    disconnecting.start()
    disconnecting.join(0.1)
    assert disconnecting.is_alive()
    may_go_on.set()
    sending.join()
    disconnecting.join()
    assert sent_on == [connection]
    with pytest.raises(RedisConnectionError):
        pipelined.receive(1, connection)
    ping(pipelined)


def test_connection_that_was_cut_fails_once(pipelined, redis_client):
    ping(pipelined)
    kill_others(redis_client)
    with pytest.raises(RedisConnectionError):
        ping(pipelined)
    ping(pipelined)


async def test_reply_to_a_command_that_was_given_up_is_not_taken_for_the_next(producer, redis_client):
    pipelined = AsyncPipelinedConnection(producer.redis.client)
    given_up = asyncio.create_task(pipelined.execute(("BLPOP", "nothing", 30)))
    await asyncio.to_thread(
        wait_until, lambda: redis_client.info("clients")["blocked_clients"], what="the command"
    )
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    assert await pipelined.execute(("PING",)) == b"PONG"


async def test_jobs_are_stored_once_and_read_when_connections_are_cut_all_the_time(producer, redis_client):
    ids = []
    for _ in range(20):
        kill_others(redis_client)
        ids.append(await producer.submit(Submission("iris", DATA)))
        kill_others(redis_client)
        assert (await producer.read(ids[-1])).id == ids[-1]
    assert redis_client.lrange("queue:iris", 0, -1) == [job_id.encode() for job_id in reversed(ids)]


async def test_job_that_could_not_be_queued_is_not_accepted(producer, redis_client):
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


async def test_connections_leave_a_primary_that_sentinel_has_replaced(
    pipelined, producer, redis_client, monkeypatch
):
    def connection_id():
        return pipelined.execute(("CLIENT", "ID"))

    other = AsyncPipelinedConnection(producer.redis.client)
    first = connection_id(), await other.execute(("CLIENT", "ID"))
    assert (connection_id(), await other.execute(("CLIENT", "ID"))) == first
    for client in (redis_client, producer.redis.client):
        monkeypatch.setattr(client.connection_pool, "master_address", ("replaced", 6379), raising=False)
    second = connection_id(), await other.execute(("CLIENT", "ID"))
    assert second[0] != first[0]
    assert second[1] != first[1]
