"""URLs of Redis servers: the parts of one, and what is logged of it."""

import re
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import unquote, urlsplit

SENTINEL_SCHEME = "redis+sentinel://"


@dataclass(frozen=True, slots=True)
class SentinelUrl:
    """The parts of a `redis+sentinel://` URL.

    Attributes:
        sentinels: Host and port of each Sentinel.
        service: Name of the service whose primary is wanted.
        database: Number of the database.
        username: ACL user of the servers, not of the Sentinels.
        password: Its password.
    """

    sentinels: tuple[tuple[str, int], ...]
    service: str
    database: int = 0
    username: str | None = None
    password: str | None = None

    @classmethod
    def parse(cls, url: str) -> Self:
        """Reads a URL.

        Raises:
            ValueError: It is not of the form `redis+sentinel://[user:password@]host:port,…/service/database`.
        """
        credentials, _, rest = url.removeprefix(SENTINEL_SCHEME).rpartition("@")
        hosts, _, path = rest.partition("/")
        service, _, database = path.partition("/")
        username, _, password = credentials.partition(":")
        if not hosts or not service:
            raise ValueError(
                "a Sentinel URL names hosts and a service: redis+sentinel://host:26379,host:26379/service/0"
            )
        return cls(
            tuple(_host_and_port(host) for host in hosts.split(",")),
            unquote(service),
            int(database or 0),
            unquote(username) or None,
            unquote(password) or None,
        )

    @property
    def credentials(self) -> dict[str, Any]:
        """What a connection to the servers needs."""
        return {"db": self.database, "username": self.username, "password": self.password}


def _host_and_port(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError(f"{text!r} is no host:port")
    return parts.hostname, parts.port or 26379


def mask_url(url: str) -> str:
    """Returns the URL without its password, fit for logs and errors."""
    scheme, separator, rest = url.partition("://")
    credentials, at, hosts = rest.rpartition("@")
    if not at:
        return url.partition("?")[0]
    username = credentials.partition(":")[0]
    return f"{scheme}{separator}{username}:***@{hosts.partition('?')[0]}"


def check_database(url: str) -> None:
    """Raises ValueError if the path of a URL is no number of a database."""
    # redis-py takes a path that is no number for 0, and /1/2 for 12
    parts = urlsplit(url)
    if parts.scheme in ("redis", "rediss") and not re.fullmatch(r"(/[0-9]*)?/?", parts.path):
        raise ValueError(f"{parts.path!r} is no number of a database")
