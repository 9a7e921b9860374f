"""A bucket of a real S3 server as a blob store."""

import os
import socket
import sys
import urllib.request
import weakref
from concurrent.futures import ThreadPoolExecutor

import obstore
import pytest
from obstore.store import S3Store

from inferq.blobs import BlobPart, bucket, make_id, make_key, open_store
from inferq.blobs.bucket import Bucket
from inferq.doctor.blob_checks import check_blob_store
from inferq.errors import (
    BlobNotFoundError,
    InvalidSettingError,
    StoreDeniedError,
    StoreMissingError,
    StoreSlowError,
    StoreUnavailableError,
)
from inferq.settings import Settings
from tests.servers import free_port

DATA = bytes(range(256)) * 400
LONG = os.urandom(300_000) * 40
"""Longer than a part."""


@pytest.fixture
def store(bucket_url):
    return open_store(bucket_url)


@pytest.fixture
def objects(bucket_url):
    """Keys of all objects of the test, as another program sees them."""
    prefix = bucket_url.rpartition("/")[2]
    client = S3Store("inferq-test", client_options={"allow_http": True})
    return lambda: {
        one["path"].removeprefix(f"{prefix}/"): one["size"] for one in obstore.list(client, prefix).collect()
    }


def write(store, data=DATA, job_id="4f"):
    key = make_key(job_id, BlobPart.DATA)
    store.write(key, data)
    return key


@pytest.mark.parametrize("data", [DATA, b"", bytearray(b"x"), LONG], ids=["short", "empty", "array", "long"])
def test_what_was_written_is_read_whole_and_in_parts(store, data):
    key = write(store, data)
    assert store.read(key, len(data)) == data
    assert store.read_part(key, len(data), 0, 1000) == bytes(data[:1000])
    assert store.read_part(key, len(data), 100, 50) == bytes(data)[100:150]
    assert store.read_part(key, len(data), len(data), 50) == b""


@pytest.mark.parametrize("data", [DATA, LONG], ids=["short", "long"])
def test_pieces_become_one_object(store, data):
    key = make_key("4f", BlobPart.RESULT)
    store.write_pieces(
        key, len(data), (data[first : first + 100_001] for first in range(0, len(data), 100_001))
    )
    assert store.read(key, len(data)) == data


@pytest.mark.parametrize("size", [len(DATA), len(LONG)], ids=["short", "long"])
@pytest.mark.parametrize("fault", [ValueError("lost"), FileNotFoundError("lost")], ids=["value", "file"])
def test_piece_that_cannot_be_read_leaves_nothing(store, objects, object_server, size, fault):
    def read_pieces():
        yield from (LONG[first : first + 1_000_000] for first in range(0, size, 1_000_000))
        raise fault

    before = object_server.list_unfinished_uploads()  # of workers that other tests killed
    with pytest.raises(type(fault), match="lost"):
        store.write_pieces(make_key("4f", BlobPart.RESULT), size + 1, read_pieces())
    assert objects().keys() == {".inferq-blobs"}
    assert [one for one in object_server.list_unfinished_uploads() if one not in before] == []


def test_parts_of_what_was_given_up_are_freed_at_once(store, uncollected):
    class GivenUpError(Exception):
        pass

    def read_pieces():
        yield LONG
        raise GivenUpError

    try:
        store.write_pieces(make_key("4f", BlobPart.DATA), len(LONG) + 1, read_pieces())
    except GivenUpError as error:
        known = weakref.ref(error)  # its traceback has the frames that refer to the parts
    assert known() is None


@pytest.mark.parametrize("written", [0, 5000, len(DATA) + 1])
def test_object_of_another_length_is_refused(store, written):
    key = write(store, DATA * 2)[:]
    store.write(key, (DATA * 2)[:written])
    for read in (lambda: store.read(key, len(DATA)), lambda: store.read_part(key, len(DATA), 6000, 10)):
        with pytest.raises(BlobNotFoundError):
            read()


def test_blob_that_is_not_there_is_told_and_deleted_twice_without_a_word(store):
    keys = [write(store) for _ in range(3)]
    store.delete(keys)
    store.delete(keys)
    store.delete([])
    with pytest.raises(BlobNotFoundError, match="no object"):
        store.read(keys[0], len(DATA))


def test_no_key_leads_out_of_the_store(store):
    for key in ("../../x", "a/data/../../../x", "a/status/0123456789abcdef", "a"):
        with pytest.raises(BlobNotFoundError, match="no key"):
            store.read(key, 1)


def test_listing_shows_all_blobs_page_by_page_and_nothing_else(store, bucket_url, objects, monkeypatch):
    monkeypatch.setattr(bucket, "_PAGE_OBJECTS", 4)
    keys = {write(store) for _ in range(10)}
    write(open_store(f"{bucket_url}/shard-1"))
    stranger = S3Store("inferq-test", client_options={"allow_http": True})
    prefix = bucket_url.rpartition("/")[2]
    for name in ("blobs/00/of others.txt", "blobs/zz/of others.txt", "blobs/x", "x"):
        obstore.put(stranger, f"{prefix}/{name}", b"x")
    pages = [store.list_page()]
    while pages[-1].cursor:
        assert " " not in pages[-1].cursor
        pages.append(store.list_page(pages[-1].cursor))
    blobs = [blob for page in pages for blob in page.blobs]
    assert len(pages) == 4
    assert {blob.key for blob in blobs} == keys
    assert {blob.size for blob in blobs} == {len(DATA)}
    assert all(-2 < blob.age_seconds < 60 for blob in blobs)
    assert set(objects()) >= {".inferq-blobs", ".inferq-clock", "shard-1/.inferq-blobs", "x"}


