"""Runs the proxy: uvicorn with our settings."""

import errno
import os
import socket
import sys

import uvicorn

from inferq.proxy.app import create_app
from inferq.settings import Settings

_SHUTDOWN_SECONDS = 8
"""How long requests under way may take after the proxy was told to stop."""


def main(host: str, port: int, settings: Settings) -> None:
    """Serves until told to stop; requests under way are finished first.

    Args:
        host: Address to listen on.
        port: Port to listen on.
        settings: All settings.

    Raises:
        SystemExit: With one line and code 1 if the address cannot be listened on.
    """
    listener = _listen(host, port)
    config = uvicorn.Config(
        create_app(settings),
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )
    uvicorn.Server(config).run([listener])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        reason = "the port is in use" if error.errno == errno.EADDRINUSE else os.strerror(error.errno or 0)
        sys.exit(f"inferq proxy: cannot listen on {host}:{port}: {reason}. Choose another with --port.")
