"""Whether the service is there: the server, the proxy, and each worker that was started.

What takes long to import is imported when the children have been started, so that all load side by side.
"""

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress
from http.client import HTTPException
from urllib.request import ProxyHandler, build_opener

from inferq.errors import InvalidSettingError, RedisUnavailableError, StoreUnavailableError
from inferq.local.object_server import BUCKET
from inferq.local.service_plan import ServicePlan
from inferq.local.supervisor import Child
from inferq.settings import Settings

_POLL_SECONDS = 0.03
_direct = build_opener(ProxyHandler({}))  # http_proxy and the like are not meant for our own proxy


async def check_outside_server(settings: Settings) -> None:
    """Checks that an outside server can be used.

    Raises:
        InvalidSettingError: It cannot; the message says why.
    """
    from inferq.queue import split_settings

    for shard in split_settings(settings):
        await _check_outside_shard(shard)


async def _check_outside_shard(settings: Settings) -> None:
    from inferq.queue import connect, mask_url, redis_errors, start_errors

    client = connect(settings)
    try:
        with start_errors(), redis_errors():
            await asyncio.to_thread(client.ping)
    except RedisUnavailableError as error:
        raise InvalidSettingError(
            f"The Redis server {mask_url(settings.redis_url)} cannot be used: {error.message} "
            "Start it, or leave --redis-url out to use the embedded one."
        ) from error
    finally:
        client.close()


async def forget_models(settings: Settings) -> None:
    """Waits for the embedded server, and deletes the announcements of workers of an earlier start."""
    from inferq.queue import open_producer

    producer = open_producer(settings)
    try:
        while True:
            with suppress(RedisUnavailableError):
                await producer.forget_models()
                return
            await asyncio.sleep(_POLL_SECONDS)
    finally:
        await producer.close()


async def wait_for_object_store() -> None:
    """Waits until the object store takes objects."""
    from inferq.blobs import open_user_objects

    objects = open_user_objects()
    while True:
        with suppress(StoreUnavailableError):
            await asyncio.to_thread(objects.write, f"s3://{BUCKET}/.inferq-up", [b""])
            return
        await asyncio.sleep(_POLL_SECONDS)


async def wait_until_ready(plan: ServicePlan, workers: Sequence[Child]) -> dict[str, str]:
    """Waits until the proxy is ready, and each of these workers has reported itself.

    Args:
        plan: The service.
        workers: The workers that were started. An outside server may have others already.

    Returns:
        The models that cannot be served: name to reason.
    """
    from inferq.queue import find_unavailable, open_producer

    host = socket.gethostname()
    producer = open_producer(plan.settings)
    try:
        while True:
            with suppress(RedisUnavailableError, OSError, HTTPException):
                live = await producer.read_workers()
                pids = {worker.pid for worker in live if worker.host == host}
                if all(worker.process and worker.process.pid in pids for worker in workers):
                    await asyncio.to_thread(get, f"{plan.proxy_url}/health/ready")
                    return find_unavailable(live)
            await asyncio.sleep(_POLL_SECONDS)
    finally:
        await producer.close()


def get(url: str) -> bytes:
    """Returns the body of an answer of our own proxy.

    Raises:
        OSError: It did not answer, or not with success.
        HTTPException: It is no HTTP answer.
    """
    with _direct.open(url, timeout=2) as answer:
        body: bytes = answer.read()
    return body
