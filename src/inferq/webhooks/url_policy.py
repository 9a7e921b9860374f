"""Which URLs a webhook may have: nobody is to reach through us what they cannot reach themselves."""

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from inferq.errors import InvalidInputError
from inferq.settings import Settings
from inferq.webhooks.addresses import address_of, is_public

LONGEST_URL = 2048
OFF = (
    "This service does not call webhooks: INFERQ_WEBHOOK_SECRET is not set. Leave webhook out, or ask the "
    "operator."
)

_PORTS = {"http": 80, "https": 443}
_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=%#]+")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that may be called, taken apart.

    Attributes:
        scheme: http or https.
        host: Name in lower case, or address without brackets.
        port: TCP port.
        path: Path and query as they are sent.
    """

    scheme: str
    host: str
    port: int
    path: str

    @property
    def origin(self) -> str:
        """Who is called, without what may be secret in the path."""
        return f"{self.scheme}://{self.authority}"

    @property
    def authority(self) -> str:
        """Host and, where it is not the usual one, port, as the Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UrlRules:
    """What is allowed.

    Attributes:
        hosts: Names, addresses and patterns such as `*.example.com`; none: every host.
        takes_private: Whether addresses that are not public are allowed.
    """

    hosts: tuple[str, ...] = ()
    takes_private: bool = False

    @classmethod
    def from_settings(cls, settings: Settings) -> Self | None:
        """The rules; None where webhooks are off."""
        if not settings.webhook_secret:
            return None
        hosts = (host.strip().strip("[]") for host in settings.webhook_allowed_hosts.lower().split(","))
        return cls(tuple(host for host in hosts if host), settings.webhook_private_addresses)

    def check(self, url: str) -> Target:
        """Takes a URL apart. Which addresses its name has is seen only when it is called.

        Raises:
            InvalidInputError: It may not be called; the message says why, and does not repeat the URL.
        """
        if len(url) > LONGEST_URL:
            raise InvalidInputError(f"webhook has {len(url)} characters; at most {LONGEST_URL} are taken.")
        if not _CHARACTERS.fullmatch(url):
            raise InvalidInputError(
                "webhook has a character that no URL has. Write it as %XX; names of hosts in ASCII (xn--…)."
            )
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise InvalidInputError(f"webhook is not a URL: {error}.") from error
        scheme, host = parts.scheme, (parts.hostname or "").removesuffix(".")
        if scheme not in _PORTS or not url[len(scheme) :].startswith("://"):
            raise InvalidInputError("webhook must be a URL that begins with https:// or http://.")
        if "@" in parts.netloc:
            raise InvalidInputError(
                "webhook must not hold a user name or password; messages are signed instead."
            )
        if "#" in url:
            raise InvalidInputError("webhook must not have a fragment (#…), which is never sent.")
        if port == 0:
            raise InvalidInputError("webhook has the port 0; expected 1 to 65535.")
        self._check_host(host)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return Target(scheme, host, port or _PORTS[scheme], path)

    def _check_host(self, host: str) -> None:
        address = address_of(host)
        if address is None and not _NAME.fullmatch(host):
            raise InvalidInputError("webhook has no host that can be called: expected a name or an address.")
        if address is None and _NUMBER.fullmatch(host.rpartition(".")[2]):
            raise InvalidInputError(
                "webhook has an odd address as its host: write four decimal numbers, as in 192.0.2.1."
            )
        if "%" in host:
            raise InvalidInputError("webhook has an address with a zone, which means something here alone.")
        if self.hosts and not any(_matches(host, pattern) for pattern in self.hosts):
            raise InvalidInputError(
                "webhook names a host that is not allowed (INFERQ_WEBHOOK_ALLOWED_HOSTS)."
            )
        is_here = host == "localhost" or host.endswith(".localhost")
        if not self.takes_private and (is_here or (address is not None and not is_public(address))):
            raise InvalidInputError(
                "webhook names an address that is not public; those are not called "
                "(INFERQ_WEBHOOK_PRIVATE_ADDRESSES)."
            )


def _matches(host: str, pattern: str) -> bool:
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and len(host) > len(pattern) - 1
    address = address_of(host)
    return host == pattern or (address is not None and address == address_of(pattern))
