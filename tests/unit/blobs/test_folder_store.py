import errno
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from inferq.blobs import BlobPart, FolderStore, find_owner, has_storable_id, make_id, make_key, open_store
from inferq.blobs import folder_store as folder_store_module
from inferq.errors import BlobNotFoundError, QueueFullError, StoreUnavailableError

DATA = bytes(range(256)) * 400


@pytest.fixture
def store(tmp_path):
    return FolderStore(tmp_path / "blobs")


def files_of(store):
    return [path for path in store._folder.rglob("*") if path.is_file() and not path.name.startswith(".")]


def write(store, data=DATA, job_id="4f"):
    key = make_key(job_id, BlobPart.DATA)
    store.write(key, data)
    return key


@pytest.mark.parametrize("maps", [True, False], ids=["mapped", "read"])
@pytest.mark.parametrize("data", [DATA, b"", bytearray(b"x")], ids=["long", "empty", "bytearray"])
def test_what_was_written_is_read_whole_and_in_parts(store, maps, data):
    key = write(store, data)
    store._is_local = maps
    assert store.read(key, len(data)) == data
    assert store.read_part(key, len(data), 0, 1 << 20) == data
    assert store.read_part(key, len(data), 100, 50) == bytes(data)[100:150]
    assert store.read_part(key, len(data), len(data), 50) == b""


def test_all_folders_are_made_at_the_start_where_hosts_may_remember_that_one_was_absent(store, monkeypatch):
    monkeypatch.setattr(folder_store_module, "is_on_local_disk", lambda _: False)
    store.identify()
    assert len(list(store._folder.glob("??"))) == 256
    assert store.read(write(store), len(DATA)) == DATA


def test_view_outlives_the_removal_of_its_blob(store):
    view = store.read(write(store), len(DATA))[1000:2000]
    store.delete(info.key for info in store.list_page().blobs)
    assert files_of(store) == []
    assert view == DATA[1000:2000]


@pytest.mark.parametrize("maps", [True, False], ids=["mapped", "read"])
@pytest.mark.parametrize("length", [0, 5000, len(DATA) + 1])
def test_file_of_another_length_is_refused_before_it_is_touched(store, maps, length):
    key = write(store)
    store._is_local = maps
    os.truncate(files_of(store)[0], length)
    with pytest.raises(BlobNotFoundError, match=f"has {length} bytes, and {len(DATA)} were written"):
        store.read(key, len(DATA))
    with pytest.raises(BlobNotFoundError):
        store.read_part(key, len(DATA), 0, 10)


def test_blob_that_is_not_there_is_told_and_deleted_twice_without_a_word(store):
    key = write(store)
    store.delete([key])
    store.delete([key])
    with pytest.raises(BlobNotFoundError, match="no blob"):
        store.read(key, len(DATA))


@pytest.mark.parametrize("key", ["../../etc/passwd", "a/data/../../../x", "a/status/0123456789abcdef", "a"])
def test_no_key_leads_out_of_the_folder(store, key):
    with pytest.raises(BlobNotFoundError, match="no key"):
        store.read(key, 1)
    with pytest.raises(BlobNotFoundError):
        store.write(key, b"x")


def test_keys_tell_whose_they_are():
    assert find_owner(make_key("job-7_A", BlobPart.RESULT)) == ("job-7_A", BlobPart.RESULT)
    assert [has_storable_id(one) for one in ("0a", "a/b", "a.b", "ä", "", "x" * 129)] == [True] + 5 * [False]


def test_reserve_is_left_free(store):
    free = store.measure_space()
    with pytest.raises(QueueFullError, match="INFERQ_BLOB_RESERVE_BYTES"):
        store.write(make_key("4f", BlobPart.DATA), DATA, reserve_bytes=free)
    assert files_of(store) == []


@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_disk_that_fails_in_the_middle_leaves_nothing(store, monkeypatch, fault):
    written = []

    def fail_later(file, data):
        if written:
            raise OSError(fault, os.strerror(fault))
        written.append(os.writev(file, [data[:1000]]))
        return 1000

    monkeypatch.setattr(folder_store_module.os, "write", fail_later)
    store.identify = lambda: "0" * 16  # its mark is written with the same call
    store._folder.mkdir()
    monkeypatch.setattr(store, "check", lambda: None)
    with pytest.raises(StoreUnavailableError if fault == errno.EIO else QueueFullError):
        store.write(make_key("4f", BlobPart.DATA), DATA)
    assert written
    assert files_of(store) == []


