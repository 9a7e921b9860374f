import pytest

from inferq.client import Client
from inferq.errors import InvalidSettingError


def test_api_key_that_no_header_can_have_is_refused():
    with pytest.raises(InvalidSettingError, match="API key"):
        Client("http://localhost:1", api_key="a\nb")


@pytest.mark.parametrize(
    "url", ["http://[::1", "http://", "localhost:8000", "ftp://host", "http://host:port"]
)
def test_address_that_is_none_is_refused(url):
    with pytest.raises(InvalidSettingError, match="address of the service"):
        Client(url)
