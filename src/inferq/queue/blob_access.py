"""The blob store as the queue uses it: payloads go into it, and references to them into keys of Redis."""

import structlog

from inferq.blobs import BlobPart, BlobStore, has_storable_id, make_key, open_store
from inferq.errors import StoreUnavailableError
from inferq.settings import Settings
from inferq.tensors.envelope import BlobReference, write_reference
from inferq.tensors.values import Buffer

log = structlog.get_logger()


class BlobAccess:
    """Writes payloads and references, and reads them. All of it may block, so it is for threads.

    Args:
        settings: Which store there is, what goes there, and how durably.

    Attributes:
        store: The store; None where the settings name none.
        is_usable: Whether to write to it; set to False where it is not there any more, or another queue's,
            whose workers would remove what they do not know.
    """

    def __init__(self, settings: Settings) -> None:
        self.store: BlobStore | None = open_store(settings.blob_store)
        self.is_usable = True
        self._longest_in_redis = settings.blob_bytes
        self._reserve_bytes = settings.blob_reserve_bytes
        self._fault = ""
        self._is_data_synced = settings.durability == "fsync"

    def identify_store(self) -> str:
        """Returns the id of the store; empty where there is none that this process can use."""
        try:
            return self.store.identify() if self.store and self.is_usable else ""
        except StoreUnavailableError as error:
            self.note_unavailable(error.message)
            return ""

    def note_unavailable(self, reason: str) -> None:
        """Notes that the store has taken something not; says so, once for each reason."""
        if reason != self._fault:
            log.warning("blob_store_unavailable", reason=reason)
        self._fault = reason

    def note_available(self) -> None:
        """Notes that the store has taken something; says so after it had not."""
        if self._fault:
            log.info("blob_store_available_again")
        self._fault = ""

    def takes(self, job_id: str, payload: Buffer) -> bool:
        """Whether a payload belongs into the store."""
        if self.store is None or len(payload) <= self._longest_in_redis:
            return False
        return self.is_usable and has_storable_id(job_id)

    def write_data(self, job_id: str, payload: Buffer) -> bytes:
        """Writes the data of a job; returns the reference to it.

        Raises:
            QueueFullError: There is no room for it.
            StoreUnavailableError: The store cannot be used.
        """
        store = self._get_store()
        key = make_key(job_id, BlobPart.DATA)
        store.write(key, payload, is_synced=self._is_data_synced, reserve_bytes=self._reserve_bytes)
        return write_reference(key, payload, store.identify())

    def write_result(self, job_id: str, payload: Buffer) -> bytes:
        """Writes the result of a job, also into the reserve: what lets the queue drain must get through.

        Returns:
            The reference to it.

        Raises:
            QueueFullError: There is no room for it.
            StoreUnavailableError: The store cannot be used.
        """
        store = self._get_store()
        key = make_key(job_id, BlobPart.RESULT)
        store.write(key, payload)
        return write_reference(key, payload, store.identify())

    def read(self, reference: BlobReference) -> memoryview:
        """Reads what a reference stands for.

        Raises:
            BlobNotFoundError: It is not there.
            StoreUnavailableError: This process has no access to it.
        """
        return self._get_store_of(reference).read(reference.key, reference.size)

    def read_part(self, reference: BlobReference, first: int, length: int) -> bytes:
        """Reads a part of it; see `read`."""
        return self._get_store_of(reference).read_part(reference.key, reference.size, first, length)

    def _get_store_of(self, reference: BlobReference) -> BlobStore:
        store = self._get_store()
        if store.identify() != reference.store:
            raise StoreUnavailableError(
                f"The payload lies in the blob store {reference.store!r}, and {store.name} is another one. "
                "Processes of one service need the same (INFERQ_BLOB_STORE)."
            )
        return store

    def _get_store(self) -> BlobStore:
        if self.store is None:
            raise StoreUnavailableError(
                "The payload lies in a blob store, and this process has none. Set INFERQ_BLOB_STORE as the "
                "other processes of the service have it."
            )
        return self.store
