"""Every way to run a script, on a server that does not know it, or has forgotten it."""

import hashlib
import secrets

import pytest
from redis.exceptions import ResponseError

from inferq.queue.redis_client.connection import close_async, connect_async
from inferq.queue.redis_client.script_calls import AsyncScriptRunner, ScriptCall, ScriptRunner
from inferq.queue.redis_client.scripts import Script


def new_script(text):
    source = f"{text} -- {secrets.token_hex(8)}"  # no server has seen it
    return Script("test", source, hashlib.sha1(source.encode()).hexdigest())


def append(value):
    """Appends the prefix and a value to the list."""
    return ScriptCall(new_script("return redis.call('RPUSH', KEYS[1], unpack(ARGV))"), ["list"], [value])


def fail():
    return ScriptCall(new_script("return redis.error_reply('ERR odd')"), ["list"], [])


@pytest.fixture
def runner(redis_client):
    return ScriptRunner(redis_client, "prefix:")


@pytest.fixture
async def async_runner(settings):
    client = connect_async(settings)
    yield AsyncScriptRunner(client, "prefix:")
    await close_async(client)


def stored(redis_client):
    return redis_client.lrange("list", 0, -1)


def test_script_runs_once_whether_the_server_knows_it_or_not(runner, redis_client):
    call = append("a")
    assert [runner.run(call), runner.run(call)] == [2, 4]
    redis_client.script_flush()
    assert runner.run(call) == 6
    assert stored(redis_client) == [b"prefix:", b"a"] * 3


def test_scripts_of_one_round_trip_come_back_together(runner, redis_client):
    known, unknown = append("a"), fail()._replace(script=new_script("return ARGV[1]"))
    runner.run(known)
    redis_client.delete("list")
    before = [("SET", "x", 1), ("SET", "y", 2)]
    assert runner.run_together([unknown], before) == [b"prefix:"]
    redis_client.script_flush()
    assert runner.run_together([known, unknown], before) == [2, b"prefix:"]
    assert redis_client.mget("x", "y") == [b"1", b"2"]


def test_errors_of_a_script_are_not_taken_for_a_script_that_is_missing(runner):
    with pytest.raises(ResponseError, match="odd"):
        runner.run(fail())
    with pytest.raises(ResponseError, match="odd"):
        runner.run_together([append("a"), fail()])


async def test_script_of_a_coroutine_runs_once_whether_the_server_knows_it_or_not(async_runner, redis_client):
    call = append("a")
    assert [await async_runner.run(call), await async_runner.run(call)] == [2, 4]
    redis_client.script_flush()
    assert await async_runner.run(call) == 6


async def test_transaction_stores_once_whether_the_server_knows_the_script_or_not(async_runner, redis_client):
    call = append("a")
    for count in (2, 4):
        answer = await async_runner.run_in_transaction(call, [("SET", "x", count)], [("GET", "x"), ("ODD",)])
        assert (answer[0], answer[1][0]) == (count, str(count).encode())
        assert isinstance(answer[1][1], ResponseError)
        redis_client.script_flush()
    assert stored(redis_client) == [b"prefix:", b"a"] * 2


async def test_refused_command_of_a_transaction_is_told_and_undoes_it(async_runner, redis_client):
    with pytest.raises(ResponseError, match="odd"):
        await async_runner.run_in_transaction(fail())
    with pytest.raises(ResponseError, match="unknown command"):
        await async_runner.run_in_transaction(append("a"), [("NO-SUCH-COMMAND",)])
    assert stored(redis_client) == []