def test_processes_that_share_the_prefix_know_it_by_its_id_and_others_do_not(bucket_url):
    with ThreadPoolExecutor(8) as threads:
        ids = set(threads.map(lambda _: open_store(bucket_url).identify(), range(16)))
    assert ids == {open_store(f"{bucket_url}/").identify()}
    assert ids.isdisjoint({open_store(f"{bucket_url}/shard-1").identify()})


def test_object_that_is_there_is_not_written_anew(bucket_url):
    made, key = Bucket("inferq-test", "The bucket"), f"{bucket_url.rpartition('/')[2]}/once"
    assert [made.create(key, data) for data in (b"first", b"second")] == [True, False]
    assert made.read_mark(key) == "first"


def test_url_that_names_no_bucket_is_refused():
    with pytest.raises(StoreUnavailableError, match=r"s3://bucket/prefix"):
        open_store("s3://")


def test_store_belongs_to_the_queue_that_asks_first(store):
    first, second = make_id(), make_id()
    assert [store.belongs_to(one) for one in (first, second, first)] == [True, False, True]


def test_blob_of_a_store_that_is_another_one_now_is_not_taken_for_gone(store, bucket_url):
    key = write(store)
    stranger = S3Store("inferq-test", client_options={"allow_http": True})
    prefix = bucket_url.rpartition("/")[2]
    store.delete([key])
    obstore.put(stranger, f"{prefix}/.inferq-blobs", b"0" * 16)
    with pytest.raises(StoreUnavailableError, match="not the one that it was") as error:
        store.read(key, len(DATA))
    assert not isinstance(error.value, BlobNotFoundError)
    obstore.put(stranger, f"{prefix}/.inferq-blobs", b"nonsense")
    with pytest.raises(StoreUnavailableError, match="remove it"):
        open_store(bucket_url).identify()


def test_others_read_and_write_a_blob_by_a_signed_url(store):
    key = make_key("4f", BlobPart.DATA)
    put = urllib.request.Request(store.sign("PUT", key, 60), data=DATA, method="PUT")
    urllib.request.urlopen(put).close()
    assert store.read(key, len(DATA)) == DATA
    with urllib.request.urlopen(store.sign("GET", key, 60)) as answer:
        assert answer.read() == DATA


def test_doctor_uses_the_store_and_leaves_it_as_it_was(bucket_url, objects):
    store_id, [found] = check_blob_store(Settings(blob_store=bucket_url))
    assert (found.level.value, "can be used" in found.message) == ("ok", True)
    assert store_id == open_store(bucket_url).identify()
    assert objects().keys() == {".inferq-blobs"}


class TestStoreThatCannotBeUsed:
    def test_doctor_tells_what_to_do(self, bucket_url, store, object_server, monkeypatch):
        store.identify()
        settings = Settings(blob_store=bucket_url)
        self._read_only(object_server, monkeypatch)
        _, [found] = check_blob_store(settings)
        assert (found.level.value, "credentials" in found.remedy) == ("error", True)
        monkeypatch.setattr(bucket, "_RETRIES", 0)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
        _, [found] = check_blob_store(settings)
        assert (found.level.value, "Connection refused" in found.message) == ("error", True)

    @pytest.mark.usefixtures("bucket_url")
    def test_bucket_that_does_not_exist_is_told(self):
        with pytest.raises(StoreMissingError, match="does not exist"):
            Bucket("no-such-bucket", "The blob store x").list_page("")

    def test_refused_process_is_told_whatever_it_does(self, bucket_url, store, object_server, monkeypatch):
        key = write(store)
        self._read_only(object_server, monkeypatch)
        reader = open_store(bucket_url)
        assert reader.read(key, len(DATA)) == DATA
        for attempt in (
            lambda: write(reader),
            lambda: write(reader, LONG),
            lambda: reader.delete([key]),
            reader.list_page,
            open_store(f"{bucket_url}-new").identify,
        ):
            with pytest.raises(StoreDeniedError, match="AccessDenied"):
                attempt()
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-wrong-secret")
        with pytest.raises(StoreDeniedError, match="SignatureDoesNotMatch") as error:
            open_store(bucket_url).identify()
        assert "wrong-secret" not in str(error.value)

    def test_server_that_is_away_is_told_soon(self, bucket_url, monkeypatch):
        monkeypatch.setattr(bucket, "_RETRIES", 1)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
        with pytest.raises(StoreUnavailableError, match="Connection refused"):
            open_store(bucket_url).identify()

    def test_server_that_hangs_is_told_in_time(self, bucket_url, monkeypatch):
        monkeypatch.setattr(bucket, "_RETRIES", 1)
        monkeypatch.setattr(bucket, "_ANSWER_SECONDS", 0.5)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
            with pytest.raises(StoreSlowError, match="does not answer in time"):
                open_store(bucket_url).identify()

    def test_package_that_is_missing_is_named(self, monkeypatch):
        for name in ("object_store", "user_objects", "bucket", "bucket_errors"):
            monkeypatch.delitem(sys.modules, f"inferq.blobs.{name}", raising=False)
        monkeypatch.setitem(sys.modules, "obstore", None)
        with pytest.raises(InvalidSettingError, match=r"install inferq\[blobs\]"):
            open_store("s3://inferq-test/x")

    def test_fault_of_another_package_is_not_taken_for_that(self, monkeypatch):
        monkeypatch.delitem(sys.modules, "inferq.blobs.object_store", raising=False)
        monkeypatch.setitem(sys.modules, "inferq.blobs.bucket", None)
        with pytest.raises(ModuleNotFoundError, match="bucket"):
            open_store("s3://inferq-test/x")

    @staticmethod
    def _read_only(object_server, monkeypatch):
        for name, value in object_server.reading_environment.items():
            monkeypatch.setenv(name, value)
