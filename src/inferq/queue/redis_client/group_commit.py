"""Group commit: calls that come while another is under way are sent together in the next one."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

MOST_CALLS = 128
"""Most calls that are sent together: with more, Redis serves no one else for milliseconds."""

type _Waiting[Call, Answer] = tuple[Call, asyncio.Future[Answer], float]


class GroupCommit[Call, Answer]:
    """Sends calls in groups. One alone leaves at once; under load each round trip carries many.

    Args:
        send: Sends calls and returns the answer of each, in order. It also gets the time since when the
            first of them waits, by the event loop's clock. What it raises is raised by all of them.
        in_flight: Most groups under way at the same time.
    """

    def __init__(
        self, send: Callable[[Sequence[Call], float], Awaitable[Sequence[Answer]]], in_flight: int = 1
    ) -> None:
        self._send = send
        self._in_flight = in_flight
        self._waiting: deque[_Waiting[Call, Answer]] = deque()
        self._sending: set[asyncio.Task[None]] = set()

    async def call(self, call: Call) -> Answer:
        """Sends a call with whatever else waits, and returns its answer.

        One that is given up before it was sent is not sent any more.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((call, future, loop.time()))
        if len(self._sending) < self._in_flight:
            task = asyncio.create_task(self._send_all())
            self._sending.add(task)
        return await future

    async def _send_all(self) -> None:
        try:
            while group := self._next_group():
                await self._send_group(group)
        finally:  # at once, not by a callback: a call that comes next must not wait for this task
            self._sending.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    def _next_group(self) -> list[_Waiting[Call, Answer]]:
        group: list[_Waiting[Call, Answer]] = []
        while self._waiting and len(group) < MOST_CALLS:
            waiting = self._waiting.popleft()
            if not waiting[1].done():
                group.append(waiting)
        return group

    async def _send_group(self, group: Sequence[_Waiting[Call, Answer]]) -> None:
        try:
            answers = await self._send([call for call, _, _ in group], group[0][2])
            answered = list(zip(group, answers, strict=True))
        except Exception as error:  # noqa: BLE001 - it is not handled here, but by each caller
            for _, future, _ in group:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future, _), answer in answered:
            if not future.done():
                future.set_result(answer)
