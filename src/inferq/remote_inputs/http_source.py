"""Fetches files by HTTP."""

from importlib.metadata import version
from typing import Any, NoReturn
from urllib.parse import urljoin

import httpcore

from inferq.egress.network import AddressRefusedError, CheckedBackend, Resolver, make_pool
from inferq.egress.url_policy import Target, UrlPolicy
from inferq.errors import (
    InputDeniedError,
    InputNotFoundError,
    InputUnavailableError,
    InvalidInputError,
)
from inferq.remote_inputs.fetch_budget import FetchBudget

MOST_REDIRECTS = 3
_OK = 200
_REDIRECTS = {301, 302, 303, 307, 308}
_DENIED = {401, 403, 407, 451}
_GONE = {404, 410}
_PASSING = {408, 425, 429}
_SERVER_ERRORS = range(500, 600)
_USER_AGENT = f"inferq/{version('inferq')}"


class HttpSource:
    """Fetches files from the hosts that the rules allow. Uses no HTTP proxies of the environment.

    Args:
        policy: Which URLs may be fetched.
        resolver: Finds the addresses of names.
        most_connections: Most connections at one time.
    """

    def __init__(self, policy: UrlPolicy, resolver: Resolver, most_connections: int) -> None:
        self._policy = policy
        backend = CheckedBackend(resolver, allows_private=policy.allows_private)
        self._pool = make_pool(backend, most_connections)

    async def aclose(self) -> None:
        """Closes all connections."""
        await self._pool.aclose()

    async def fetch(self, url: str, budget: FetchBudget) -> bytes:
        """Fetches a file. Each of few redirections is checked as the URL itself.

        Args:
            url: Where it is.
            budget: How long it may be.

        Raises:
            InputUnavailableError: It cannot be had now: the host does not answer, or answers 5xx, 408, 425 or
                429.
            InputNotFoundError: There is none.
            InputDeniedError: The host does not give it, or has an address that is not called.
            InputTooLargeError: It is longer.
            InvalidInputError: The URL, or that of a redirection, may not be fetched.
        """
        target = self._policy.check(url)
        try:
            for _ in range(MOST_REDIRECTS + 1):
                found = await self._get(target, budget)
                if isinstance(found, bytes):
                    return found
                target = self._follow(target, found)
        except AddressRefusedError:
            raise InputDeniedError(
                f"{target.host} has an address that is not public (INFERQ_INPUT_PRIVATE_ADDRESSES)."
            ) from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as error:
            raise InputUnavailableError(
                f"{target.host} did not answer: {str(error).rstrip('.') or type(error).__name__}."
            ) from error
        raise InputDeniedError(f"{target.host} redirects more than {MOST_REDIRECTS} times.")

    async def _get(self, target: Target, budget: FetchBudget) -> bytes | str:
        """Returns the file; or where it is instead."""
        address = httpcore.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path)
        headers = [
            ("Host", target.authority),
            ("User-Agent", _USER_AGENT),
            ("Accept", "*/*"),
            ("Accept-Encoding", "identity"),
        ]
        async with self._pool.stream("GET", address, headers=headers) as response:
            fields = {name.lower(): value for name, value in response.headers}
            if response.status in _REDIRECTS and b"location" in fields:
                return fields[b"location"].decode("latin-1")
            if response.status != _OK:
                _refuse(target.host, response.status)
            if fields.get(b"content-encoding", b"identity") != b"identity":
                raise InvalidInputError(f"{target.host} sends the file compressed, though not asked to.")
            return await _read(response, fields.get(b"content-length", b""), budget)

    def _follow(self, target: Target, location: str) -> Target:
        try:
            url = urljoin(target.origin + target.path, location)
        except ValueError as error:
            raise InputDeniedError(f"{target.host} redirects to what is not a URL: {error}.") from error
        following = self._policy.check(url)
        if target.scheme == "https" != following.scheme:
            raise InputDeniedError(f"{target.host} redirects from https:// to http://.")
        return following


async def _read(response: httpcore.Response, length: bytes, budget: FetchBudget) -> bytes:
    if length.isdigit():
        budget.expect(int(length))
    stream: Any = response.stream
    parts: list[bytes] = []
    async for part in stream:
        budget.take(len(part))
        parts.append(part)
    return b"".join(parts)


def _refuse(host: str, status: int) -> NoReturn:
    answered = f"{host} answered {status}."
    if status in _GONE:
        raise InputNotFoundError(f"There is no such file: {answered}")
    if status in _DENIED:
        raise InputDeniedError(f"The file is not given: {answered}")
    if status in _PASSING or status in _SERVER_ERRORS:
        raise InputUnavailableError(f"The file cannot be had now: {answered}")
    raise InputDeniedError(f"The file cannot be had: {answered} Expected 200.")
