import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import httpx
import pytest

from tests.servers import free_port, wait_until


@contextmanager
def proxy(port, redis_url, host="127.0.0.1"):
    """`inferq proxy`, in a process of its own."""
    environment = os.environ | {"INFERQ_REDIS_URL": redis_url, "INFERQ_LOG_FORMAT": "json"}
    command = [sys.executable, "-m", "inferq", "proxy", "--host", host, "--port", str(port)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def answers(port, path="/health/live"):
    try:
        return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=30)
    except httpx.TransportError:
        return None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_proxy_starts_without_redis_answers_503_and_ends_without_a_traceback(number):
    port = free_port()
    with proxy(port, f"redis://127.0.0.1:{free_port()}/0") as process:
        wait_until(lambda: answers(port), timeout=60, what="the proxy's start")
        answer = answers(port, "/health/ready")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert "proxy_listening" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_proxy_told_to_stop_while_it_starts_stops(redis_url, number):
    with proxy(free_port(), redis_url) as process:
        assert "proxy_listening" in process.stderr.readline()
        process.send_signal(number)
        assert process.wait(60) == 0
        assert "Traceback" not in process.stderr.read()


def test_body_over_the_limit_is_answered_before_it_was_sent(redis_url):
    port = free_port()
    with proxy(port, redis_url):
        wait_until(lambda: answers(port), timeout=60, what="the proxy's start")
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("host", "words"), [("127.0.0.1", "the port is in use"), ("host.invalid", "another address with --host")]
)
def test_address_that_cannot_be_listened_on_is_one_clear_line(host, words):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with proxy(port, "redis://127.0.0.1:1/0", host) as process:
            _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert len(errors.splitlines()) == 1
    assert f"{host}:{port}" in errors
    assert words in errors


def test_client_that_connected_before_the_proxy_stops_is_answered():
    port = free_port()
    answered, failures = [], []

    def use():
        while True:
            try:
                connection = socket.create_connection(("127.0.0.1", port), timeout=30)
            except ConnectionRefusedError:
                return
            with connection:
                try:
                    connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                    answered.append(connection.recv(100))
                except OSError as error:
                    failures.append(repr(error))

    with proxy(port, f"redis://127.0.0.1:{free_port()}/0") as process:
        wait_until(lambda: answers(port), timeout=60, what="the proxy's start")
        users = [threading.Thread(target=use) for _ in range(16)]
        for user in users:
            user.start()
        wait_until(lambda: len(answered) > 200, timeout=60, what="the load")
        process.send_signal(signal.SIGTERM)
        for user in users:
            user.join(timeout=60)
        assert process.wait(timeout=60) == 0
    assert failures == []
    assert {answer[:12] for answer in answered} == {b"HTTP/1.1 200"}


def test_server_that_cannot_keep_the_promises_is_one_clear_line(own_redis_server):
    with own_redis_server.client() as client:
        client.config_set("maxmemory", "100mb")
        client.config_set("maxmemory-policy", "allkeys-lru")
    with proxy(free_port(), own_redis_server.url) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert len(errors.splitlines()) == 1
    assert "maxmemory-policy allkeys-lru, which deletes jobs" in errors


@pytest.mark.parametrize(
    ("host", "keys", "is_said"),
    [("0.0.0.0", "", True), ("127.0.0.1", "", False), ("0.0.0.0", f"ann:{'0' * 64}", False)],
)
def test_proxy_that_everybody_reaches_and_may_use_says_so(monkeypatch, host, keys, is_said):
    monkeypatch.setenv("INFERQ_API_KEYS", keys)
    port = free_port()
    with proxy(port, f"redis://127.0.0.1:{free_port()}/0", host) as process:
        wait_until(lambda: answers(port), timeout=60, what="the proxy's start")
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert errors.count("INFERQ_API_KEYS is not set") == is_said


def test_sockets_of_the_served_proxy_are_bounded_and_not_compressed(redis_url):
    port = free_port()
    upgrade = (
        b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    )
    with proxy(port, redis_url):
        wait_until(lambda: answers(port), timeout=60, what="the proxy's start")
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(upgrade)
            head = connection.recv(1000)
    assert head.startswith(b"HTTP/1.1 101 ")
    assert b"permessage-deflate" not in head


def test_long_body_does_not_keep_others_waiting(redis_url):
    port = free_port()
    body = b'{"data": {' + b",".join(b'"a%d":[[1]]' % number for number in range(200_000)) + b"}}"
    with proxy(port, redis_url):
        wait_until(lambda: answers(port), timeout=60, what="the proxy's start")
        statuses, waits = [], []

        def send():
            began = time.monotonic()
            sent = httpx.post(f"http://127.0.0.1:{port}/predict", content=body, timeout=300)
            statuses.append((sent.status_code, time.monotonic() - began))

        sender = threading.Thread(target=send)
        sender.start()
        while sender.is_alive():
            began = time.monotonic()
            assert answers(port).status_code == 200
            waits.append(time.monotonic() - began)
        sender.join()
    [(status, seconds)] = statuses
    assert status == 202  # no worker has announced the model
    assert max(waits) < seconds / 2
