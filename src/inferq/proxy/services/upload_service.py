"""Uploads: files that clients send before the jobs that name them."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

from fastapi import Request

from inferq.blobs import Uploads, belongs_to_key, make_upload_id, open_store
from inferq.errors import (
    BodyTooLargeError,
    NoBlobStoreError,
    UnsupportedEncodingError,
    UploadNotFoundError,
)
from inferq.proxy.http.bodies.body_budget import BodyShare
from inferq.proxy.http.bodies.body_reader import read_length
from inferq.proxy.http.bodies.incoming_body import IncomingBody
from inferq.settings import Settings

_THREADS = 4
_PIECE_BYTES = 1024 * 1024
"""So much is gathered before a thread writes it."""
_SIGNED_SECONDS = 3600.0
"""Longest time for which a URL of a bucket is signed."""


class IssuedUpload(NamedTuple):
    """Where a client may put a file.

    Attributes:
        id: The upload's id.
        url: Where to PUT it: a URL of a bucket, or a path of this service.
        expires_seconds: How long the URL may be used.
    """

    id: str
    url: str
    expires_seconds: float


class UploadService:
    """Issues uploads, and receives those for which no bucket does.

    Args:
        settings: Where the blob store is, and how long a file may be.
    """

    def __init__(self, settings: Settings) -> None:
        store = open_store(settings.blob_store)
        self._uploads = None if store is None else Uploads(store)
        self._reserve_bytes = settings.blob_reserve_bytes
        self._most_bytes = settings.max_input_bytes
        self._ttl_seconds = settings.upload_ttl_seconds
        self._settings = settings.model_copy(update={"max_body_bytes": settings.max_input_bytes})
        self._threads = ThreadPoolExecutor(_THREADS, "uploads")

    def close(self) -> None:
        """Ends the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def issue(self, owner: str) -> IssuedUpload:
        """Makes an upload.

        Args:
            owner: Name of the API key that may use it; empty for none.

        Raises:
            NoBlobStoreError: There is no blob store.
            StoreUnavailableError: It cannot be used.
        """
        uploads, upload_id = self._get_uploads(), make_upload_id(owner)
        seconds = min(self._ttl_seconds, _SIGNED_SECONDS)
        url = await self._call(lambda: uploads.sign(upload_id, seconds))
        if url is None:
            return IssuedUpload(upload_id, f"/uploads/{upload_id}", self._ttl_seconds)
        return IssuedUpload(upload_id, url, seconds)

    async def receive(self, request: Request, upload_id: str, owner: str, share: BodyShare) -> int:
        """Receives a file into the folder of the blob store, while it comes.

        Args:
            request: The request that sends it.
            upload_id: The upload.
            owner: Name of the API key that sends it; empty for none.
            share: Counts what is held of it.

        Returns:
            How long it is, bytes.

        Raises:
            InferqError: It is refused, or cannot be stored. Then nothing of it is left.
            ClientDisconnect: The client has disconnected. Likewise.
        """
        uploads = self._get_uploads()
        if not belongs_to_key(upload_id, owner):
            raise UploadNotFoundError(
                "This is no upload of yours. POST /uploads makes one, and says where to PUT it."
            )
        if request.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
            raise UnsupportedEncodingError(
                "An upload is kept as it is sent, and workers do not decompress it. Send it without "
                "Content-Encoding."
            )
        try:
            length = read_length(request, self._settings)
            body = IncomingBody(request, share, self._settings, 0)
            file = await self._call(lambda: uploads.open(upload_id, length or 0, self._reserve_bytes))
            if file is None:
                raise UploadNotFoundError(
                    "The blob store of this service is a bucket. PUT the file to the URL that POST /uploads "
                    "has answered."
                )
            try:
                share.take(2 * _PIECE_BYTES)
                size = await self._write(body, file.add)
                await self._call(file.finish)
            except BaseException:
                await asyncio.shield(self._call(file.abandon))
                raise
        except BodyTooLargeError as error:
            raise BodyTooLargeError(
                f"The file is longer than {self._most_bytes} bytes (INFERQ_MAX_INPUT_BYTES)."
            ) from error
        return size

    async def _write(self, body: IncomingBody, add: Callable[[bytes], None]) -> int:
        gathered, size = bytearray(), 0
        async for part in body.receive_parts():
            gathered += part
            size += len(part)
            if len(gathered) >= _PIECE_BYTES:
                piece, gathered = bytes(gathered), bytearray()
                await self._call(partial(add, piece))
        await self._call(partial(add, bytes(gathered)))
        return size

    async def _call[T](self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _get_uploads(self) -> Uploads:
        if self._uploads is None:
            raise NoBlobStoreError(
                "Uploads need a blob store, and this service has none (INFERQ_BLOB_STORE). Send the data "
                "itself."
            )
        return self._uploads
