import asyncio
from contextvars import ContextVar

import pytest

from inferq.queue.redis_client.shared_read import SharedRead

_ABOUT = ContextVar("about", default="nobody")


class Source:
    """Is read as often as it counts, and each time waits until it is released."""

    def __init__(self, error=None):
        self.count, self.error, self.released, self.about = 0, error, asyncio.Event(), None

    async def read(self):
        self.count += 1
        self.about = _ABOUT.get()
        await self.released.wait()
        if self.error:
            raise self.error
        return self.count


async def test_reads_at_the_same_time_are_one_and_a_later_one_is_another():
    source = Source()
    shared = SharedRead(source.read)
    waiting = [asyncio.create_task(shared.get()) for _ in range(3)]
    await asyncio.sleep(0)
    source.released.set()
    assert await asyncio.gather(*waiting) == [1, 1, 1]
    assert await shared.get() == 2


async def test_one_that_is_cancelled_leaves_the_read_to_the_others():
    source = Source()
    shared = SharedRead(source.read)
    first, other = (asyncio.create_task(shared.get()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    source.released.set()
    assert (first.cancelled(), await other, source.count) == (True, 1, 1)


async def test_failure_is_that_of_all_and_the_next_read_is_made_anew():
    source = Source(ValueError("away"))
    source.released.set()
    shared = SharedRead(source.read)
    results = await asyncio.gather(shared.get(), shared.get(), return_exceptions=True)
    assert [str(result) for result in results] == ["away", "away"]
    source.error = None
    assert await shared.get() == 2


async def test_read_is_not_about_the_request_that_began_it():
    source = Source()
    source.released.set()
    _ABOUT.set("a request")
    await SharedRead(source.read).get()
    assert source.about == "nobody"


async def test_read_that_nobody_waits_for_any_more_ends_all_the_same():
    source = Source()
    shared = SharedRead(source.read)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await shared.get()
    source.released.set()
    assert await shared.get() == 1
