"""URLs of Redis servers: the parts of one, and what is logged of it."""

import re
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import unquote, urlsplit

SENTINEL_SCHEME = "redis+sentinel://"
CLUSTER_SCHEMES = "redis+cluster://", "rediss+cluster://"
_SENTINEL_PORT, _NODE_PORT = 26379, 6379
_BETWEEN_URLS = re.compile(r" *, *(?=[a-z+]+://)")


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
            tuple(_host_and_port(host, _SENTINEL_PORT) for host in hosts.split(",")),
            unquote(service),
            int(database or 0),
            unquote(username) or None,
            unquote(password) or None,
        )

    @property
    def credentials(self) -> dict[str, Any]:
        """What a connection to the servers needs."""
        return {"db": self.database, "username": self.username, "password": self.password}


@dataclass(frozen=True, slots=True)
class ClusterUrl:
    """The parts of a `redis+cluster://` URL.

    Attributes:
        nodes: Host and port of some of the cluster's nodes.
        of_first: The URL of the first of them, as of a single server: with user, password and options.
    """

    nodes: tuple[tuple[str, int], ...]
    of_first: str

    @classmethod
    def parse(cls, url: str) -> Self:
        """Reads a URL.

        Raises:
            ValueError: It is not of the form `redis+cluster://[user:password@]host:port,…[?options]`.
        """
        scheme, _, rest = url.partition("+cluster://")
        rest, question_mark, options = rest.partition("?")
        credentials, at, hosts = rest.rpartition("@")
        hosts, _, database = hosts.partition("/")
        if database.strip("/") not in ("", "0"):
            raise ValueError("a Redis Cluster has no numbered databases: leave out what follows the hosts")
        nodes = tuple(_host_and_port(host, _NODE_PORT) for host in hosts.split(","))
        first = hosts.partition(",")[0]
        return cls(nodes, f"{scheme}://{credentials}{at}{first}{question_mark}{options}")


def is_cluster_url(url: str) -> bool:
    """Whether it names nodes of a Redis Cluster."""
    return url.startswith(CLUSTER_SCHEMES)


def _host_and_port(text: str, port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text.strip()}")
    if not parts.hostname:
        raise ValueError(f"{text!r} is no host:port")
    return parts.hostname, parts.port or port


def split_urls(urls: str) -> list[str]:
    """Returns the URLs in a list with commas between; hosts of one URL have commas between them too."""
    return _BETWEEN_URLS.split(urls.strip())


def mask_url(urls: str) -> str:
    """Returns the URL, or URLs, without passwords, fit for logs and errors."""
    return ",".join(map(_mask_one, split_urls(urls)))


def _mask_one(url: str) -> str:
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
