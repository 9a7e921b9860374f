"""The listening socket: where it listens, and where the system does not let us do all we would."""

import socket

import pytest

from inferq.proxy.transport import is_loopback, listen, refuse_new_connections
from tests.servers import free_port


class GuardedSocket(socket.socket):
    """As on a kernel that lets only root attach a filter."""

    def setsockopt(self, *_):
        raise PermissionError(1, "Operation not permitted")


def test_proxy_that_may_not_filter_goes_on():
    with GuardedSocket() as listener:
        refuse_new_connections(listener)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="the system has no IPv6")
@pytest.mark.parametrize(
    ("host", "reached"), [("::", ["127.0.0.1", "::1"]), ("::1", ["::1"]), ("0.0.0.0", ["127.0.0.1"])]
)
def test_both_families_are_served_where_every_address_is(host, reached):
    port = free_port()
    with listen(host, port):
        for address in ("127.0.0.1", "::1"):
            try:
                socket.create_connection((address, port), timeout=30).close()
            except ConnectionRefusedError:
                assert address not in reached
            else:
                assert address in reached


@pytest.mark.parametrize(("host", "expected"), [("127.0.0.1", True), ("localhost", True), ("0.0.0.0", False)])
def test_loopback_is_known(host, expected):
    with listen(host, free_port()) as listener:
        assert is_loopback(listener) is expected
