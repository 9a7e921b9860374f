"""Files are fetched from a real HTTP server, within the rules, the time and the size."""

import contextlib

import pytest

from inferq.blobs import Uploads, make_upload_id, open_store, open_user_objects, user_objects
from inferq.egress.network import resolve
from inferq.egress.url_policy import Target, UrlPolicy
from inferq.errors import (
    InputDeniedError,
    InputNotFoundError,
    InputTooLargeError,
    InputUnavailableError,
    InvalidInputError,
)
from inferq.remote_inputs.file_fetcher import FileFetcher
from inferq.remote_inputs.http_source import HttpSource
from inferq.remote_inputs.source_rules import SourceRules
from inferq.settings import Settings
from inferq.tensors.values import RemoteFile
from tests.file_hosts import FileHost
from tests.servers import free_port

ALLOWED = {"input_allowed_hosts": "*", "input_private_addresses": True, "max_input_bytes": 100_000}


@pytest.fixture
def host():
    host = FileHost(a=b"aa", b=b"bbb", long=bytes(60_000), other=bytes(60_000))
    yield host
    host.close()


@pytest.fixture
def fetch():
    """Fetches files with settings of their own; waits for them, or raises."""
    with contextlib.ExitStack() as stack:

        def fetch(*urls, resolver=resolve, **settings):
            chosen = Settings(**ALLOWED | settings)
            fetcher = FileFetcher(SourceRules.from_settings(chosen), chosen, resolver)
            fetcher.start()
            stack.callback(fetcher.stop)
            files = [RemoteFile(url, f'data["x{number}"]') for number, url in enumerate(urls)]
            return fetcher.fetch(files).result(60)

        yield fetch


def test_files_of_a_job_are_fetched_each_once(host, fetch):
    urls = [host.url("a"), host.url("b"), host.url("a")]
    assert fetch(*urls) == {host.url("a"): b"aa", host.url("b"): b"bbb"}
    assert sorted(host.calls) == ["a", "b"]
    assert host.headers[0]["user-agent"].startswith("inferq/")


def test_redirection_to_an_allowed_host_is_followed(host, fetch):
    assert fetch(host.url("to?/a")) == {host.url("to?/a"): b"aa"}


@pytest.mark.parametrize(
    ("path", "error", "words"),
    [
        ("missing", InputNotFoundError, r'data\["x0"\]: There is no such file: 127.0.0.1 answered 404.'),
        ("status/410", InputNotFoundError, "410"),
        ("status/403", InputDeniedError, "403"),
        ("status/401", InputDeniedError, "401"),
        ("status/204", InputDeniedError, "Expected 200"),
        ("status/503", InputUnavailableError, "cannot be had now: 127.0.0.1 answered 503"),
        ("status/429", InputUnavailableError, "429"),
        ("cut", InputUnavailableError, "did not answer"),
        ("endless", InputTooLargeError, "INFERQ_MAX_INPUT_BYTES"),
        ("packed", InvalidInputError, "compressed"),
        ("to?ftp://127.0.0.1/", InvalidInputError, "https://"),
        ("to?http://[x", InputDeniedError, "redirects to what is not a URL"),
        ("to?/to?/to?/to?/a", InputDeniedError, "redirects more than 3 times"),
    ],
)
def test_what_is_no_file_is_an_error_that_says_why(host, fetch, path, error, words):
    with pytest.raises(error, match=words):
        fetch(host.url(path))


def test_host_that_is_not_there_may_be_there_later(fetch):
    with pytest.raises(InputUnavailableError, match="did not answer"):
        fetch(f"http://127.0.0.1:{free_port()}/a")


def test_files_together_may_not_be_too_long(host, fetch):
    with pytest.raises(InputTooLargeError, match="more than 100000 bytes"):
        fetch(host.url("long"), host.url("other"))


def test_slow_host_ends_after_the_time_limit(host, fetch):
    with pytest.raises(InputUnavailableError, match=r"within 0.2 s \(INFERQ_INPUT_TIMEOUT_SECONDS\)"):
        fetch(host.url("a"), host.url("slow"), input_timeout_seconds=0.2)


