import pytest

from tests.hosts.network import Network, find_obstacle


@pytest.fixture
def network():
    if obstacle := find_obstacle():
        pytest.skip(obstacle)
    with Network() as network:
        yield network
