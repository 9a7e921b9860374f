import asyncio

import pytest

from inferq.queue.redis_client.group_commit import MOST_CALLS, GroupCommit


class Wire:
    """Notes what was sent; answers each call with itself when it is let through."""

    def __init__(self):
        self.sent = []
        self.open = asyncio.Event()
        self.open.set()
        self.error = None

    async def send(self, calls, _since):
        self.sent.append(list(calls))
        await self.open.wait()
        if self.error:
            raise self.error
        return calls


async def test_call_that_is_alone_leaves_at_once():
    wire = Wire()
    group = GroupCommit(wire.send)
    assert [await group.call(number) for number in range(3)] == [0, 1, 2]
    assert wire.sent == [[0], [1], [2]]


async def test_calls_made_while_one_is_on_its_way_leave_together():
    wire = Wire()
    group = GroupCommit(wire.send)
    wire.open.clear()
    calls = [asyncio.create_task(group.call(0))]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    calls += [asyncio.create_task(group.call(number)) for number in range(1, 6)]
    await asyncio.sleep(0)
    wire.open.set()
    assert await asyncio.gather(*calls) == [0, 1, 2, 3, 4, 5]
    assert wire.sent == [[0], [1, 2, 3, 4, 5]]


async def test_group_is_told_since_when_its_first_call_waits():
    told = []

    async def send(calls, since):
        told.append(since)
        await wire.open.wait()
        return calls

    wire, group = Wire(), GroupCommit(send)
    wire.open.clear()
    first = asyncio.create_task(group.call(1))
    while not told:
        await asyncio.sleep(0)
    clock = asyncio.get_running_loop().time
    before = clock()
    others = [asyncio.create_task(group.call(number)) for number in (2, 3)]
    await asyncio.sleep(0)
    after = clock()
    wire.open.set()
    await asyncio.gather(first, *others)
    assert told[0] <= before <= told[1] <= after


async def test_groups_are_bounded():
    wire = Wire()
    group = GroupCommit(wire.send)
    count = 2 * MOST_CALLS + 1
    assert await asyncio.gather(*(group.call(number) for number in range(count))) == list(range(count))
    assert [len(calls) for calls in wire.sent] == [MOST_CALLS, MOST_CALLS, 1]


async def test_failure_reaches_every_call_of_its_group_and_no_other():
    wire = Wire()
    group = GroupCommit(wire.send)
    wire.error = ValueError("away")
    failed = await asyncio.gather(*(group.call(number) for number in range(3)), return_exceptions=True)
    assert [type(one) for one in failed] == [ValueError] * 3
    wire.error = None
    assert await group.call(4) == 4


async def test_call_that_was_given_up_is_not_sent():
    wire = Wire()
    group = GroupCommit(wire.send)
    wire.open.clear()
    first = asyncio.create_task(group.call("first"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    second, third = (asyncio.create_task(group.call(name)) for name in ("second", "third"))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    wire.open.set()
    assert await asyncio.gather(first, third) == ["first", "third"]
    assert wire.sent == [["first"], ["third"]]


async def test_call_that_is_given_up_on_its_way_takes_no_other_with_it():
    wire = Wire()
    group = GroupCommit(wire.send)
    wire.open.clear()
    calls = [asyncio.create_task(group.call(number)) for number in range(3)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    calls[0].cancel()
    await asyncio.sleep(0)
    wire.open.set()
    assert await asyncio.gather(*calls[1:]) == [1, 2]
