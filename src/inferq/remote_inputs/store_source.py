"""Reads objects in buckets, and uploads."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from inferq.blobs import Uploads, open_store, open_user_objects
from inferq.errors import (
    BlobNotFoundError,
    BodyTooLargeError,
    InputDeniedError,
    InputNotFoundError,
    InputTooLargeError,
    InputUnavailableError,
    InvalidSettingError,
    StoreDeniedError,
    StoreMissingError,
    StoreUnavailableError,
)
from inferq.remote_inputs.fetch_budget import FetchBudget
from inferq.remote_inputs.source_rules import UPLOAD
from inferq.tensors.values import Buffer

_THREADS = 4
"""So many objects are read at one time, each of which may be as long as a job's budget."""


class StoreSource:
    """Reads the objects and the uploads that jobs name, with the credentials of this process.

    Args:
        blob_store: The setting of that name: where uploads are.
    """

    def __init__(self, blob_store: str) -> None:
        self._store = open_store(blob_store)
        self._threads = ThreadPoolExecutor(_THREADS, "store-source")

    def close(self) -> None:
        """Begins no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def fetch(self, url: str, budget: FetchBudget) -> Buffer:
        """Reads an object, or an upload.

        Args:
            url: Its URL, `s3://bucket/key` or `upload:ID`.
            budget: How long it may be.

        Raises:
            InputUnavailableError: The bucket cannot be used now, or not by this worker.
            InputNotFoundError: There is no such object, bucket or upload.
            InputDeniedError: This worker may not read it.
            InputTooLargeError: It is longer.
        """
        loop = asyncio.get_running_loop()
        data = await loop.run_in_executor(self._threads, partial(self._read, url, budget.left))
        budget.take(len(data))
        return data

    def _read(self, url: str, most_bytes: int) -> Buffer:
        try:
            if self._store is not None and url.startswith(UPLOAD):
                return Uploads(self._store).read(url.removeprefix(UPLOAD), most_bytes)
            return open_user_objects().read(url, most_bytes)
        except BodyTooLargeError as error:
            raise InputTooLargeError(f"{error.message} (INFERQ_MAX_INPUT_BYTES)") from error
        except (BlobNotFoundError, StoreMissingError) as error:
            raise InputNotFoundError(error.message) from error
        except StoreDeniedError as error:
            raise InputDeniedError(error.message) from error
        except (StoreUnavailableError, InvalidSettingError) as error:
            raise InputUnavailableError(error.message) from error