def test_name_that_has_a_private_address_is_not_called(host, fetch):
    async def lie(_name, _port):
        return ["127.0.0.1"]

    url = f"http://files.example.com:{host.port}/a"
    with pytest.raises(InputDeniedError, match="not public"):
        fetch(url, resolver=lie, input_private_addresses=False)
    assert host.calls == []
    assert fetch(url, resolver=lie) == {url: b"aa"}


def test_redirection_to_a_host_that_is_not_allowed_is_not_followed(host, fetch):
    async def find(_name, _port):
        return ["127.0.0.1"]

    target = f"to?http://localhost:{host.port}/a"
    with pytest.raises(InvalidInputError, match="INFERQ_INPUT_ALLOWED_HOSTS"):
        fetch(
            f"http://files.example.com:{host.port}/{target}",
            resolver=find,
            input_allowed_hosts="files.example.com",
        )
    assert host.calls == [target]


def test_rules_are_those_of_the_worker(fetch):
    with pytest.raises(InvalidInputError, match="fetches no inputs"):
        fetch("https://example.com/", input_allowed_hosts="")


def test_objects_in_buckets_are_read_where_the_operator_names_them(bucket_url, fetch, monkeypatch):
    open_user_objects().write(f"{bucket_url}/a", [b"a" * 1000])
    allowed = {"input_allowed_buckets": f"s3://other, {bucket_url}", "max_input_bytes": 1500}
    assert fetch(f"{bucket_url}/a", **allowed) == {f"{bucket_url}/a": b"a" * 1000}
    for url, error, words in [
        (f"{bucket_url}/missing", InputNotFoundError, "has no object"),
        (f"{bucket_url}x/a", InvalidInputError, "INFERQ_INPUT_ALLOWED_BUCKETS"),
        (f"{bucket_url}/../a", InvalidInputError, "between each two slashes"),
        ("s3://inferq-test", InvalidInputError, "s3://bucket/key"),
        ("s3://other/a", InputNotFoundError, "does not exist"),
    ]:
        with pytest.raises(error, match=words):
            fetch(url, **allowed)
    with pytest.raises(InputTooLargeError, match="INFERQ_MAX_INPUT_BYTES"):
        fetch(f"{bucket_url}/a", **allowed | {"max_input_bytes": 999})
    user_objects._open_bucket.cache_clear()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(InputDeniedError, match="refuses this process"):
        fetch(f"{bucket_url}/a", **allowed)
    user_objects._open_bucket.cache_clear()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(InputUnavailableError):
        fetch(f"{bucket_url}/a", **allowed, input_timeout_seconds=1)
    user_objects._open_bucket.cache_clear()


async def test_redirection_from_tls_to_none_is_not_followed():
    source = HttpSource(UrlPolicy(), resolve, 1)
    with pytest.raises(InputDeniedError, match="from https:// to http://"):
        source._follow(Target("https", "example.com", 443, "/a"), "http://example.com/b")
    assert source._follow(Target("http", "example.com", 80, "/a/b"), "c?d").path == "/a/c?d"
    await source.aclose()


def test_upload_in_a_folder_that_is_not_mounted_any_more_may_be_had_later(fetch, tmp_path):
    url = f"file://{tmp_path}/blobs"
    worker_store = open_store(url)  # as the worker has it from its start
    worker_store.identify()
    upload_id = make_upload_id("")
    file = Uploads(worker_store).open(upload_id, 1, 0)
    file.add(b"a")
    file.finish()
    (tmp_path / "blobs").rename(tmp_path / "away")
    with pytest.raises(InputUnavailableError, match="may have been unmounted"):
        fetch(f"upload:{upload_id}", blob_store=url)
    assert not (tmp_path / "blobs").exists()
    (tmp_path / "away").rename(tmp_path / "blobs")
    assert fetch(f"upload:{upload_id}", blob_store=url) == {f"upload:{upload_id}": b"a"}
