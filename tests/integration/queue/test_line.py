import asyncio

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from inferq.queue.line import AsyncLine, Line
from tests.servers import wait_until

DATA = b"[[5.1,3.5,1.4,0.2]]"


@pytest.fixture
def line(redis_client):
    line = Line(redis_client)
    yield line
    line.hang_up()


def kill_others(redis_client):
    redis_client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def ping(line):
    line.send([("PING",)])
    assert line.receive(1) == [b"PONG"]


def test_answers_come_in_the_order_of_the_commands(line):
    line.send([("SET", "a", 1), ("GET", "a"), ("LPUSH", "b", b"\x00\xff", "ä")])
    assert line.receive(3) == [b"OK", b"1", 2]


def test_after_a_failed_command_no_answer_is_left_for_the_next(line):
    line.send([("LPUSH", "a", 1), ("GET", "a"), ("PING",)])
    with pytest.raises(ResponseError):
        line.receive(3)
    line.send([("GET", "nothing")])
    assert line.receive(1) == [None]


def test_line_that_was_cut_fails_once(line, redis_client):
    ping(line)
    kill_others(redis_client)
    with pytest.raises(RedisConnectionError):
        ping(line)
    ping(line)


async def test_answer_to_a_question_that_was_given_up_is_not_taken_for_the_next(producer, redis_client):
    line = AsyncLine(producer.link.redis)
    given_up = asyncio.create_task(line.ask(("BLPOP", "nothing", 30)))
    await asyncio.to_thread(
        wait_until, lambda: redis_client.info("clients")["blocked_clients"], what="the question"
    )
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    assert await line.ask(("PING",)) == b"PONG"


async def test_jobs_are_stored_once_and_read_when_connections_are_cut_all_the_time(producer, redis_client):
    ids = []
    for _ in range(20):
        kill_others(redis_client)
        ids.append(await producer.submit("iris", DATA))
        kill_others(redis_client)
        assert (await producer.read(ids[-1])).id == ids[-1]
    assert redis_client.lrange("queue:iris", 0, -1) == [job_id.encode() for job_id in reversed(ids)]
