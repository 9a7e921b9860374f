"""Whether a worker on this host reports to Redis: `python -m inferq.worker.healthcheck`, for containers.

A container holds one worker and has a host name of its own, so the host name tells whose report it is. On a
host with several workers one that reports is enough.
"""

import asyncio
import socket
import sys

from inferq.errors import InferqError
from inferq.queue.producer.producer import Producer
from inferq.settings import Settings, load_settings


async def is_reported(settings: Settings, host: str) -> bool:
    """Whether a live worker of this host is known to Redis.

    Args:
        settings: Where the server is.
        host: Host name, as the worker's heartbeat gives it.

    Raises:
        RedisUnavailableError: Redis does not answer in time.
    """
    producer = Producer.from_settings(settings)
    try:
        return any(worker.host == host for worker in await producer.live_workers())
    finally:
        await producer.close()


def main() -> None:
    """Exits 0 if a worker of this host is alive, 1 with a sentence if none is or Redis does not answer."""
    host = socket.gethostname()
    try:
        if not asyncio.run(is_reported(load_settings(), host)):
            sys.exit(f"No worker on {host} has reported to Redis lately. Read its log.")
    except InferqError as error:
        sys.exit(f"inferq healthcheck: {error.message}")


if __name__ == "__main__":
    main()
