"""Connections for pipelining by hand: without a pool, and without the retries of the client library."""

import math
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import hiredis
import redis
import redis.asyncio
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ReadOnlyError
from redis.exceptions import TimeoutError as RedisTimeoutError

from inferq.queue.redis_client.error_replies import SlotAwayError

REPEATABLE = (RedisConnectionError, RedisTimeoutError, NoScriptError, ReadOnlyError, SlotAwayError)
"""After these errors a command has done nothing, or that is not known, and it may be repeated. After any
other it may have done a part of its work, and the error must be raised."""


CHUNK_BYTES = 256 * 1024
"""Most bytes that are sent at once. Each chunk has the socket's timeout: only a connection on which nothing
moves is given up, however much is to be sent."""


def pack(commands: Iterable[tuple[Any, ...]]) -> bytes:
    """Makes the bytes of commands."""
    return b"".join(map(hiredis.pack_command, commands))


def split_in_chunks(packed: bytes | memoryview) -> Iterable[bytes | memoryview]:
    """Splits packed commands in chunks of `CHUNK_BYTES`."""
    if len(packed) <= CHUNK_BYTES:
        return (packed,)
    view = memoryview(packed)
    return (view[first : first + CHUNK_BYTES] for first in range(0, len(view), CHUNK_BYTES))


def pack_in_chunks(command: tuple[str | int | bytes, ...]) -> Iterator[bytes | memoryview]:
    """Makes the bytes of one command in chunks of about `CHUNK_BYTES`, without a copy of long values."""
    packed = b"*%d\r\n" % len(command)
    for argument in command:
        value = argument if isinstance(argument, bytes) else str(argument).encode()
        packed += b"$%d\r\n" % len(value)
        if len(value) > CHUNK_BYTES:
            yield packed
            yield from split_in_chunks(value)
            packed = b"\r\n"
        else:
            packed += value + b"\r\n"
    yield packed


class PipelinedConnection:
    """One connection. It opens when first used, and again after a failure.

    One thread may send while another receives.

    Args:
        client: Names the server.
        setup_commands: Commands that each new connection begins with.

    Attributes:
        setup_commands: See above.
    """

    def __init__(self, client: redis.Redis, setup_commands: Sequence[tuple[Any, ...]] = ()) -> None:
        self._pool = client.connection_pool
        self.setup_commands = setup_commands
        self._connection: Any = None
        self._lock = threading.RLock()  # no thread disconnects while another sends

    def send(self, packed: bytes | Iterable[bytes | memoryview]) -> Any:  # noqa: ANN401 - of several classes
        """Sends commands. Their replies are to be received in the order of sending.

        Args:
            packed: What `pack` made of them, or chunks of it.

        Returns:
            The connection that they were sent on, for `receive`.

        Raises:
            RedisError: They may have been sent or not.
        """
        with self._lock:
            if self._connection is not None and _has_been_replaced(self._pool, self._connection):
                self.disconnect()
            is_new = self._connection is None
            if is_new:
                self._connection = self._pool.make_connection()
            connection = self._connection
            try:
                if is_new and self.setup_commands:
                    connection.send_packed_command([pack(self.setup_commands)])
                    self.receive(len(self.setup_commands), connection)
                connection.send_packed_command(
                    split_in_chunks(packed) if isinstance(packed, bytes) else packed
                )
            except BaseException:
                self._close(connection)
                raise
            return connection

    def execute(self, *commands: tuple[Any, ...]) -> list[Any]:
        """Sends commands and waits for their replies.

        Raises:
            RedisError: One of them failed, or a reply was lost.
        """
        return self.receive(len(commands), self.send(pack(commands)))

    def check_open(self) -> None:
        """Forgets the connection if the server has closed it, so that the next command opens another."""
        try:
            is_unusable = self._connection is not None and self._connection.can_read(timeout=0)
        except RedisConnectionError:
            is_unusable = True
        if is_unusable:
            self.disconnect()

    def has_reply(self, sent_on: Any, seconds: float = 0.0) -> bool:  # noqa: ANN401 - of several classes
        """Whether something can be received, if only that the connection is lost.

        Args:
            sent_on: What `send` returned.
            seconds: How long to wait for it.
        """
        connection = self._connection
        try:
            return sent_on is not connection or bool(connection.can_read(timeout=seconds))
        except RedisConnectionError:
            return True

    def fileno(self, sent_on: Any) -> int:  # noqa: ANN401 - of several classes
        """Returns the socket on which replies come; -1 where the connection is lost.

        Args:
            sent_on: What `send` returned.
        """
        own_socket = sent_on._get_socket() if sent_on is self._connection else None
        return own_socket.fileno() if own_socket else -1

    def receive(self, count: int, sent_on: Any, seconds: float | None = None) -> list[Any]:  # noqa: ANN401 - of several classes
        """Waits for the replies to so many commands.

        Args:
            count: How many.
            sent_on: What `send` returned.
            seconds: Longest time without a byte; the socket's if left out.

        Raises:
            RedisError: One of them failed, or the reply was lost.
        """
        connection = self._connection
        if connection is None or sent_on is not connection:
            raise RedisConnectionError("The connection was lost before the reply came.")
        try:
            if seconds is not None:
                return [connection.read_response(timeout=seconds) for _ in range(count)]
            return [connection.read_response() for _ in range(count)]
        except NoScriptError:
            if count > 1:
                self._close(connection)
            raise
        except BaseException:
            self._close(connection)  # replies that no one has read may still come
            raise

    def disconnect(self) -> None:
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
    """The same for coroutines, of which one at a time may use it.

    Args:
        client: Names the server; the connection is one of its pool's.
    """

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._pool: Any = client.connection_pool
        self._connection: Any = None

    async def execute(self, command: tuple[Any, ...]) -> Any:  # noqa: ANN401 - as the server answers
        """Sends a command and waits for its reply, however long it takes.

        Raises:
            RedisError: It failed, or the reply was lost.
        """
        if self._connection is not None and _has_been_replaced(self._pool, self._connection):
            await self._disconnect()
        if self._connection is None:
            self._connection = await self._pool.get_connection()
        try:
            await self._connection.send_packed_command(hiredis.pack_command(command))
            return await self._connection.read_response(timeout=math.inf)
        except BaseException:
            await self._disconnect()
            raise

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        await connection.disconnect(nowait=True)
        await self._pool.release(connection)


def _has_been_replaced(pool: Any, connection: Any) -> bool:  # noqa: ANN401 - of several classes
    """Whether another server is known since, as the other connections of the pool have learned.

    Sentinel has named another primary, or another node of the cluster serves the slot.
    """
    nodes = getattr(connection, "nodes", None)
    primary = getattr(pool, "master_address", None) if nodes is None else nodes.address
    return primary is not None and primary != (connection.host, connection.port)
