import pytest

from inferq.object_urls import has_controls, has_half_names, split_object_url


def test_url_is_a_bucket_and_a_key():
    assert split_object_url("s3://results/a/b.json") == ("results", "a/b.json")
    assert split_object_url("s3://results/a/") == ("results", "a/")
    assert split_object_url("s3://results/") == ("results", "")


OTHERS = """
results/a s3:/results/a S3://results/a s3://r/a s3://Results/a s3://results
s3://results/a?versionId=1 s3://results/a#b s3://user:x@results/a
"""


@pytest.mark.parametrize("url", ["", *OTHERS.split(), f"s3://{'r' * 64}/a"])
def test_other_urls_are_none(url):
    assert split_object_url(url) is None


def test_keys_that_a_path_would_change_have_half_names():
    assert [has_half_names(key) for key in ("a/b", ".a/b..", "a", "...")] == [False] * 4
    assert [has_half_names(key) for key in ("", "/a", "a/", "a//b", "./a", "a/..", "..")] == [True] * 7


def test_control_characters_are_found_wherever_they_stand():
    assert [has_controls(key) for key in ("a\n", "\x00", "a\x7fb", "ä b")] == [True, True, True, False]
