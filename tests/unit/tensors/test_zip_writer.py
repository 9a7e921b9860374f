import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferq.tensors.zip_archive import read_members
from inferq.tensors.zip_writer import ZipWriter

MEMBERS = st.dictionaries(st.text("aé/", min_size=1, max_size=4), st.lists(st.binary(max_size=9)), max_size=4)


@given(MEMBERS)
def test_archive_has_the_length_it_says_and_is_what_was_written(members):
    writer = ZipWriter([(name, sum(map(len, parts))) for name, parts in members.items()])
    written = b""
    for parts in members.values():
        written += writer.begin_member() + b"".join(map(writer.add, parts)) + writer.end_member()
    written += writer.end()
    assert len(written) == writer.length
    expected = {name: b"".join(parts) for name, parts in members.items()}
    with zipfile.ZipFile(io.BytesIO(written)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == expected
    assert {name: bytes(data) for name, data in read_members(written).items()} == expected


def test_archive_of_more_than_4_gib_is_refused():
    with pytest.raises(ValueError, match="longer than 4 GiB"):
        ZipWriter([("x", 2**32)])


def test_name_that_no_archive_takes_is_refused():
    with pytest.raises(ValueError, match="longer than 65,535 bytes"):
        ZipWriter([("é" * 32_768, 1)])
