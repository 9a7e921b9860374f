import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferq.errors import InvalidInputError
from inferq.proxy.http.bodies.form_body import split_form


def part(head, data):
    return b"--b\r\n" + head + b"\r\n\r\n" + data + b"\r\n"


NAMED = b'Content-Disposition: form-data; name="x"'
WHOLE = part(NAMED, b"1") + b"--b--\r\n"


# httpx guesses the type that it is not given, and fails for names such as `//[`
FILES = st.tuples(st.text(min_size=1), st.binary(), st.just("application/octet-stream"))


@given(st.dictionaries(st.text(min_size=1), FILES, min_size=1))
def test_what_httpx_writes_is_read(files):
    request = httpx.Request("POST", "http://x/", files=files)
    boundary = request.headers["content-type"].partition("boundary=")[2].encode()

    parts = split_form(request.read(), boundary)

    assert [one.name for one in parts] == [*files]
    assert [bytes(one.data) for one in parts] == [data for _, data, _ in files.values()]
    assert all(one.is_file for one in parts)


def test_names_and_types_of_parts_are_read():
    file = (
        b'content-disposition: form-data; filename="a;b.jpg"; name="a\\"b"\r\nContent-Type: Image/JPEG; q=1'
    )
    first, second = split_form(part(NAMED, b"") + part(file, b"\r\n--c") + b"--b--", b"b")

    assert (first.name, first.is_file, first.media_type, bytes(first.data)) == ("x", False, "", b"")
    assert (second.name, second.is_file, second.media_type) == ('a"b', True, "image/jpeg")
    assert bytes(second.data) == b"\r\n--c"


def test_quotes_and_line_ends_in_names_are_read_as_browsers_write_them():
    head = b'Content-Disposition: form-data; name="a%22b%0D%0Ac%41"\r\n\r\n'
    [one] = split_form(b"--x\r\n" + head + b"1\r\n--x--\r\n", b"x")
    assert one.name == 'a"b\r\nc%41'


def test_names_without_quotes_are_read_as_dotnet_writes_them():
    disposition = b"Content-Disposition: form-data; name=a/b; filename=c.png; filename*=utf-8''c.png"
    [one] = split_form(part(b"Content-Type: image/png\r\n" + disposition, b"1") + b"--b--", b"b")
    assert (one.name, one.is_file, one.media_type) == ("a/b", True, "image/png")


def test_what_stands_before_and_behind_the_parts_is_passed_over():
    [one] = split_form(b"preamble\r\n" + WHOLE + b"epilogue", b"b")
    assert bytes(one.data) == b"1"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "its boundary is not in it"),
        (WHOLE.replace(b"--b", b"--c"), "its boundary is not in it"),
        (WHOLE[:-5], "ends before its last boundary"),
        (b"--b\r\nContent-Disposition: form-data", "without headers"),
        (part(b"Content-Disposition: form-data", b"1") + b"--b--", "has no name"),
        (part(b'Content-Disposition: file; name="x"', b"1") + b"--b--", "has no name"),
        (part(NAMED + b"\xff", b"1") + b"--b--", "not UTF-8"),
        (part(NAMED + b"\r\nX: " + b"x" * 9000, b"1") + b"--b--", "without headers"),
        (part(NAMED, b"1") + WHOLE, "part 'x' twice"),
        (
            b"".join(part(NAMED.replace(b"x", b"%d" % i), b"") for i in range(1001)) + b"--b--",
            "more than 1000",
        ),
    ],
)
def test_form_that_is_broken_is_refused(body, message):
    with pytest.raises(InvalidInputError, match=message):
        split_form(body, b"b")


def test_headers_that_are_long_together_are_refused():
    names = [
        b'Content-Disposition: form-data; name="%d%b"' % (number, b'\\"' * 4000) for number in range(100)
    ]
    with pytest.raises(InvalidInputError, match="longer than 524,288 bytes together"):
        split_form(b"".join(part(name, b"1") for name in names) + b"--b--", b"b")
