"""Data on its way into a blob store, which is a folder here."""

import os
import threading

import pytest

from inferq.blobs import folder_store
from inferq.errors import InvalidInputError, StoreUnavailableError
from inferq.queue import blob_access
from inferq.queue.blob_access import BlobAccess
from inferq.queue.producer import data_upload
from inferq.queue.producer.data_upload import DataUpload
from inferq.queue.producer.submission import Submission
from inferq.settings import Settings
from inferq.tensors.envelope import read_reference
from tests.servers import wait_until

MIB = 1024 * 1024


@pytest.fixture
def blobs(tmp_path):
    return BlobAccess(Settings(blob_store=tmp_path.as_uri(), blob_reserve_bytes=0, durability="fsync"))


@pytest.fixture
def files(tmp_path):
    return lambda: list(tmp_path.glob("??/*"))


async def upload(blobs, pieces, size, observe=None):
    """Sends pieces of 1 MiB."""
    async with DataUpload(blobs, Submission("m", b""), size, observe) as one:
        for number in range(pieces):
            await one.add(bytes([number]) * MIB)
        return await one.finish()


async def test_job_refers_to_all_pieces_in_order_and_each_was_seen(blobs, files):
    seen = []
    job = await upload(blobs, 9, 9 * MIB, seen.append)
    [file] = files()
    expected = b"".join(bytes([number]) * MIB for number in range(9))
    assert file.read_bytes() == b"".join(seen) == expected
    assert (job.blob_bytes, read_reference(job.data).size) == (9 * MIB, 9 * MIB)


@pytest.mark.parametrize("size", [3 * MIB - 1, 3 * MIB + 1])
async def test_data_of_another_length_than_announced_is_refused_and_removed(blobs, files, size):
    with pytest.raises(InvalidInputError, match=f"have come, and {size:,} were announced"):
        await upload(blobs, 3, size)
    assert files() == []


async def test_store_that_takes_nothing_any_more_is_given_up_and_leaves_nothing_when_it_is_back(
    blobs, files, monkeypatch
):
    gate, write = threading.Event(), os.write

    def write_when_allowed(file, data):
        gate.wait(60)
        return write(file, data)

    blobs.store.identify()
    monkeypatch.setattr("inferq.blobs.folder_store.os.write", write_when_allowed)
    monkeypatch.setattr(data_upload, "_BASE_SECONDS", 0.05)
    monkeypatch.setattr(blob_access, "_AWAY_SECONDS", 60.0)
    try:
        with pytest.raises(StoreUnavailableError, match="has not taken what it was given within"):
            await upload(blobs, 64, 64 * MIB)
        assert blobs.is_at_fault
    finally:
        gate.set()
    wait_until(lambda: not files())


async def test_long_data_that_has_to_be_on_disk_is_synced_while_it_comes(blobs, monkeypatch):
    synced, sync = [], os.fdatasync

    def note(file):
        synced.append(os.fstat(file).st_size)
        sync(file)

    monkeypatch.setattr("inferq.blobs.folder_store.os.fdatasync", note)
    monkeypatch.setattr(folder_store, "_MOST_UNSYNCED_BYTES", 2 * MIB)
    await upload(blobs, 5, 5 * MIB)
    assert synced == [2 * MIB, 4 * MIB]
