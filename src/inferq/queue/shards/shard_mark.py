"""By what a shard is known again: ids tell its number, so it must be the same for all processes, for ever."""

from typing import cast

import redis

from inferq.errors import InvalidSettingError
from inferq.queue.redis_client.connection import redis_errors
from inferq.queue.redis_client.redis_url import mask_url
from inferq.queue.schema.keys import Keys
from inferq.settings import Settings


def check_shard_number(client: redis.Redis, settings: Settings, number: int) -> None:
    """Makes sure that a shard has the number that it has always had; the first check gives it that.

    Args:
        client: The shard's server.
        settings: The shard's settings.
        number: Its number by the order of the URLs.

    Raises:
        InvalidSettingError: It is another shard.
        RedisUnavailableError: The server cannot be reached.
    """
    key = Keys(settings.key_prefix).shard_number
    with redis_errors():
        client.set(key, number, nx=True)
        found = (cast("bytes | None", client.get(key)) or b"").decode("utf-8", "replace")
    if found != str(number):
        raise InvalidSettingError(
            f"INFERQ_REDIS_URL names {mask_url(settings.redis_url)} as shard {number}, and it is shard "
            f"{found}, as its key {key!r} says: name each server once, and all in the order in which they "
            "have always been. If it holds no jobs any more, delete that key."
        )
