import pytest

from inferq.errors import InvalidSettingError
from inferq.queue.shards.shard_settings import split_settings
from inferq.settings import Settings

CLUSTER = "redis+cluster://10.0.0.1:7000,10.0.0.2:7000"


def split(**settings):
    return split_settings(Settings(**settings))


def test_one_server_is_one_shard_with_the_settings_as_they_are():
    [shard] = split(redis_url="redis://a:6379/0", max_queued=7, blob_store="file:///b")
    assert shard == Settings(redis_url="redis://a:6379/0", max_queued=7, blob_store="file:///b")


def test_sentinel_url_with_several_hosts_is_one_shard():
    url = "redis+sentinel://a:26379,b:26379/primary/0"
    assert [shard.redis_url for shard in split(redis_url=url)] == [url]


def test_each_of_several_urls_is_a_shard():
    shards = split(redis_url="redis://a:6379/0, redis://b:6379/1,unix:///c.sock")
    assert [shard.redis_url for shard in shards] == ["redis://a:6379/0", "redis://b:6379/1", "unix:///c.sock"]
    assert {shard.key_prefix for shard in shards} == {""}


def test_each_shard_of_a_cluster_has_a_hash_tag_of_its_own():
    shards = split(redis_url=CLUSTER, shards=3, key_prefix="app:")
    assert [shard.key_prefix for shard in shards] == [f"{{inferq-{number}}}:app:" for number in range(3)]
    assert {shard.redis_url for shard in shards} == {CLUSTER}


def test_single_shard_of_a_cluster_keeps_its_own_hash_tag():
    assert [shard.key_prefix for shard in split(redis_url=CLUSTER, key_prefix="{mine}:")] == ["{mine}:"]


def test_shards_share_the_limits_and_divide_the_blob_store():
    first, second, third = split(
        redis_url="redis://a,redis://b,redis://c",
        max_queued=100,
        max_queued_bytes=7,
        blob_store="file:///blobs/",
    )
    assert (first.max_queued, second.max_queued_bytes) == (34, 3)
    assert [first.blob_store, second.blob_store, third.blob_store] == [
        *("file:///blobs/", "file:///blobs/shard-1", "file:///blobs/shard-2")
    ]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"redis_url": "redis://a", "shards": 2}, "names one server"),
        ({"redis_url": "redis://a,redis://b,redis://a"}, "names a server twice"),
        ({"redis_url": "redis://a,redis://b", "shards": 3}, "names 2 servers"),
        ({"redis_url": f"redis://a,{CLUSTER}"}, "one redis\\+cluster:// URL"),
        ({"redis_url": CLUSTER, "shards": 2, "key_prefix": "{mine}:"}, "leave the braces out"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(settings, told):
    with pytest.raises(InvalidSettingError, match=told):
        split(**settings)
