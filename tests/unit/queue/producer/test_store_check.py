"""Checks of a blob store that hangs, or that fails in a way of its own."""

import asyncio
import threading

import pytest

from inferq.errors import QueueFullError
from inferq.queue.blob_access import BlobAccess
from inferq.queue.producer import store_check
from inferq.queue.producer.store_check import StoreCheck
from inferq.settings import Settings


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """What is said comes in time, and is known until the test ends, however slow the machine is."""
    assert store_check._FRESH_SECONDS == 1.0
    monkeypatch.setattr(store_check, "_FRESH_SECONDS", 60.0)
    monkeypatch.setattr(store_check, "_LONGEST_SECONDS", 60.0)


def make_blobs(tmp_path, check):
    blobs = BlobAccess(Settings(blob_store=(tmp_path / "blobs").as_uri()))
    blobs.store.identify()
    blobs.store.check = check
    return blobs


async def test_store_that_hangs_keeps_one_thread_however_many_ask(tmp_path, monkeypatch):
    monkeypatch.setattr(store_check, "_LONGEST_SECONDS", 0.05)
    calls, is_released = [], threading.Event()

    def hang():
        calls.append(1)
        is_released.wait(60)

    check = StoreCheck(make_blobs(tmp_path, hang))
    for _ in range(3):
        for fault in await asyncio.gather(*(check.find_fault() for _ in range(5))):
            assert "has not answered" in fault
    async with asyncio.timeout(60):
        while not calls:  # its thread has not begun yet
            await asyncio.sleep(0.01)
    assert len(calls) == 1
    is_released.set()
    async with asyncio.timeout(60):
        while await check.find_fault():
            await asyncio.sleep(0.01)
    assert len(calls) == 1, "what it says at last is taken"


async def test_whatever_a_store_complains_of_is_said_and_asked_once_a_second(tmp_path):
    calls = []

    def refuse():
        calls.append(1)
        raise QueueFullError("The blob store is full.")

    check = StoreCheck(make_blobs(tmp_path, refuse))
    assert {await check.find_fault() for _ in range(5)} == {"The blob store is full."}
    assert len(calls) == 1


async def test_store_that_was_never_used_is_not_made(tmp_path):
    check = StoreCheck(BlobAccess(Settings(blob_store=(tmp_path / "blobs").as_uri())))
    assert await check.find_fault() == ""
    assert not (tmp_path / "blobs").exists()
