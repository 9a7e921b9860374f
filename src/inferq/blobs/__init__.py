"""Blobs: payloads that are too big for Redis, which holds a reference in their place.

A store knows keys and bytes. Which job a blob belongs to, and whether any key still names it, is the
queue's to know. All of a store blocks, so it is for threads.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from inferq.blobs.folder_store import FolderStore
from inferq.blobs.keys import BlobPart, find_owner, has_storable_id, make_key
from inferq.blobs.store import BlobInfo, BlobPage, BlobStore
from inferq.blobs.store_mark import make_id
from inferq.blobs.uploads import Uploads, belongs_to_key, make_upload_id
from inferq.errors import InvalidSettingError

if TYPE_CHECKING:
    from inferq.blobs.user_objects import UserObjects

__all__ = [
    "BlobInfo",
    "BlobPage",
    "BlobPart",
    "BlobStore",
    "FolderStore",
    "Uploads",
    "belongs_to_key",
    "find_owner",
    "has_storable_id",
    "make_id",
    "make_key",
    "make_upload_id",
    "open_store",
    "open_user_objects",
]


def open_store(url: str) -> BlobStore | None:
    """Makes the store that a setting names; it is not touched before it is used.

    A folder is one store for all of a process, which knows from the first use on which one it is: what is
    mounted there later is taken for it by nobody.

    Args:
        url: `file:///…`, `s3://bucket/prefix`, or empty.

    Returns:
        The store; None for an empty URL.

    Raises:
        InvalidSettingError: It is in a bucket, and what talks to those is not installed.
    """
    if not url.startswith("s3://"):
        return _open_folder(url) if url else None
    with _extra(f"INFERQ_BLOB_STORE is {url}"):
        from inferq.blobs.object_store import ObjectStore
    return ObjectStore.from_url(url)


_open_folder = cache(FolderStore.from_url)


def open_user_objects() -> "UserObjects":
    """Makes what reads and writes objects that users name by `s3://bucket/key`.

    Raises:
        InvalidSettingError: What talks to buckets is not installed.
    """
    with _extra("An object is named by s3://"):
        from inferq.blobs.user_objects import UserObjects
    return UserObjects()


@contextmanager
def _extra(reason: str) -> Iterator[None]:
    """Imports what only those have installed who use buckets."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "obstore":
            raise
        raise InvalidSettingError(
            f"{reason}, and the package that talks to buckets is not installed: install inferq[blobs]."
        ) from error
