"""Which URLs may be called: through this service a client must not reach what it cannot reach itself."""

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from inferq.egress.addresses import is_public, parse_address
from inferq.errors import InvalidInputError
from inferq.settings import Settings

LONGEST_URL = 2048
EVERY_HOST = "*"
"""What stands for every host where no host is the default."""
_LONGEST_INPUT_URL = 8192
"""What signs a URL can be longer than that."""

_PORTS = {"http": 80, "https": 443}
_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=%#]+")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that may be called, in its parts.

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
        """Scheme, host and port: the receiver, without the path, which may hold a secret."""
        return f"{self.scheme}://{self.authority}"

    @property
    def authority(self) -> str:
        """Host and, unless it is the default, port, as in the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UrlPolicy:
    """Which URLs may be called.

    Attributes:
        hosts: Names, addresses and patterns such as `*.example.com`; none: every host.
        allows_private: Whether addresses that are not public are allowed.
        noun: What errors call the URL.
        setting: How the environment variables of the two settings begin.
        longest: Most characters of a URL.
    """

    hosts: tuple[str, ...] = ()
    allows_private: bool = False
    noun: str = "webhook"
    setting: str = "INFERQ_WEBHOOK"
    longest: int = LONGEST_URL

    @classmethod
    def for_webhooks(cls, settings: Settings) -> Self | None:
        """Returns the rules; None where webhooks are off."""
        if not settings.webhook_secret:
            return None
        hosts = _split_hosts(settings.webhook_allowed_hosts)
        return cls(hosts, settings.webhook_private_addresses)

    @classmethod
    def for_inputs(cls, settings: Settings) -> Self | None:
        """Returns the rules for files that data names; None where none is fetched."""
        hosts = _split_hosts(settings.input_allowed_hosts)
        if not hosts:
            return None
        named = () if EVERY_HOST in hosts else hosts
        return cls(named, settings.input_private_addresses, "url", "INFERQ_INPUT", _LONGEST_INPUT_URL)

    def check(self, url: str) -> Target:
        """Checks a URL. Which addresses its name has is checked only when it is called.

        Returns:
            Its parts.

        Raises:
            InvalidInputError: It may not be called; the message says why, and does not repeat the URL.
        """
        if len(url) > self.longest:
            raise InvalidInputError(
                f"{self.noun} has {len(url)} characters; at most {self.longest} are taken."
            )
        if not _CHARACTERS.fullmatch(url):
            raise InvalidInputError(
                f"{self.noun} has a character that no URL has. Write it as %XX; names of hosts in ASCII "
                "(xn--…)."
            )
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise InvalidInputError(f"{self.noun} is not a URL: {error}.") from error
        scheme, host = parts.scheme, (parts.hostname or "").removesuffix(".")
        if scheme not in _PORTS or not url[len(scheme) :].startswith("://"):
            raise InvalidInputError(f"{self.noun} must be a URL that begins with https:// or http://.")
        if "@" in parts.netloc:
            raise InvalidInputError(f"{self.noun} must not hold a user name or password.")
        if "#" in url:
            raise InvalidInputError(f"{self.noun} must not have a fragment (#…), which is never sent.")
        if port == 0:
            raise InvalidInputError(f"{self.noun} has the port 0; expected 1 to 65535.")
        self._check_host(host)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return Target(scheme, host, port or _PORTS[scheme], path)

    def _check_host(self, host: str) -> None:
        address = parse_address(host)
        if address is None and not _NAME.fullmatch(host):
            raise InvalidInputError(
                f"{self.noun} has no host that can be called: expected a name or an address."
            )
        if address is None and _NUMBER.fullmatch(host.rpartition(".")[2]):
            raise InvalidInputError(
                f"{self.noun} has an odd address as its host: write four decimal numbers, as in 192.0.2.1."
            )
        if "%" in host:
            raise InvalidInputError(
                f"{self.noun} has an address with a zone, which means something here alone."
            )
        if self.hosts and not any(_matches(host, pattern) for pattern in self.hosts):
            raise InvalidInputError(
                f"{self.noun} names a host that is not allowed ({self.setting}_ALLOWED_HOSTS)."
            )
        is_loopback_name = host == "localhost" or host.endswith(".localhost")
        if not self.allows_private and (is_loopback_name or (address is not None and not is_public(address))):
            raise InvalidInputError(
                f"{self.noun} names an address that is not public; those are not called "
                f"({self.setting}_PRIVATE_ADDRESSES)."
            )


def _split_hosts(hosts: str) -> tuple[str, ...]:
    names = (host.strip().strip("[]") for host in hosts.lower().split(","))
    return tuple(name for name in names if name)


def _matches(host: str, pattern: str) -> bool:
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and len(host) > len(pattern) - 1
    address = parse_address(host)
    return host == pattern or (address is not None and address == parse_address(pattern))
