"""Group commit: calls that come while one is on its way leave together in the next."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

MOST_CALLS = 128
"""Most calls that leave together: with more, Redis serves nobody else for milliseconds."""


class Group[Call, Answer]:
    """Sends calls in groups. One alone leaves at once; under load each round trip carries many.

    Args:
        send: Sends calls and returns the answer of each, in order. What it raises is raised by all of them.
    """

    def __init__(self, send: Callable[[Sequence[Call]], Awaitable[Sequence[Answer]]]) -> None:
        self._send = send
        self._waiting: deque[tuple[Call, asyncio.Future[Answer]]] = deque()
        self._sending: asyncio.Task[None] | None = None

    async def call(self, call: Call) -> Answer:
        """Sends a call with whatever else waits, and returns its answer.

        One that is given up before it was sent is not sent any more.
        """
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((call, future))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all())
        return await future

    async def _send_all(self) -> None:
        try:
            while group := self._next_group():
                await self._send_group(group)
        finally:
            self._sending = None

    def _next_group(self) -> list[tuple[Call, "asyncio.Future[Answer]"]]:
        group: list[tuple[Call, asyncio.Future[Answer]]] = []
        while self._waiting and len(group) < MOST_CALLS:
            call, future = self._waiting.popleft()
            if not future.done():
                group.append((call, future))
        return group

    async def _send_group(self, group: Sequence[tuple[Call, "asyncio.Future[Answer]"]]) -> None:
        try:
            answers = await self._send([call for call, _ in group])
        except Exception as error:  # noqa: BLE001 - it is not handled here, but by each caller
            for _, future in group:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), answer in zip(group, answers, strict=True):
            if not future.done():
                future.set_result(answer)
