import io
import zipfile
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferq.errors import InvalidInputError
from inferq.tensors import zip_archive
from inferq.tensors.npz_codec import read_data
from tests.unit.tensors.arrays import arrays_of_any_layout, arrays_of_text, make_numpy_array, save

ARRAY = np.arange(6, dtype="f4").reshape(2, 3)


def save_all(write=np.savez, **arrays) -> bytes:
    file = io.BytesIO()
    write(file, **arrays)
    return file.getvalue()


def make_archive(*members: tuple[str, bytes], method=zipfile.ZIP_STORED, comment=b"") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
        archive.comment = comment
    return file.getvalue()


def refusal(payload: bytes) -> str:
    with pytest.raises(InvalidInputError) as caught:
        read_data(payload)
    return caught.value.message


@given(
    st.dictionaries(
        st.text("aé/. ", min_size=1, max_size=5), arrays_of_any_layout() | arrays_of_text(), max_size=3
    ),
    st.sampled_from([np.savez, np.savez_compressed]),
)
def test_what_numpy_writes_is_read_as_the_same_arrays(arrays, write):
    found = read_data(save_all(write, **arrays))
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(make_numpy_array(found[name]), array)


def test_arrays_that_are_not_compressed_are_not_copied():
    payload = save_all(x=ARRAY)
    assert read_data(payload)["x"].data.obj is payload


def test_archive_with_a_comment_and_one_written_to_a_pipe_are_read():
    class Pipe(io.RawIOBase):
        def __init__(self):
            self.written = b""

        def writable(self):
            return True

        def write(self, part):
            self.written += bytes(part)
            return len(part)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", save(ARRAY))
    for payload in (pipe.written, make_archive(("x.npy", save(ARRAY)), comment=b"PK" * 200)):
        assert make_numpy_array(read_data(payload)["x"]).tolist() == ARRAY.tolist()


def test_name_that_comes_twice_is_refused():
    with pytest.warns(UserWarning, match="Duplicate"):
        payload = make_archive(("x.npy", save(ARRAY)), ("x.npy", save(ARRAY)))
    assert "it has 'x.npy' twice" in refusal(payload)


def test_archive_that_unpacks_to_more_than_is_allowed_is_refused(monkeypatch):
    payload = save_all(np.savez_compressed, a=np.zeros(4000, "u1"), b=np.zeros(4000, "u1"))
    assert read_data(payload)
    monkeypatch.setattr(zip_archive, "MOST_INFLATED_BYTES", 8000)
    assert "unpacks to more than 8,000 bytes" in refusal(payload)


def test_member_that_unpacks_to_more_than_it_says_is_refused_without_unpacking_it():
    payload = bytearray(make_archive(("x.npy", save(np.zeros(10**6, "u1"))), method=zipfile.ZIP_DEFLATED))
    entry = payload.rindex(b"PK\1\2")
    payload[entry + 24 : entry + 28] = (100).to_bytes(4, "little")
    assert "'x.npy' is damaged" in refusal(bytes(payload))


def test_members_that_overlap_are_refused():
    payload = make_archive(*((f"{number}.npy", save(np.zeros(900, "u1"))) for number in range(3)))
    first, second = (payload.index(b"PK\1\2"), payload.index(b"PK\1\2", payload.index(b"PK\1\2") + 1))
    entry = payload[first:second]
    entries = b"".join(entry.replace(b"0.npy", f"{number}.npy".encode()) for number in range(5))
    end = bytearray(payload[payload.rindex(b"PK\5\6") :])
    end[8:12] = (5).to_bytes(2, "little") * 2
    end[12:16] = len(entries).to_bytes(4, "little")
    assert "its members overlap" in refusal(payload[:first] + entries + bytes(end))


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"PK\3\4", "it has no directory"),
        (save_all(x=ARRAY)[:-10], "it has no directory"),
        (save_all(x=ARRAY).replace(b"PK\1\2", b"PK\1\0"), "its directory is damaged"),
        (save_all(x=ARRAY)[1:], "is not where"),
        (save_all(x=ARRAY).replace(ARRAY.tobytes(), ARRAY[::-1].tobytes()), "its checksum differs"),
        (make_archive(("x.npy", save(ARRAY)), method=zipfile.ZIP_BZIP2), "another method than deflate"),
        (make_archive(("cat.jpg", b"\xff\xd8\xff")), "'cat.jpg', which is no NumPy array"),
        (make_archive(("x.npy", b"PK")), "The member 'x.npy', a NumPy array, cannot be read"),
        (save_all(x=np.array([{}])), "The member 'x.npy' is a NumPy array of Python objects"),
        (make_archive(*((f"{number}", b"") for number in range(5000))), "5,000 members, more than 4,096"),
    ],
)
def test_what_is_damaged_or_no_archive_of_arrays_is_refused_with_the_reason(payload, reason):
    assert reason in refusal(payload)


@given(st.data())
def test_nothing_else_than_a_refusal_comes_of_damaged_bytes(data):
    payload = bytearray(
        save_all(data.draw(st.sampled_from([np.savez, np.savez_compressed])), x=ARRAY, y=ARRAY)
    )
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    with suppress(InvalidInputError):
        assert len(read_data(bytes(payload))) <= 2
