"""Files that clients put into the blob store before they submit the jobs that name them."""

import hashlib
import re
import secrets

from inferq.blobs.folder_store import FolderStore
from inferq.blobs.folder_upload import FolderUpload
from inferq.blobs.keys import make_upload_key
from inferq.blobs.store import BlobStore
from inferq.errors import BlobNotFoundError, BodyTooLargeError

_ID = re.compile(r"[0-9a-f]{32}-(?P<owner>[0-9a-f]{8})")


def make_upload_id(owner: str) -> str:
    """Makes the id of an upload: 128 random bits, and what tells whose it is.

    Args:
        owner: Name of the API key that may use it; empty for none.
    """
    return f"{secrets.token_hex(16)}-{_digest(owner)}"


def belongs_to_key(upload_id: str, owner: str) -> bool:
    """Whether this may be the id of an upload that the API key of this name has made."""
    found = _ID.fullmatch(upload_id)
    return found is not None and found["owner"] == _digest(owner)


def _digest(owner: str) -> str:
    return hashlib.sha256(owner.encode()).hexdigest()[:8]


class Uploads:
    """The uploads in a store. All of it blocks, so it is for threads.

    An upload is a blob that no key of Redis names: the sweep removes it when it is old.

    Args:
        store: The store.
    """

    def __init__(self, store: BlobStore) -> None:
        self._store = store

    def sign(self, upload_id: str, expires_seconds: float) -> str | None:
        """Makes a URL to which a client may put the file; None where proxies take it.

        Args:
            upload_id: The upload.
            expires_seconds: How long it may.

        Raises:
            StoreUnavailableError: This process has no credentials for the bucket.
        """
        return self._store.sign("PUT", make_upload_key(upload_id), expires_seconds)

    def open(self, upload_id: str, size: int, reserve_bytes: int) -> FolderUpload | None:
        """Begins to write an upload; one of the same id that is there already is replaced at the end.

        Args:
            upload_id: The upload.
            size: How long it will be, bytes; 0 if that is not known.
            reserve_bytes: Space to leave.

        Returns:
            What takes it; None where proxies do not.

        Raises:
            QueueFullError: There is no room for it.
            StoreUnavailableError: The store cannot be used.
        """
        if not isinstance(self._store, FolderStore):
            return None
        return self._store.open_upload(make_upload_key(upload_id), size, reserve_bytes)

    def read(self, upload_id: str, most_bytes: int) -> memoryview:
        """Reads an upload.

        Args:
            upload_id: The upload.
            most_bytes: How long it may be.

        Raises:
            BlobNotFoundError: There is none, or none any more.
            BodyTooLargeError: It is longer; nothing of it was read.
            StoreUnavailableError: The store cannot be used.
        """
        if _ID.fullmatch(upload_id) is None:
            raise BlobNotFoundError("An upload is named as POST /uploads has answered.")
        key = make_upload_key(upload_id)
        try:
            size = self._store.measure(key)
            if size > most_bytes:
                raise BodyTooLargeError(f"The upload has {size} bytes, and at most {most_bytes} are read.")
            return self._store.read(key, size)
        except BlobNotFoundError as error:  # which names the store and the key: those are not for clients
            raise BlobNotFoundError(
                f"There is no file for upload {upload_id}: none was PUT, or it has expired "
                "(INFERQ_UPLOAD_TTL_SECONDS). PUT it, or make another upload."
            ) from error
