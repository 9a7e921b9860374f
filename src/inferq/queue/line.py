"""One connection on which commands leave and answers come as they are: no pool, no pipeline, no retries."""

from collections.abc import Sequence
from typing import Any

import redis


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
            self._connection.send_packed_command(self._connection.pack_commands(commands))
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
