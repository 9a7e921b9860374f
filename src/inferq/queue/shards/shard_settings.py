"""The settings of each shard. To its own producer or consumer a shard is a whole queue."""

from math import ceil

from inferq.errors import InvalidSettingError
from inferq.queue.redis_client.redis_url import is_cluster_url, split_urls
from inferq.settings import Settings


def split_settings(settings: Settings) -> list[Settings]:
    """Returns the settings of each shard: the same, but for what belongs to one shard alone.

    That is the server, the key prefix, the part of the blob store, and its share of the limits of what may
    wait. Where there is one shard alone, and it is on no cluster, they are the settings as they are.

    Args:
        settings: All settings.

    Raises:
        InvalidSettingError: `INFERQ_SHARDS` and `INFERQ_REDIS_URL` do not fit together.
    """
    urls = split_urls(settings.redis_url)
    on_cluster = [is_cluster_url(url) for url in urls]
    if len(urls) > 1 and any(on_cluster):
        raise InvalidSettingError(
            "INFERQ_REDIS_URL is not valid: expected one redis+cluster:// URL, nodes with commas between, "
            "or several URLs of servers that are on no cluster."
        )
    if len(set(urls)) < len(urls):
        raise InvalidSettingError(
            "INFERQ_REDIS_URL names a server twice: expected a server, or a database of one, for each shard. "
            "Leave out the second."
        )
    if len(urls) > 1 and settings.shards not in (1, len(urls)):
        raise InvalidSettingError(
            f"INFERQ_SHARDS is {settings.shards}, and INFERQ_REDIS_URL names {len(urls)} servers, "
            "a shard on each: unset INFERQ_SHARDS."
        )
    if len(urls) == 1 and settings.shards > 1 and not on_cluster[0]:
        raise InvalidSettingError(
            f"INFERQ_SHARDS is {settings.shards}, and INFERQ_REDIS_URL names one server: name a cluster "
            "as redis+cluster://host:port,host:port, or a server for each shard with commas between."
        )
    if not on_cluster[0]:
        return [_make_shard(settings, number, len(urls), url=url) for number, url in enumerate(urls)]
    prefixes = _name_key_spaces(settings)
    return [
        _make_shard(settings, number, len(prefixes), prefix=prefix) for number, prefix in enumerate(prefixes)
    ]


def _name_key_spaces(settings: Settings) -> list[str]:
    has_tag = "{" in settings.key_prefix
    if has_tag and settings.shards == 1:
        return [settings.key_prefix]
    if has_tag:
        raise InvalidSettingError(
            f"INFERQ_KEY_PREFIX {settings.key_prefix!r} has a hash tag, which would put all shards on one "
            "node of the cluster: leave the braces out."
        )
    return [f"{{inferq-{number}}}:{settings.key_prefix}" for number in range(settings.shards)]


def _make_shard(
    settings: Settings, number: int, count: int, *, url: str | None = None, prefix: str | None = None
) -> Settings:
    own: dict[str, object] = {"shards": 1}
    if url is not None:
        own["redis_url"] = url
    if prefix is not None:
        own["key_prefix"] = prefix
    if count > 1:
        own["max_queued"] = ceil(settings.max_queued / count)
        own["max_queued_bytes"] = ceil(settings.max_queued_bytes / count)
    if number and settings.blob_store:
        # each shard knows only its own references, and removes what it does not know
        own["blob_store"] = f"{settings.blob_store.rstrip('/')}/shard-{number}"
    return settings.model_copy(update=own)
