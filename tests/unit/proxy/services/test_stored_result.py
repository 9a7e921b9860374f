import asyncio
import struct

import pytest

from inferq.errors import InvalidInputError
from inferq.proxy.services.stored_result import StoredResult


async def test_head_that_promises_more_than_is_stored_is_refused():
    stored = StoredResult.hold(b"\x93INFERQ\1" + struct.pack("<II", 100_000, 100_032) + b"{}")
    async with asyncio.timeout(30):  # it waits for nothing: a loop without end would hang the test
        with pytest.raises(InvalidInputError, match="has 18 bytes, but its head promises 100,032"):
            await stored.read_head()


async def test_what_is_asked_for_beyond_the_end_is_left_out():
    stored = StoredResult.hold(b"0123456789")
    assert await stored.read(8, 20) == b"89"
    assert await stored.read(10, 20) == await stored.read(15, 20) == b""
