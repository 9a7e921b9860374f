"""Connections of a pool to the node of a Redis Cluster that serves one slot, wherever that is.

Such a client is a plain one: commands are sent as to a single server. The node is found by asking any; that
is remembered, and asked again once the node says MOVED, is lost, hangs, or is no primary any more. ASK is not
followed: while a slot is being moved, its keys are on two nodes, and no script can run on both.
"""

import asyncio
import threading
import weakref
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from inferq.queue.redis_client.cluster_nodes import NO_ANSWER, TELLING, Address, ClusterNodes
from inferq.queue.redis_client.error_replies import SlotAwayError

_QUESTION = "CLUSTER", "SLOTS"
_OPTIONS_OF_QUESTION = "username", "password"


def follow_slot(
    pool: redis.ConnectionPool | redis.asyncio.ConnectionPool, nodes: ClusterNodes, ask_seconds: float
) -> None:
    """Lets the connections that a pool will make go to the node that serves the slot.

    Args:
        pool: The pool, synchronous or asynchronous.
        nodes: What is known of the cluster.
        ask_seconds: How long a node may take to answer who serves the slot. One that hangs must not keep the
            others from being asked.
    """
    own: Any = pool.connection_class
    is_async = isinstance(pool, redis.asyncio.ConnectionPool)
    options = {
        name: value
        for name, value in pool.connection_kwargs.items()
        if name in _OPTIONS_OF_QUESTION or name.startswith("ssl_")
    }
    options |= {
        "socket_timeout": ask_seconds,
        "socket_connect_timeout": ask_seconds,
        "retry": (AsyncRetry if is_async else Retry)(NoBackoff(), 0),
        "protocol": 2,
    }
    finder = (_AsyncFinder if is_async else _Finder)(pool, nodes, own, options)
    mixin: type = _AsyncSlotConnection if is_async else _SlotConnection
    pool.connection_class = type(own.__name__, (mixin, own), {"nodes": nodes, "finder": finder})


class _Finder:
    """Finds the node, for any thread. Idle connections to the node before it are closed.

    Args:
        pool: The pool.
        nodes: What is known of the cluster.
        connection_class: Makes a connection to any node.
        options: What that needs.
    """

    def __init__(
        self,
        pool: Any,  # noqa: ANN401 - of several classes
        nodes: ClusterNodes,
        connection_class: type[Any],
        options: dict[str, Any],
    ) -> None:
        self._pool = weakref.ref(pool)
        self._nodes = nodes
        self._connection_class = connection_class
        self._options = options
        self._lock = threading.Lock()  # many connections are lost at once, and one of them asks
        self._latest: Address | None = None

    def find(self) -> Address:
        with self._lock:
            address = self._nodes.address or self._ask_each()
            is_another, self._latest = address != self._latest, address
        pool = self._pool()
        if is_another and pool is not None:
            pool.disconnect(inuse_connections=False)
        return address

    def _ask_each(self) -> Address:
        is_answered = False
        for candidate in self._nodes.list_candidates():
            try:
                answer = self._ask(candidate)
            except AuthenticationError:
                raise
            except NO_ANSWER:
                continue
            is_answered = True
            if address := self._nodes.read_answer(candidate, answer):
                return address
        raise _make_error(self._nodes, is_answered=is_answered)

    def _ask(self, candidate: Address) -> list[Any]:
        host, port = candidate
        connection = self._connection_class(host=host, port=port, **self._options)
        try:
            connection.send_command(*_QUESTION)
            answer: list[Any] = connection.read_response()
        finally:
            connection.disconnect()
        return answer


class _AsyncFinder:
    """The same for coroutines."""

    def __init__(
        self,
        pool: Any,  # noqa: ANN401 - of several classes
        nodes: ClusterNodes,
        connection_class: type[Any],
        options: dict[str, Any],
    ) -> None:
        self._pool = weakref.ref(pool)
        self._nodes = nodes
        self._connection_class = connection_class
        self._options = options
        self._lock = asyncio.Lock()
        self._latest: Address | None = None

    async def find(self) -> Address:
        async with self._lock:
            address = self._nodes.address or await self._ask_each()
            is_another, self._latest = address != self._latest, address
        pool = self._pool()
        if is_another and pool is not None:
            await pool.disconnect(inuse_connections=False)
        return address

    async def _ask_each(self) -> Address:
        is_answered = False
        for candidate in self._nodes.list_candidates():
            try:
                answer = await self._ask(candidate)
            except AuthenticationError:
                raise
            except NO_ANSWER:
                continue
            is_answered = True
            if address := self._nodes.read_answer(candidate, answer):
                return address
        raise _make_error(self._nodes, is_answered=is_answered)

    async def _ask(self, candidate: Address) -> list[Any]:
        host, port = candidate
        connection = self._connection_class(host=host, port=port, **self._options)
        try:
            await connection.send_command(*_QUESTION)
            answer: list[Any] = await connection.read_response()
        finally:
            await connection.disconnect(nowait=True)
        return answer


def _make_error(nodes: ClusterNodes, *, is_answered: bool) -> Exception:
    if is_answered:
        return SlotAwayError(f"CLUSTERDOWN no node serves slot {nodes.slot}")
    count = len(nodes.list_candidates())
    return RedisConnectionError(f"none of the {count} nodes known of the Redis Cluster answers")


class _SlotConnection:
    """A connection of such a pool."""

    nodes: ClusterNodes
    finder: _Finder
    host: str
    port: int
    is_connected: bool

    def connect_check_health(self, *args: object, **options: object) -> None:
        if self.is_connected:
            return
        self.host, self.port = address = self.finder.find()
        try:
            super().connect_check_health(*args, **options)  # type: ignore[misc]
        except NO_ANSWER:
            self.nodes.doubt(address)
            raise

    def read_response(self, *args: object, **options: object) -> Any:  # noqa: ANN401 - as the server answers
        try:
            return super().read_response(*args, **options)  # type: ignore[misc]
        except TELLING as error:
            if away := self.nodes.note_error((self.host, self.port), error):
                raise away from error
            raise


class _AsyncSlotConnection:
    """The same for coroutines."""

    nodes: ClusterNodes
    finder: _AsyncFinder
    host: str
    port: int
    is_connected: bool

    async def connect_check_health(self, *args: object, **options: object) -> None:
        if self.is_connected:
            return
        self.host, self.port = address = await self.finder.find()
        try:
            await super().connect_check_health(*args, **options)  # type: ignore[misc]
        except (*NO_ANSWER, asyncio.CancelledError):
            self.nodes.doubt(address)
            raise

    async def read_response(self, *args: object, **options: object) -> Any:  # noqa: ANN401 - as the server answers
        try:
            return await super().read_response(*args, **options)  # type: ignore[misc]
        except asyncio.CancelledError:  # the caller has given up: perhaps the node hangs
            self.nodes.doubt((self.host, self.port))
            raise
        except TELLING as error:
            if away := self.nodes.note_error((self.host, self.port), error):
                raise away from error
            raise
