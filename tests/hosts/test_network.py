"""The network of the tests does what it is told."""

import socket
import threading
import time

import pytest

pytestmark = pytest.mark.hosts

PORT = 7000


@pytest.fixture
def echo(network):
    """A client host, and a server host that sends back what it gets."""
    client, server = network.add("client"), network.add("server")
    listener = server.call(lambda: socket.create_server((server.address, PORT)))

    def answer(connection):
        with connection:
            while data := connection.recv(65536):
                connection.sendall(data)

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield client, server
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def ask(client, server, size=10, timeout=20.0):
    """Seconds that a connection, `size` bytes there and the same back take."""

    def call():
        began = time.monotonic()
        with socket.create_connection((server.address, PORT), timeout) as connection:
            threading.Thread(target=connection.sendall, args=(b"x" * size,), daemon=True).start()
            left = size
            while left:
                left -= len(connection.recv(65536))
        return time.monotonic() - began

    return client.call(call)


def test_hosts_reach_each_other(echo):
    assert ask(*echo, size=1_000_000) < 10


@pytest.mark.parametrize("direction", ["sends", "receives"])
def test_line_that_is_cut_in_one_direction_lets_no_connection_through(echo, direction):
    client, server = echo
    other = {"sends": "receives", "receives": "sends"}[direction]
    with server.lines(is_cut=True, **{other: False}), pytest.raises(TimeoutError):
        ask(client, server, timeout=0.5)
    assert ask(client, server) < 10


def test_slow_line_takes_its_time(echo):
    client, server = echo
    with server.lines(delay_seconds=0.1):
        assert ask(client, server) > 0.4  # two round trips
    with server.lines(bytes_per_second=125_000):
        assert ask(client, server, size=60_000) > 0.45


def test_lossy_line_carries_all_in_the_end(echo):
    client, server = echo
    with server.lines(loss=0.05):
        assert ask(client, server, size=300_000) > 0
