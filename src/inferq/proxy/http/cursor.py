"""Cursors: the end of a page of jobs, as an opaque text that the request for the next page has to contain.

A page may end at a job that the client's key must not know. So cursors are encrypted with a secret that all
proxies have and no holder of a single key can know: the digests of all keys. The method is a synthetic
initialisation vector (the construction of RFC 5297, with the standard library's BLAKE2 and SHAKE): the keyed
digest of the content both authenticates it and selects the key stream that encrypts it.
"""

import base64
import binascii
import hashlib
import json
from hmac import compare_digest
from math import isfinite

from inferq.errors import InvalidInputError
from inferq.queue import Position, ScanCursor, ShardPositions
from inferq.settings import Settings

_DIGEST_BYTES = 16
_BLOCK_BYTES = 128


class Cursors:
    """Makes and reads the cursors of one listing: those of another one are refused.

    Args:
        settings: The API keys, by whose digests cursors are sealed.
        owner: Name of the key that asks; None where none is needed.
        *wanted: What is listed.
    """

    def __init__(self, settings: Settings, owner: str | None, *wanted: str | None) -> None:
        listing = json.dumps([settings.api_keys, owner, *wanted])
        self._key = hashlib.sha256(listing.encode("utf-8", "surrogatepass")).digest()

    def seal(self, end: ScanCursor) -> str:
        """Makes a cursor of a page's end."""
        content = json.dumps(_describe(end)).encode()
        content = content.ljust(
            -(-len(content) // _BLOCK_BYTES) * _BLOCK_BYTES
        )  # so that the length reveals nothing
        digest = self._digest(content)
        return base64.urlsafe_b64encode(digest + self._hide(digest, content)).decode()

    def open(self, cursor: str) -> ScanCursor:
        """Reads a cursor.

        Raises:
            InvalidInputError: `seal` has not made it, or for another listing.
        """
        try:
            sealed = base64.b64decode(cursor.encode(), altchars=b"-_", validate=True)
        except (UnicodeEncodeError, binascii.Error) as error:
            raise _make_invalid_error(cursor) from error
        digest, hidden = sealed[:_DIGEST_BYTES], sealed[_DIGEST_BYTES:]
        content = self._hide(digest, hidden)
        if not compare_digest(digest, self._digest(content)):
            raise _make_invalid_error(cursor)
        try:  # where there are no API keys, the secret is none, and anyone can make a cursor
            return _parse(json.loads(content))
        except (ValueError, RecursionError, OverflowError) as error:
            raise _make_invalid_error(cursor) from error

    def _digest(self, content: bytes) -> bytes:
        return hashlib.blake2b(content, key=self._key, digest_size=_DIGEST_BYTES).digest()

    def _hide(self, digest: bytes, content: bytes) -> bytes:
        """Hides the content, or shows it again."""
        stream = hashlib.shake_256(self._key + digest).digest(len(content))
        return bytes(one ^ other for one, other in zip(content, stream, strict=True))


def _describe(end: ScanCursor) -> list[object]:
    """Returns it as JSON has it; of several shards a list, in which true stands for one without more."""
    if isinstance(end, Position):
        return [end.is_ended, end.model, end.score, end.id.hex()]
    return [
        number in end.ended or (None if position is None else _describe(position))
        for number, position in enumerate(end.positions)
    ]


def _parse(content: object) -> ScanCursor:
    """Reads the same.

    Raises:
        ValueError: It is none.
    """
    match content:
        case [bool(), str(), *_]:
            return _parse_position(content)
        case [*shards] if _go_on(shards):
            positions = [_parse_position(one) if isinstance(one, list) else None for one in shards]
            return ShardPositions(
                tuple(positions), frozenset(number for number, one in enumerate(shards) if one is True)
            )
    raise ValueError(content)


def _go_on(shards: list[object]) -> bool:
    """Whether this tells of each shard where it goes on, or that it has no more, and one of them has."""
    has_more = any(one is not True for one in shards)
    return has_more and all(one is None or one is True or isinstance(one, list) for one in shards)


def _parse_position(content: object) -> Position:
    match content:
        case [bool(is_ended), str(model), int(score) | float(score), str(job_id)] if isfinite(score):
            return Position(is_ended, model, float(score), bytes.fromhex(job_id))
    raise ValueError(content)


def _make_invalid_error(cursor: str) -> InvalidInputError:
    return InvalidInputError(
        f"cursor must be the member 'next' of an earlier page of the same listing, got {cursor[:80]!r}. "
        "Leave it out for the first page."
    )
