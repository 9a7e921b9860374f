"""Reads that come at the same time, made once."""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any


class SharedRead[T]:
    """Makes one read for all that ask while it goes on: they share its result, or its failure.

    One after the other, each would wait for Redis. One that is cancelled leaves the read to the
    others. What the read logs is not about the request that began it.

    Args:
        read: Reads.
    """

    def __init__(self, read: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._read = read
        self._reading: asyncio.Task[T] | None = None

    async def get(self) -> T:
        """Returns what is read: by the read that goes on, or by a new one."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read(), context=Context())
        return await asyncio.shield(self._reading)
