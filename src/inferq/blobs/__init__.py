"""Blobs: payloads that are too big for Redis, which holds a reference in their place.

A store knows keys and bytes. Which job a blob belongs to, and whether any key still names it, is the
queue's to know. All of a store blocks, so it is for threads.
"""

from inferq.blobs.folder_store import FolderStore
from inferq.blobs.keys import BlobPart, find_owner, has_storable_id, make_key
from inferq.blobs.store import BlobInfo, BlobPage, BlobStore
from inferq.blobs.store_mark import make_id

__all__ = [
    "BlobInfo",
    "BlobPage",
    "BlobPart",
    "BlobStore",
    "FolderStore",
    "find_owner",
    "has_storable_id",
    "make_id",
    "make_key",
    "open_store",
]


def open_store(url: str) -> BlobStore | None:
    """Makes the store that a setting names; it is not touched before it is used.

    Args:
        url: `file:///…`, or empty.

    Returns:
        The store; None for an empty URL.
    """
    return FolderStore.from_url(url) if url else None
