"""Runs the proxy: uvicorn with inferq's settings and protocols."""

import asyncio
import gc
import logging
import os
import signal
import socket

import structlog
import uvicorn

from inferq.errors import RedisUnavailableError
from inferq.proxy.app import create_app
from inferq.proxy.transport import (
    allow_many_connections,
    choose_protocols,
    is_loopback,
    listen,
    refuse_new_connections,
)
from inferq.queue import check_server, check_shard_number, connect, split_settings
from inferq.settings import Settings

_SHUTDOWN_SECONDS = 8
"""How long requests under way may take after the proxy was told to stop."""
_LAST_REQUESTS_SECONDS = 0.25
"""How long connections that are open by then may take to send their first request."""

_COLLECTIONS = (20_000, 10, 1000)
"""Thresholds of the garbage collector: new objects, and collections of the next younger generation."""

_OPEN_TO_ALL = (
    "everyone who reaches this address may use it: INFERQ_API_KEYS is not set (inferq key NAME makes a key)"
)

log = structlog.get_logger()


def main(host: str, port: int, settings: Settings, *, shares_port: bool = False) -> None:
    """Serves until told to stop; requests under way are finished first, those that only wait are answered.

    Args:
        host: Address to listen on.
        port: Port to listen on.
        settings: All settings.
        shares_port: Whether other proxies listen on the same port.

    Raises:
        SystemExit: With one line and code 1 if the address cannot be listened on.
        InvalidSettingError: The Redis server cannot keep our promises. One that is away is waited for.
    """
    allow_many_connections()
    listener = listen(host, port, shares_port=shares_port)
    _check_servers(settings)
    app = create_app(settings, shares_port=shares_port)
    protocols = choose_protocols()
    config = uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        http=protocols.http,
        ws=protocols.websocket,
        ws_max_size=settings.max_body_bytes,
        ws_per_message_deflate=False,
    )
    logging.getLogger("uvicorn").addHandler(_StructlogHandler())
    server = _PatientServer(config)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, server.end_quietly)
    _collect_garbage_rarely()
    log.info("proxy_listening", host=host, port=port)
    if not (settings.api_keys or is_loopback(listener)):
        log.warning("proxy_open_to_all", reason=_OPEN_TO_ALL)
    server.run([listener])


def _collect_garbage_rarely() -> None:
    """Makes full garbage collections rare.

    Ten thousand waiting clients are a million objects: a full collection took a second, every few seconds, in
    which no client was served. Nearly all garbage is found among the youngest objects.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTIONS)


def _check_servers(settings: Settings) -> None:
    shards = split_settings(settings)
    for number, shard in enumerate(shards):
        client = connect(shard)
        try:
            check_server(client, shard.durability)
            if len(shards) > 1:
                check_shard_number(client, shard, number)
        except RedisUnavailableError:
            pass  # requests are answered with 503 until it is there
        finally:
            client.close()


class _PatientServer(uvicorn.Server):
    """Serves the clients that have connected before it stops listening."""

    def end_quietly(self, *_signal: object) -> None:
        """Handles a signal before uvicorn starts, or one that uvicorn raises again after it has stopped.

        To be told to stop is no failure, so the exit code is 0. Before it serves there is nothing to finish,
        and the event loop would ignore a SystemExit.
        """
        if not self.started:
            os._exit(0)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in sockets or ():
            refuse_new_connections(listener)
        await asyncio.sleep(_LAST_REQUESTS_SECONDS)
        await super().shutdown(sockets)


class _StructlogHandler(logging.Handler):
    """Logs uvicorn's own lines in the format of all others."""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        # the first is logged by problems.py already; the second is a refused WebSocket
        if not text.startswith(
            ("Exception in ASGI application", "ASGI callable returned without completing")
        ):
            log.log(record.levelno, "uvicorn", message=text.strip(), exc_info=record.exc_info)