def test_synced_blob_is_on_the_disk_with_its_name(store, monkeypatch):
    synced = []
    store.identify()
    monkeypatch.setattr(
        folder_store_module.os, "fsync", lambda file: synced.append(Path(f"/proc/self/fd/{file}").readlink())
    )
    store.write(make_key("4f", BlobPart.DATA), DATA, is_synced=True)
    [path] = files_of(store)
    assert synced == [store._folder, path, path.parent]


def test_listing_shows_all_blobs_page_by_page_with_size_and_age(store, monkeypatch):
    monkeypatch.setattr(folder_store_module, "_PAGE_BLOBS", 10)
    keys = {write(store) for _ in range(100)}
    (store._folder / "0a").mkdir(exist_ok=True)
    (store._folder / "0a" / "of-others.txt").touch()
    old = files_of(store)[0]
    os.utime(old, (0, 0))
    pages = [store.list_page()]
    while pages[-1].cursor:
        pages.append(store.list_page(pages[-1].cursor))
    blobs = [blob for page in pages for blob in page.blobs]
    assert len(pages) > 3
    assert {blob.key for blob in blobs} == keys
    assert len(blobs) == 100
    assert {blob.size for blob in blobs} == {len(DATA)}
    ages = sorted(blob.age_seconds for blob in blobs)
    assert ages[-1] > 1e9
    assert ages[-2] < 60


def test_processes_that_share_the_folder_know_it_by_its_id_and_others_do_not(tmp_path):
    folder = tmp_path / "a b"
    with ThreadPoolExecutor(8) as threads:
        ids = set(threads.map(lambda _: FolderStore(folder).identify(), range(32)))
    assert ids == {open_store(folder.as_uri()).identify()}
    assert ids.isdisjoint({FolderStore(tmp_path / "other").identify()})


def test_store_belongs_to_the_queue_that_asks_first(store):
    first, second = make_id(), make_id()
    assert store.belongs_to(first)
    assert not store.belongs_to(second)
    assert store.belongs_to(first)


def test_folder_that_is_another_one_now_takes_nothing(store, tmp_path):
    store.identify()
    store._folder.rename(tmp_path / "unmounted")
    store._folder.mkdir()
    with pytest.raises(StoreUnavailableError, match="not the folder that it was"):
        write(store)
    with pytest.raises(StoreUnavailableError, match="not the folder that it was"):
        store.belongs_to(make_id())
    assert list(store._folder.iterdir()) == []


def test_folder_that_takes_no_files_any_more_is_at_fault_and_can_still_be_read(store, monkeypatch):
    key = write(store)
    store.check()
    monkeypatch.setattr(os, "access", lambda _path, mode: not mode & os.W_OK)  # as if mounted anew
    with pytest.raises(StoreUnavailableError, match="cannot be written to"):
        store.check()
    assert bytes(store.read(key, len(DATA))) == DATA
    with pytest.raises(BlobNotFoundError):
        store.read(make_key("other", BlobPart.DATA), 4)


@pytest.mark.parametrize("mount_point_is_there", [True, False])
def test_blob_of_a_folder_that_is_unmounted_is_not_taken_for_gone(store, tmp_path, mount_point_is_there):
    key = write(store)
    store._folder.rename(tmp_path / "unmounted")
    if mount_point_is_there:
        store._folder.mkdir()
    for read in (
        lambda: store.read(key, len(DATA)),
        lambda: store.read_part(key, len(DATA), 0, 10),
        store.check,
    ):
        with pytest.raises(StoreUnavailableError, match="not the folder that it was") as error:
            read()
        assert not isinstance(error.value, BlobNotFoundError)
    if mount_point_is_there:
        store._folder.rmdir()
    (tmp_path / "unmounted").rename(store._folder)
    assert store.read(key, len(DATA)) == DATA


def test_folder_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailableError, match=r"Not a directory.*INFERQ_BLOB_STORE"):
        write(FolderStore(tmp_path / "file" / "blobs"))


def test_no_store_is_made_of_an_empty_setting():
    assert open_store("") is None


def test_process_that_reads_a_short_file_lives_on(store):
    key = write(store)
    os.truncate(files_of(store)[0], 10)
    code = (
        "import sys; from pathlib import Path; from inferq.blobs import FolderStore\n"
        "try: sum(FolderStore(Path(sys.argv[1])).read(sys.argv[2], int(sys.argv[3])))\n"
        "except Exception as error: print(type(error).__name__)"
    )
    command = [sys.executable, "-c", code, str(store._folder), key, str(len(DATA))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "BlobNotFoundError"
