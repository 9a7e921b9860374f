from dataclasses import replace
from datetime import UTC, datetime

import pytest

from inferq.doctor.blob_checks import check_blob_store, check_sharing
from inferq.jobs import WorkerInfo
from inferq.settings import Settings

WORKER = WorkerInfo("worker-1", "here", 1, ("iris",), datetime(2026, 1, 1, tzinfo=UTC), blob_store="5" * 16)


@pytest.fixture
def settings(tmp_path):
    return Settings(blob_store=(tmp_path / "blobs").as_uri(), blob_reserve_bytes=0)


def levels(found):
    return [(one.check, one.level.value) for one in found]


def test_store_that_can_be_used_is_well_and_left_as_it_was(settings, tmp_path):
    store_id, [found] = check_blob_store(settings)
    assert len(store_id) == 16
    assert (found.level.value, "GB free" in found.message) == ("ok", True)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [".inferq-blobs"]


def test_without_a_store_there_is_nothing_to_check():
    assert check_blob_store(Settings()) == ("", [])
    assert levels(check_sharing(Settings(), "", [replace(WORKER, blob_store="")])) == []


def test_store_that_cannot_be_used_or_has_no_room_is_an_error(settings, tmp_path):
    full = settings.model_copy(update={"blob_reserve_bytes": 1 << 60})
    assert levels(check_blob_store(full)[1]) == [("blobs", "error")]
    (tmp_path / "file").touch()
    broken = settings.model_copy(update={"blob_store": (tmp_path / "file").as_uri()})
    assert levels(check_blob_store(broken)[1]) == [("blobs", "error")]


def test_workers_with_another_store_or_none_are_named(settings):
    workers = [WORKER, replace(WORKER, id="worker-2", blob_store="")]
    [found] = check_sharing(settings, WORKER.blob_store, workers)
    assert (found.level.value, "1 of 2 workers" in found.message, "worker-2" in found.message) == (
        "warning",
        True,
        True,
    )
    assert levels(check_sharing(settings, WORKER.blob_store, [WORKER])) == []
    [found] = check_sharing(Settings(), "", workers)
    assert "this environment names none" in found.message
