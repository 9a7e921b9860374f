"""What no log may show of what other programs say."""

import pytest

from inferq.observability.redaction import hide_secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no http://ann:pw@host/x", "no http://***@host/x"),
        ("url: /?key=pw/v1 (away)", "url: /?*** (away)"),
        ("url: https://h/x?a=pw&b=pw.", "url: https://h/x?***"),
        ("Perhaps you meant https://h/x?", "Perhaps you meant https://h/x?"),
        ("at 12:00", "at 12:00"),
    ],
)
def test_passwords_and_queries_of_urls_are_hidden(text, shown):
    assert hide_secrets(text) == shown
