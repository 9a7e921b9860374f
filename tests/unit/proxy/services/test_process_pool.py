"""Functions that run in processes of their own."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest

from inferq.errors import InvalidJsonError, OverloadedError
from inferq.proxy.http.bodies.predict_body import parse_object
from inferq.proxy.services.process_pool import ProcessPool
from tests.servers import wait_until

SLOW = b'{"data": [' + b"[[[[1]]]]," * 600_000 + b"1]}"


@pytest.fixture
async def pool():
    pool = ProcessPool(wait_seconds=30)
    yield pool
    pool.close()


async def test_function_is_called_elsewhere_and_its_outcome_comes_back(pool):
    assert await pool.call(os.getpid) != os.getpid()
    assert await pool.call(parse_object, b'{"a": 1}', "") == {"a": 1}
    with pytest.raises(InvalidJsonError, match="must be a JSON object"):
        await pool.call(parse_object, b"[]", "Like this")
    with pytest.raises(RuntimeError, match="TypeError"):
        await pool.call(parse_object)


async def test_event_loop_serves_others_meanwhile(pool):
    await pool.call(os.getpid)
    call = asyncio.create_task(pool.call(parse_object, SLOW, ""))
    steps = 0
    while not call.done():
        await asyncio.sleep(0.001)
        steps += 1
    assert steps > 20  # a thread would hold the lock of the interpreter for nearly all of the time


async def test_call_that_finds_all_processes_busy_for_long_is_refused():
    pool = ProcessPool(wait_seconds=0.05)
    busy = [asyncio.create_task(pool.call(time.sleep, 300)) for _ in range(4)]
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError, match="Try again later"):
        await pool.call(os.getpid)
    for call in busy:
        call.cancel()
    await asyncio.gather(*busy, return_exceptions=True)
    async with asyncio.timeout(30):
        while True:
            with suppress(OverloadedError):
                assert await pool.call(os.getpid)
                break
    pool.close()


async def test_process_that_is_killed_while_it_rests_costs_no_call(pool):
    os.kill(await pool.call(os.getpid), signal.SIGKILL)
    wait_until(lambda: pool._idle[0].poll() is not None, what="its end")
    assert await pool.call(os.getpid)


async def test_refused_body_is_not_kept(pool):
    gc.disable()  # a cycle would be kept until it looks
    try:
        tracemalloc.start()
        for _ in range(5):
            with pytest.raises(InvalidJsonError):
                await pool.call(parse_object, b"x" * 4_000_000, "")
        assert tracemalloc.get_traced_memory()[0] < 9_000_000  # one may be still in use
    finally:
        tracemalloc.stop()
        gc.enable()


async def test_process_that_is_killed_costs_its_own_call_only(pool):
    number = await pool.call(os.getpid)
    with pytest.raises(OverloadedError, match="was ended"):
        await pool.call(os.kill, number, signal.SIGKILL)
    assert await pool.call(os.getpid) != number


async def test_call_that_nobody_waits_for_any_more_is_nobody_elses_answer(pool):
    abandoned = asyncio.create_task(pool.call(time.sleep, 300))
    await asyncio.sleep(0.05)
    abandoned.cancel()
    with pytest.raises(asyncio.CancelledError):
        await abandoned
    assert await pool.call(parse_object, b"{}", "") == {}


async def test_processes_end_with_the_pool(pool):
    number = await pool.call(os.getpid)
    pool.close()
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


def test_processes_end_when_the_proxy_is_killed():
    """Nothing tells them but that their standard input ends."""
    code = (
        "import asyncio, os, time; from inferq.proxy.services.process_pool import ProcessPool; "
        "print(asyncio.run(ProcessPool().call(os.getpid)), flush=True); time.sleep(60)"
    )
    with_pool = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    number = int(with_pool.stdout.readline())
    with_pool.kill()
    with_pool.communicate()

    def is_gone():
        try:
            return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except FileNotFoundError:
            return True

    wait_until(is_gone, what="the process's end")
