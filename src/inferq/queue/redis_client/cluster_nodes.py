"""What is known of a Redis Cluster: its nodes, and which of them serves the slot of our keys."""

import re
from collections.abc import Sequence
from typing import Any

from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    ReadOnlyError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from inferq.errors import InvalidSettingError
from inferq.queue.redis_client.error_replies import SlotAwayError

type Address = tuple[str, int]
"""Host and port of a node."""

NO_ANSWER = RedisConnectionError, RedisTimeoutError
"""With these a node has not answered."""
TELLING = *NO_ANSWER, AskError, TryAgainError, ClusterDownError, ReadOnlyError, BusyLoadingError
"""What these say of who serves a slot, `ClusterNodes.note_error` notes."""

_AWAY = AskError, TryAgainError, ClusterDownError
_UNKNOWN_HOSTS = "", "?"
_HASH_TAG = re.compile(r"[^{]*\{[^}]+\}")


def find_slot(prefix: str) -> int:
    """Returns the slot of all keys with a prefix.

    Args:
        prefix: The key prefix.

    Raises:
        InvalidSettingError: It has no hash tag, so that such keys are in any slot.
    """
    if not _HASH_TAG.match(prefix):
        raise InvalidSettingError(
            f"INFERQ_KEY_PREFIX {prefix!r} has no hash tag, by which a Redis Cluster would keep the keys of "
            "a job together. Set it to one, such as {inferq}:."
        )
    return key_slot(prefix.encode())


class ClusterNodes:
    """Remembers who serves one slot, until something speaks against it. Asks nobody itself.

    Args:
        seeds: Some of the cluster's nodes.
        slot: Number of the slot.

    Attributes:
        slot: See above.
        address: The node that serves it; None while that is to be asked.
    """

    def __init__(self, seeds: Sequence[Address], slot: int) -> None:
        self.slot = slot
        self.address: Address | None = None
        self._seeds = tuple(seeds)
        self._known = self._seeds

    def list_candidates(self) -> list[Address]:
        """The nodes to ask: those that are known, and last the seeds, should all others have changed."""
        return list(dict.fromkeys(self._known + self._seeds))

    def read_answer(self, asked: Address, answer: Sequence[Any]) -> Address | None:
        """Notes what a node has answered to CLUSTER SLOTS.

        Args:
            asked: Which node.
            answer: Its answer, in bytes.

        Returns:
            Who serves the slot; None if this node knows nobody.
        """
        known: list[Address] = [asked]
        for first, last, *nodes in answer:
            addresses = [_read_address(asked, node) for node in nodes]
            known += addresses
            if first <= self.slot <= last and addresses:
                self.address = addresses[0]
        if self.address is not None:
            self._known = tuple(dict.fromkeys(known))
        return self.address

    def doubt(self, address: Address) -> None:
        """Forgets who serves the slot, if that was this node. Another node is the first to be asked now."""
        if self.address == address:
            self.address = None
            self._known = (*self._known[1:], *self._known[:1])

    def note_error(self, address: Address, error: Exception) -> SlotAwayError | None:
        """Notes what an error tells of who serves the slot.

        Args:
            address: The node that it came from.
            error: One of `TELLING`.

        Returns:
            What to raise instead, where the node has done nothing, as it does not serve the slot; else None.
        """
        if isinstance(error, MovedError) and error.host not in _UNKNOWN_HOSTS:
            if self.address in (None, address):  # else that is known better by now
                self.address = (error.host, error.port)
        elif isinstance(error, MovedError) or not isinstance(error, AskError | TryAgainError):
            self.doubt(address)
        if isinstance(error, MasterDownError) or not isinstance(error, _AWAY):
            return None
        return SlotAwayError(f"{error.status_code} {error}")


def _read_address(asked: Address, node: Sequence[Any]) -> Address:
    """The address of a node. Without a host it is to be reached as the one that was asked."""
    host = (node[0] or b"").decode()
    return (asked[0] if host in _UNKNOWN_HOSTS else host), int(node[1])
