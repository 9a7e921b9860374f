"""What servers say that is seldom seen: each answer is an error of its own."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from inferq.blobs import BlobPart, bucket, make_key, open_store
from inferq.blobs.bucket_errors import bucket_errors
from inferq.errors import (
    BlobNotFoundError,
    QueueFullError,
    StoreDeniedError,
    StoreMissingError,
    StoreSlowError,
    StoreUnavailableError,
)

KEY = make_key("4f", BlobPart.DATA)


@pytest.fixture
def answering(monkeypatch):
    """Makes a store whose server answers each request so."""
    servers = []

    def make(status, code):
        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                body = (
                    f"<Error><Code>{code}</Code><Message>Because.</Message></Error>".encode() if code else b""
                )
                self.rfile.read(int(self.headers.get("content-length", 0)))
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                self.answer()

            def do_PUT(self):
                self.answer()

            def log_message(self, *_arguments): ...

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        store = open_store("s3://some-bucket/x")
        store._id = "0" * 16
        return store

    monkeypatch.setattr(bucket, "_RETRIES", 0)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "some-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "some-secret")
    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (507, "", QueueFullError),
        (403, "QuotaExceeded", QueueFullError),
        (503, "SlowDown", StoreSlowError),
        (500, "InternalError", StoreUnavailableError),
        (403, "RequestTimeTooSkewed", StoreDeniedError),
        (401, "", StoreDeniedError),
        (404, "NoSuchBucket", StoreMissingError),
    ],
)
def test_answer_to_a_write_is_an_error_of_its_own(answering, status, code, kind):
    with pytest.raises(kind, match=r"s3://some-bucket/x") as error:
        answering(status, code).write(KEY, b"x")
    assert type(error.value) is kind
    assert "some-secret" not in str(error.value)


def test_object_that_is_shorter_than_what_is_asked_for_is_not_whole(answering):
    store = answering(416, "InvalidRange")
    store.check = lambda: None
    with pytest.raises(BlobNotFoundError, match="not all of it"):
        store.read_part(KEY, 100, 50, 10)


def test_process_without_credentials_is_told_so():
    # the address is that of another machine, so nothing is sent here
    text = "Error performing PUT http://169.254.169.254/latest/api/token in 1s - HTTP error"
    with pytest.raises(StoreDeniedError, match="AWS_ACCESS_KEY_ID"), bucket_errors("The blob store x"):
        raise FileNotFoundError(text)
