"""Connections to allowed addresses only, even if a name resolves to others after it was checked."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from ipaddress import ip_address

import certifi
import httpcore

from inferq.egress.addresses import is_public

type Resolver = Callable[[str, int], Awaitable[list[str]]]
"""Returns the addresses of a name, the best first; raises OSError if it has none."""


class AddressRefusedError(Exception):
    """A name has an address that may not be called. The message does not show it: it may be a secret."""


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Resolves each name once, checks every address it has, and connects to one of just these.

    TLS and the Host header still use the name, so that the certificate is checked as usual.

    Args:
        resolver: Finds addresses.
        allows_private: Whether to connect to addresses that are not public.
    """

    def __init__(self, resolver: Resolver, *, allows_private: bool) -> None:
        self._resolver = resolver
        self._allows_private = allows_private
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - as httpcore has it
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connects to the first address that answers.

        Raises:
            AddressRefusedError: The name has an address that is not public.
            httpcore.ConnectError: It has none, or none answers.
        """
        try:
            addresses = await self._resolver(host, port)
        except OSError as error:
            raise httpcore.ConnectError(f"the name has no address ({error.strerror or error})") from error
        if not self._allows_private and not all(is_public(ip_address(one)) for one in addresses):
            raise AddressRefusedError
        failure = httpcore.ConnectError("the name has no address")
        for address in addresses:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore.ConnectError as error:
                failure = error
        raise failure

    async def connect_unix_socket(
        self,
        path: str,  # noqa: ARG002 - as httpcore has it
        timeout: float | None = None,  # noqa: ASYNC109, ARG002 - as httpcore has it
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002 - as httpcore has it
    ) -> httpcore.AsyncNetworkStream:
        """Refuses: no URL stands for a socket of this machine."""
        raise AddressRefusedError

    async def sleep(self, seconds: float) -> None:
        """Waits."""
        await asyncio.sleep(seconds)


def make_pool(backend: CheckedBackend, most_connections: int) -> httpcore.AsyncConnectionPool:
    """Makes a pool of such connections; with TLS they are checked against well-known authorities.

    Args:
        backend: Makes the connections.
        most_connections: Most of them at one time.
    """
    trusted = ssl.create_default_context()  # the system's authorities, or those of SSL_CERT_FILE
    trusted.load_verify_locations(certifi.where())
    return httpcore.AsyncConnectionPool(
        ssl_context=trusted,
        max_connections=most_connections,
        max_keepalive_connections=most_connections,
        keepalive_expiry=5.0,
        network_backend=backend,
    )


async def resolve(host: str, port: int) -> list[str]:
    """Asks the system for the addresses of a name; see `Resolver`.

    It runs in a daemon thread: a resolution cannot be cancelled, and a process that stops must not hang.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[str]] = loop.create_future()

    def settle(addresses: list[str], error: OSError | None) -> None:
        if answer.done():
            return
        if error is None:
            answer.set_result(addresses)
        else:
            answer.set_exception(error)

    def run() -> None:
        addresses: list[str] = []
        failure: OSError | None = None
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        except OSError as error:
            failure = error
        except UnicodeError as error:  # the name cannot be encoded as a host name
            failure = OSError(str(error))
        with suppress(RuntimeError):  # the loop is closed: the result is not needed any more
            loop.call_soon_threadsafe(settle, addresses, failure)

    threading.Thread(target=run, name="resolver", daemon=True).start()
    return await answer
