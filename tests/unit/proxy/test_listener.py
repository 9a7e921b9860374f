"""The listening socket where the system does not let us do all we would."""

import socket

from inferq.proxy.listener import refuse_new_connections


class GuardedSocket(socket.socket):
    """As on a kernel that lets only root attach a filter."""

    def setsockopt(self, *_):
        raise PermissionError(1, "Operation not permitted")


def test_proxy_that_may_not_filter_goes_on():
    with GuardedSocket() as listener:
        refuse_new_connections(listener)
