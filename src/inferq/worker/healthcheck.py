"""Whether a worker on this host is alive: `python -m inferq.worker.healthcheck [--live]`, for containers.

A container holds one worker and has a host name of its own, so that the host name identifies the worker. On a
host with several workers, one with a heartbeat is enough. With `--live` nothing is held against the worker
while Redis does not answer: to start it again would not help.
"""

import asyncio
import socket
import sys

from inferq.errors import InferqError, RedisUnavailableError
from inferq.queue import open_producer
from inferq.settings import Settings, load_settings


async def has_live_worker(settings: Settings, host: str) -> bool:
    """Returns whether Redis knows a live worker of this host.

    Args:
        settings: Where the server is.
        host: Host name, as the worker's heartbeat gives it.

    Raises:
        RedisUnavailableError: Redis does not answer in time.
    """
    producer = open_producer(settings)
    try:
        return any(worker.host == host for worker in await producer.read_workers())
    finally:
        await producer.close()


def main(option: str = "") -> None:
    """Exits 0 if a worker of this host is alive, 1 with a sentence if none is, or that cannot be told.

    Args:
        option: `--live`, with which it exits 0 where Redis does not answer.
    """
    if option not in ("", "--live"):
        sys.exit(f"inferq healthcheck: expected --live or nothing, got {option}")
    host = socket.gethostname()
    try:
        if not asyncio.run(has_live_worker(load_settings(), host)):
            sys.exit(f"No worker on {host} has reported to Redis lately. Read its log.")
    except RedisUnavailableError as error:
        sys.exit(0 if option == "--live" else f"inferq healthcheck: {error.message}")
    except InferqError as error:
        sys.exit(f"inferq healthcheck: {error.message}")


if __name__ == "__main__":
    main(*sys.argv[1:])
