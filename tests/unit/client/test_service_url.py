"""Errors say what was asked, against real sockets on loopback."""

import socket
import threading

import httpx
import pytest

from inferq.client import Client
from inferq.client.answers import make_error
from inferq.errors import InvalidSettingError, UnauthorizedError, UnexpectedAnswerError, UnreachableError
from tests.servers import free_port


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def serve():
    """Answers every connection with the same bytes, once it has sent something; keeps what it sent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer(text, received=None):
            def run():
                while True:
                    try:
                        connection, _ = listener.accept()
                    except OSError:
                        return
                    with connection:
                        request = connection.recv(65536)
                        if received is not None:
                            received.append(request)
                        connection.sendall(text)

            threading.Thread(target=run, daemon=True).start()
            return f"127.0.0.1:{listener.getsockname()[1]}"

        yield answer


def test_service_that_is_not_there_is_named_without_its_password():
    port = free_port()
    with Client(f"http://user:secret@127.0.0.1:{port}/", retries=0) as client:
        with pytest.raises(UnreachableError, match=f"at http://127.0.0.1:{port} did not answer") as caught:
            client.models()
        assert "secret" not in caught.value.message
        with pytest.raises(UnreachableError, match=f"at http://127.0.0.1:{port} did not answer"):
            client.health()


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_proxy_of_the_environment_is_named(monkeypatch, name):
    proxy = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv(name, f"http://user:secret@{proxy}")
    with Client("http://inferq.example", retries=0) as client, pytest.raises(UnreachableError) as caught:
        client.models()
    assert proxy in caught.value.message
    assert "NO_PROXY=inferq.example" in caught.value.message
    assert "secret" not in caught.value.message
    monkeypatch.setenv("NO_PROXY", "inferq.example")
    with Client("http://inferq.example", retries=0) as client, pytest.raises(UnreachableError) as caught:
        client.models()
    assert "NO_PROXY" not in caught.value.message


def test_answer_of_a_proxy_names_the_proxy(monkeypatch, serve):
    proxy = serve(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nNo.\n")
    monkeypatch.setenv("http_proxy", f"http://{proxy}")
    with (
        Client("http://inferq.example", retries=0) as client,
        pytest.raises(UnexpectedAnswerError, match=proxy),
    ):
        client.models()


@pytest.mark.parametrize(
    ("name", "value"),
    [("http_proxy", "ftp://host"), ("http_proxy", "socks5://host"), ("SSL_CERT_FILE", "/nowhere")],
)
def test_environment_with_which_no_client_can_start_is_a_clear_word(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSettingError, match=name):
        Client("https://inferq.example")


def test_tls_where_nobody_speaks_it_is_told(serve):
    address = serve(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    with (
        Client(f"https://{address}", retries=0) as client,
        pytest.raises(UnreachableError, match="http:// rather than"),
    ):
        client.models()


def test_other_services_are_told(serve):
    address = serve(b"SSH-2.0-OpenSSH_9.9\r\n")
    words = "not the port of an inferq service"
    with Client(f"http://{address}", retries=0) as client, pytest.raises(UnreachableError, match=words):
        client.models()


def test_address_to_which_a_service_redirects_is_named(serve):
    address = serve(b"HTTP/1.1 301 Moved\r\nLocation: https://inferq.example/\r\nContent-Length: 0\r\n\r\n")
    words = r"to 'https://inferq\.example/'"
    with Client(f"http://{address}", retries=0) as client, pytest.raises(UnexpectedAnswerError, match=words):
        client.models()


def test_key_that_is_missing_is_told_how_to_be_given():
    problem = {"type": "urn:inferq:problem:unauthorized", "detail": "No key."}
    error = make_error("GET /models", httpx.Response(401, json=problem))
    assert isinstance(error, UnauthorizedError)
    assert "INFERQ_API_KEY" in error.message


def test_spaces_around_what_the_environment_says_do_no_harm(monkeypatch, serve):
    received = []
    body = b'{"models": []}'
    address = serve(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body), received)
    monkeypatch.setenv("INFERQ_URL", f" http://{address}/ \n")
    monkeypatch.setenv("INFERQ_API_KEY", " a-key\n")
    with Client() as client:
        assert client.url == f"http://{address}"
        assert client.models() == []
    assert b"\r\nAuthorization: Bearer a-key\r\n" in received[0]


def test_long_body_may_be_why_there_is_no_answer():
    request = httpx.Request("POST", "http://localhost:8000/predict", headers={"Content-Length": "20000000"})
    error = make_error("POST /predict", httpx.ReadError("reset", request=request))
    assert "20,000,000 bytes: the service may take none so long" in error.message
