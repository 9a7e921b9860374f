"""Which writes to the blob store are done on the event loop."""

import pytest

from inferq.queue.blob_access import BlobAccess
from inferq.queue.producer.short_writes import ShortWrites
from inferq.settings import Settings

SHORT = 100_000


class Clock:
    """A clock that a test sets."""

    now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("inferq.queue.producer.short_writes.time", clock)
    return clock


def make_writes(tmp_path, is_local=True, **settings):
    blobs = BlobAccess(Settings(blob_store=tmp_path.as_uri(), **settings))
    blobs.identify_store()
    blobs.store._is_local = is_local
    return ShortWrites(blobs)


def test_short_write_to_a_folder_of_this_machine_is_done_on_the_event_loop(tmp_path):
    assert make_writes(tmp_path).allow(SHORT)


@pytest.mark.parametrize(
    ("settings", "size"),
    [({}, 1024 * 1024 + 1), ({"durability": "fsync"}, SHORT), ({"is_local": False}, SHORT)],
)
def test_write_that_may_take_long_is_not(tmp_path, settings, size):
    assert not make_writes(tmp_path, **settings).allow(size)


@pytest.mark.parametrize("is_failing", [False, True])
def test_none_is_for_a_while_after_one_has_taken_long(tmp_path, clock, is_failing):
    writes = make_writes(tmp_path)

    def write():
        clock.now += 0.05
        if is_failing:
            raise OSError("full")

    if is_failing:
        with pytest.raises(OSError, match="full"):
            writes.watch(write)
    else:
        writes.watch(write)
    assert not writes.allow(SHORT)
    clock.now += 10
    assert writes.allow(SHORT)
