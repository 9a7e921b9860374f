import pytest

from inferq.proxy.http.accept import choose_media_type

OFFERS = ("application/json", "application/x-npy", "application/octet-stream")
ALIASES = {"application/npy": "application/x-npy"}


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("application/x-npy", "application/x-npy"),
        ("Application/NPY ; q=0.5", "application/x-npy"),
        ("application/json;q=0.5, application/x-npy", "application/x-npy"),
        ("application/json;q=0, */*", "application/x-npy"),
        ("application/octet-stream, application/x-npy", "application/x-npy"),
        ("application/octet-stream;q=0.9, application/x-npy; q=0.8, */*;q=0.1", "application/octet-stream"),
        ("text/html, application/xhtml+xml, */*;q=0.8", "application/json"),
        ("application/x-npy;charset=utf-8;q=1.0", "application/x-npy"),
        ("nonsense", "application/json"),
        ("text/html," * 1000, "application/json"),
        ("text/html", None),
        ("application/json;q=0", None),
        ("*/*;q=0.000", None),
    ],
)
def test_most_preferred_media_type_that_there_is_is_chosen(accept, chosen):
    assert choose_media_type(accept, OFFERS, ALIASES) == chosen
