import pytest


@pytest.fixture(scope="session")
def redis_server(valkey_server):
    """One kind of server is enough for what does not depend on it; `queue` and `worker` run on both."""
    return valkey_server
