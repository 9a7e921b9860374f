import pytest

from inferq.blobs import FolderStore, Uploads, belongs_to_key, make_upload_id
from inferq.errors import BlobNotFoundError, BodyTooLargeError, StoreUnavailableError


@pytest.fixture
def uploads(tmp_path):
    return Uploads(FolderStore(tmp_path))


def put(uploads, upload_id, *parts):
    upload = uploads.open(upload_id, sum(map(len, parts)), 0)
    for part in parts:
        upload.add(part)
    return upload


def test_upload_is_there_once_it_is_whole_and_may_be_replaced(uploads):
    upload_id = make_upload_id("me")
    upload = put(uploads, upload_id, b"ab", b"c")
    with pytest.raises(BlobNotFoundError):
        uploads.read(upload_id, 10)
    upload.finish()
    assert bytes(uploads.read(upload_id, 3)) == b"abc"
    before = uploads.read(upload_id, 3)
    put(uploads, upload_id, b"other").finish()
    assert (bytes(before), bytes(uploads.read(upload_id, 5))) == (b"abc", b"other")
    with pytest.raises(BodyTooLargeError, match="has 5 bytes"):
        uploads.read(upload_id, 4)


def test_what_is_abandoned_leaves_nothing(uploads, tmp_path):
    put(uploads, make_upload_id(""), b"abc").abandon()
    assert not list(tmp_path.glob("??/*"))


def test_upload_that_cannot_take_its_name_leaves_nothing(uploads, tmp_path):
    upload_id = make_upload_id("")
    upload = put(uploads, upload_id, b"abc")
    (tmp_path / upload_id[:2] / f"{upload_id}.upload.{upload_id[:16]}").mkdir(parents=True)
    with pytest.raises(StoreUnavailableError, match="cannot be used"):
        upload.finish()
    upload.abandon()
    assert not [path for path in tmp_path.glob("??/*") if path.is_file()]


def test_no_other_file_of_the_store_can_be_named(uploads):
    for upload_id in ("", "x", "../x", f"{'0' * 32}-0000000g", f"{'0' * 32}-00000000/../x"):
        assert not belongs_to_key(upload_id, "")
        with pytest.raises(BlobNotFoundError):
            uploads.read(upload_id, 10)


def test_id_tells_whose_it_is():
    assert belongs_to_key(make_upload_id("a"), "a")
    assert not belongs_to_key(make_upload_id("a"), "b")
    assert not belongs_to_key(make_upload_id(""), "a")


def test_file_that_is_not_there_is_told_by_its_id_and_not_by_where_the_store_is(uploads, tmp_path):
    upload_id = make_upload_id("")
    with pytest.raises(BlobNotFoundError, match=f"no file for upload {upload_id}.*has expired") as error:
        uploads.read(upload_id, 10)
    assert str(tmp_path) not in error.value.message
