"""Objects that users name, in a bucket of a real S3 server."""

import os

import pytest

from inferq.blobs import open_user_objects
from inferq.errors import BlobNotFoundError, BodyTooLargeError, InvalidInputError, StoreMissingError

LONG = os.urandom(300_000) * 40


@pytest.mark.parametrize("data", [b"a picture", LONG, b""], ids=["short", "long", "empty"])
def test_object_is_written_from_pieces_and_read_whole(bucket_url, data):
    objects, url = open_user_objects(), f"{bucket_url}/my pictures/ä 1.png"
    objects.write(url, (data[first : first + 1_000_000] for first in range(0, len(data), 1_000_000)))
    assert objects.read(url, len(data)) == data


def test_object_that_is_too_long_is_not_read(bucket_url):
    objects, url = open_user_objects(), f"{bucket_url}/long"
    objects.write(url, [LONG])
    with pytest.raises(BodyTooLargeError, match=f"{len(LONG)} bytes, and at most 1000"):
        objects.read(url, 1000)


def test_object_and_bucket_that_are_not_there_are_told_apart(bucket_url):
    with pytest.raises(BlobNotFoundError, match="no object 'nothing'"):
        open_user_objects().read("s3://inferq-test/nothing", 10)
    with pytest.raises(StoreMissingError, match="does not exist"):
        open_user_objects().read("s3://no-such-bucket/nothing", 10)


@pytest.mark.parametrize(
    "url",
    [
        "s3://b/x",
        "s3://bucket",
        "s3://bucket/",
        "s3://bucket/a/../b",
        "s3://bucket/a?x=1",
        "s3://bucket/a\n",
        "http://a/b",
    ],
)
def test_what_is_no_url_of_an_object_is_refused(url):
    with pytest.raises(InvalidInputError, match=r"s3://bucket/key"):
        open_user_objects().read(url, 10)
