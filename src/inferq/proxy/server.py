"""Runs the proxy: uvicorn with our settings."""

import errno
import logging
import signal
import socket
import sys

import structlog
import uvicorn

from inferq.proxy.app import create_app
from inferq.settings import Settings

_SHUTDOWN_SECONDS = 8
"""How long requests under way may take after the proxy was told to stop."""

log = structlog.get_logger()


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
        log_config=None,
        log_level="warning",
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )
    logging.getLogger("uvicorn").addHandler(_ThroughStructlog())
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn raises the signal once more when it is done; being told to stop is no failure
        signal.signal(number, lambda *_: None)
    log.info("proxy_listening", host=host, port=port)
    uvicorn.Server(config).run([listener])


class _ThroughStructlog(logging.Handler):
    """Gives uvicorn's own lines the form of all others."""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if not text.startswith("Exception in ASGI application"):  # problems.py has logged it
            log.log(record.levelno, "uvicorn", message=text.strip(), exc_info=record.exc_info)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            remedy = "the port is in use. Choose another with --port."
        else:
            remedy = f"{error.strerror or error}. Choose another address with --host."
        sys.exit(f"inferq proxy: cannot listen on {host}:{port}: {remedy}")
