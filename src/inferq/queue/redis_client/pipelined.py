"""Connections on which commands leave and answers come as they are: no pool, no pipeline, no retries."""

import math
import threading
from collections.abc import Iterable, Sequence
from typing import Any

import hiredis
import redis
import redis.asyncio
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ReadOnlyError
from redis.exceptions import TimeoutError as RedisTimeoutError

REPEATABLE = (RedisConnectionError, RedisTimeoutError, NoScriptError, ReadOnlyError)
"""After these a command has done nothing, or nobody knows, and it may be asked again. After another error it
may have done a part of its work, which must be told."""


PIECE_BYTES = 256 * 1024
"""So much is sent at once. Each piece has as much time as the socket waits: only a link that stands still is
given up, however much is to be sent."""


def pack(commands: Iterable[tuple[Any, ...]]) -> bytes:
    """Commands as they are sent."""
    return b"".join(map(hiredis.pack_command, commands))


def pieces(packed: bytes) -> Iterable[bytes | memoryview]:
    """Packed commands in parts of `PIECE_BYTES`."""
    if len(packed) <= PIECE_BYTES:
        return (packed,)
    view = memoryview(packed)
    return (view[first : first + PIECE_BYTES] for first in range(0, len(view), PIECE_BYTES))


class PipelinedConnection:
    """A connection of its own. It opens when first used, and anew after a failure.

    One thread may send while another receives.

    Args:
        client: Names the server.
        prelude: Commands that each new connection begins with.

    Attributes:
        prelude: See above.
    """

    def __init__(self, client: redis.Redis, prelude: Sequence[tuple[Any, ...]] = ()) -> None:
        self._pool = client.connection_pool
        self.prelude = prelude
        self._connection: Any = None
        self._lock = threading.RLock()  # nobody hangs up while another sends

    def send(self, packed: bytes | Iterable[bytes | memoryview]) -> Any:  # noqa: ANN401 - of several classes
        """Sends what `pack` made of commands. Answers are to be received in the order of sending.

        Args:
            packed: That, or pieces of it.

        Returns:
            The connection they are on, for `receive`.

        Raises:
            RedisError: They may have been sent or not.
        """
        with self._lock:
            if self._connection is not None and _has_been_replaced(self._pool, self._connection):
                self.hang_up()
            is_new = self._connection is None
            if is_new:
                self._connection = self._pool.make_connection()
            connection = self._connection
            try:
                if is_new and self.prelude:
                    connection.send_packed_command([pack(self.prelude)])
                    self.receive(len(self.prelude), connection)
                connection.send_packed_command(pieces(packed) if isinstance(packed, bytes) else packed)
            except BaseException:
                self._close(connection)
                raise
            return connection

    def ask(self, *commands: tuple[Any, ...]) -> list[Any]:
        """Sends commands and waits for their answers.

        Raises:
            RedisError: One of them failed, or an answer was lost.
        """
        return self.receive(len(commands), self.send(pack(commands)))

    def check(self) -> None:
        """Notices that the server has closed the connection, so that the next command opens another."""
        try:
            is_odd = self._connection is not None and self._connection.can_read(timeout=0)
        except RedisConnectionError:
            is_odd = True
        if is_odd:
            self.hang_up()

    def has_answer(self, sent_on: Any) -> bool:  # noqa: ANN401 - of several classes
        """Whether something can be received, if only that the connection is lost.

        Args:
            sent_on: What `send` returned.
        """
        connection = self._connection
        try:
            return sent_on is not connection or bool(connection.can_read(timeout=0))
        except RedisConnectionError:
            return True

    def receive(self, count: int, sent_on: Any, seconds: float | None = None) -> list[Any]:  # noqa: ANN401 - of several classes
        """Waits for the answers to so many commands.

        Args:
            count: How many.
            sent_on: What `send` returned.
            seconds: Longest time without a byte; the socket's if left out.

        Raises:
            RedisError: One of them failed, or the answer was lost.
        """
        connection = self._connection
        if connection is None or sent_on is not connection:
            raise RedisConnectionError("The connection was lost before the answer came.")
        try:
            if seconds is not None:
                return [connection.read_response(timeout=seconds) for _ in range(count)]
            return [connection.read_response() for _ in range(count)]
        except NoScriptError:
            if count > 1:
                self._close(connection)
            raise
        except BaseException:
            self._close(connection)  # answers that nobody has read may still come
            raise

    def hang_up(self) -> None:
        """Closes the connection."""
        with self._lock:
            if self._connection is not None:
                self._close(self._connection)

    def _close(self, connection: Any) -> None:  # noqa: ANN401 - of several classes
        with self._lock:
            if self._connection is connection:
                self._connection = None
            connection.disconnect()


class AsyncPipelinedConnection:
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
        if self._connection is not None and _has_been_replaced(self._pool, self._connection):
            await self._hang_up()
        if self._connection is None:
            self._connection = await self._pool.get_connection()
        try:
            await self._connection.send_packed_command(hiredis.pack_command(command))
            return await self._connection.read_response(timeout=math.inf)
        except BaseException:
            await self._hang_up()
            raise

    async def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        await connection.disconnect(nowait=True)
        await self._pool.release(connection)


def _has_been_replaced(pool: Any, connection: Any) -> bool:  # noqa: ANN401 - of several classes
    """Whether Sentinel has named another primary since, as the other connections of the pool have learned."""
    primary = getattr(pool, "master_address", None)
    return primary is not None and primary != (connection.host, connection.port)
