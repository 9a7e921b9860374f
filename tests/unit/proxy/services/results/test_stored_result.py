import asyncio
import gc
import struct

import pytest

from inferq.errors import InvalidInputError, JobNotFoundError
from inferq.proxy.services.results.stored_result import StoredResult


async def test_head_that_promises_more_than_is_stored_is_refused():
    stored = StoredResult.hold(b"\x93INFERQ\1" + struct.pack("<II", 100_000, 100_032) + b"{}")
    async with asyncio.timeout(30):  # it waits for nothing: a loop without end would hang the test
        with pytest.raises(InvalidInputError, match="has 18 bytes, but its head promises 100,032"):
            await stored.read_head()


async def test_what_is_asked_for_beyond_the_end_is_left_out():
    stored = StoredResult.hold(b"0123456789")
    assert await stored.read(8, 20) == b"89"
    assert await stored.read(10, 20) == await stored.read(15, 20) == b""


async def test_next_part_is_read_while_one_is_sent_and_no_more():
    asked = []

    async def read_part(start):
        asked.append(start)
        await asyncio.sleep(0)
        return b"1234"

    parts = StoredResult(12, read_part).read_parts()
    assert await anext(parts) == b"1234"
    assert await anext(parts) == b"1234"
    await asyncio.sleep(0.01)
    assert asked == [0, 4, 8]
    await parts.aclose()


async def test_error_of_a_part_that_nobody_waits_for_is_not_reported():
    reported = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))

    async def read_part(start):
        if start == 8:
            raise JobNotFoundError("It has gone.")
        return b"1234"

    parts = StoredResult(12, read_part).read_parts()
    assert [await anext(parts), await anext(parts)] == [b"1234", b"1234"]
    await asyncio.sleep(0.01)
    await parts.aclose()
    del parts
    await asyncio.sleep(0)
    gc.collect()
    assert reported == []
    with pytest.raises(JobNotFoundError):
        await StoredResult(12, read_part).read()
