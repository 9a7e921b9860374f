"""Connections on which commands leave and answers come as they are: no pool, no pipeline, no retries."""

import math
from collections.abc import Sequence
from typing import Any

import hiredis
import redis
import redis.asyncio


class Line:
    """A connection for one thread at a time. It opens when first used, and anew after a failure.

    Args:
        client: Names the server; the connection is one of its pool's.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._pool = client.connection_pool
        self._connection: Any = None

    def send(self, commands: Sequence[tuple[Any, ...]]) -> None:
        """Sends commands, whose answers are to be received before anything else is sent.

        Raises:
            RedisError: They may have been sent or not.
        """
        if self._connection is None:
            self._connection = self._pool.get_connection()
        try:
            self._connection.send_packed_command([b"".join(map(hiredis.pack_command, commands))])
        except BaseException:
            self.hang_up()
            raise

    def receive(self, count: int) -> list[Any]:
        """Waits for the answers to so many commands.

        Raises:
            RedisError: One of them failed, or the answer was lost.
        """
        try:
            return [self._connection.read_response() for _ in range(count)]
        except BaseException:
            self.hang_up()  # answers that nobody has read may still come
            raise

    def hang_up(self) -> None:
        """Closes the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()
            self._pool.release(connection)


class AsyncLine:
    """The same for coroutines, of which one at a time may ask.

    Args:
        client: Names the server; the connection is one of its pool's.
    """

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._pool: Any = client.connection_pool
        self._connection: Any = None

    async def ask(self, command: tuple[Any, ...]) -> Any:  # noqa: ANN401 - as the server answers
        """Sends a command and waits for its answer, however long it takes.

        Raises:
            RedisError: It failed, or the answer was lost.
        """
        if self._connection is None:
            self._connection = await self._pool.get_connection()
        try:
            await self._connection.send_packed_command(hiredis.pack_command(command))
            return await self._connection.read_response(timeout=math.inf)
        except BaseException:
            connection, self._connection = self._connection, None
            await connection.disconnect(nowait=True)
            await self._pool.release(connection)
            raise
