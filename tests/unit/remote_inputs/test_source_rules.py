import pytest

from inferq.errors import InvalidInputError
from inferq.remote_inputs.source_rules import MOST_FILES, SourceRules
from inferq.settings import Settings
from inferq.tensors.values import RemoteFile


def check(*urls, **settings):
    rules = SourceRules.from_settings(Settings(**settings))
    rules.check([RemoteFile(url, 'data["x"]') for url in urls])


def test_nothing_is_fetched_unless_the_operator_names_hosts():
    with pytest.raises(InvalidInputError, match=r'data\["x"\]: .* INFERQ_INPUT_ALLOWED_HOSTS names no hosts'):
        check("https://example.com/x")


def test_star_allows_every_public_host():
    check("https://example.com/x", "http://8.8.8.8/x?" + "y" * 8000, input_allowed_hosts="*")
    for url in (
        "http://127.0.0.1/x",
        "https://localhost/x",
        "http://[::1]/",
        "http://169.254.169.254/latest",
    ):
        with pytest.raises(InvalidInputError, match="INFERQ_INPUT_PRIVATE_ADDRESSES"):
            check(url, input_allowed_hosts="*")
    with pytest.raises(InvalidInputError, match="8192"):
        check("http://8.8.8.8/x?" + "y" * 9000, input_allowed_hosts="*")


def test_named_hosts_alone_pass():
    check("https://a.example.com/x", "HTTPS://b.org/", input_allowed_hosts="*.example.com, b.org")
    for url in ("https://example.com/", "https://c.org/"):
        with pytest.raises(InvalidInputError, match="INFERQ_INPUT_ALLOWED_HOSTS"):
            check(url, input_allowed_hosts="*.example.com, b.org")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.com/", "x", "", "gopher://x"])
def test_other_schemes_are_refused(url):
    with pytest.raises(InvalidInputError, match="must begin with https://"):
        check(url, input_allowed_hosts="*")


def test_one_job_names_a_limited_number_of_files():
    with pytest.raises(InvalidInputError, match="at most 64"):
        check(*["https://example.com/x"] * (MOST_FILES + 1), input_allowed_hosts="*")


def test_objects_are_those_of_named_buckets_and_prefixes():
    allowed = {"input_allowed_buckets": "s3://models, s3://data/team-a/"}
    check("s3://models/a/b.npy", "s3://data/team-a/x", **allowed)
    for url in ("s3://data/team-b/x", "s3://data/team-ab/x", "s3://models2/x", "s3://data/team-a/../x"):
        with pytest.raises(InvalidInputError, match=r"INFERQ_INPUT_ALLOWED_BUCKETS|slashes"):
            check(url, **allowed)
    for url in ("s3://models", "s3://models/x?y", "s3://MODELS/x", "s3:/models/x", "S3://models/x"):
        with pytest.raises(InvalidInputError, match="s3://bucket/key"):
            check(url, **allowed)
    with pytest.raises(InvalidInputError, match="not allowed"):
        check("s3://models/x")
    with pytest.raises(InvalidInputError, match="names a folder"):
        check("s3://models/x/", **allowed)


@pytest.mark.parametrize(
    ("key", "words"),
    [("a\nb", "control character"), ("a\x00", "control character"), ("ä" * 513, "1024 bytes")],
)
def test_keys_that_no_bucket_takes_are_refused(key, words):
    with pytest.raises(InvalidInputError, match=words):
        check(f"s3://models/{key}", input_allowed_buckets="s3://models")
