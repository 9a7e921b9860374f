import pytest

from inferq.proxy.http.accept import rank_media_types

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
    assert rank_media_types(accept, OFFERS, ALIASES)[:1] == ([] if chosen is None else [chosen])


@pytest.mark.parametrize(
    ("accept", "ranked"),
    [
        ("", ["application/json"]),
        ("*/*", ["application/json"]),
        ("application/x-npy, */*;q=0.1", ["application/x-npy", "application/json"]),
        ("application/json;q=0.5, application/npy, text/html", ["application/x-npy", "application/json"]),
        ("application/octet-stream;q=0.1, application/*;q=0.2", ["application/json", OFFERS[-1]]),
        ("application/json;q=0, */*", ["application/x-npy"]),
        ("application/octet-stream;q=0.1, application/x-npy;q=0.2", ["application/x-npy", OFFERS[-1]]),
    ],
)
def test_behind_the_most_preferred_come_those_that_are_named_and_the_favourite(accept, ranked):
    assert rank_media_types(accept, OFFERS, ALIASES) == ranked
