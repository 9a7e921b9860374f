"""What both clients know of the service they talk to."""

import re
from collections.abc import Callable
from typing import Any

import httpx

from inferq.client.job_body import ServiceCache
from inferq.client.media import ContentInPieces, FileOnDisk
from inferq.client.service_url import check_url
from inferq.client.steps import Call
from inferq.errors import InvalidSettingError
from inferq.settings import Settings

_VISIBLE = re.compile("[!-~]*")
_LONGEST_SILENCE_SECONDS = 60.0
"""A stream of events that has said nothing for so long is broken: there is a heartbeat every 15 s."""


class BaseClient:
    """Where the service is, and how it is asked.

    Attributes:
        url: Where the service is.
        retries: How often a request is repeated where that does no harm.
        cache: What is known of it.
    """

    def __init__(
        self, settings: Settings, url: str | None, api_key: str | None, timeout: float, retries: int
    ) -> None:
        self.url = (url or settings.url).strip().rstrip("/")
        check_url(self.url)
        self.retries = retries
        self.cache = ServiceCache()
        self._api_key = (api_key if api_key is not None else settings.api_key).strip()
        if not _VISIBLE.fullmatch(self._api_key):
            raise InvalidSettingError(
                "The API key must be visible ASCII characters, as `inferq key` makes them (INFERQ_API_KEY)."
            )
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url}>"

    def _open[T](self, client: Callable[..., T]) -> T:
        """Makes an HTTP client.

        Raises:
            InvalidSettingError: What the environment says of proxies or certificates cannot be used.
        """
        try:
            return client(**self._http_options())
        except (ValueError, ImportError, OSError) as error:
            raise InvalidSettingError(
                f"The HTTP client cannot start: {error}. See http_proxy, https_proxy, all_proxy, "
                "SSL_CERT_FILE and SSL_CERT_DIR in the environment."
            ) from error

    def _http_options(self) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        if self._api_key:
            headers["Authorization"] = f"Bearer {self._api_key}"
        # a wait for a job keeps a connection busy, and must not block other requests
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
        return {"base_url": self.url, "headers": headers, "timeout": self._timeout, "limits": limits}

    def _request_arguments(self, call: Call) -> dict[str, Any]:
        """Returns what httpx is to send; of a body that is read meanwhile, its length alone."""
        content, headers = call.body, call.headers
        if isinstance(content, FileOnDisk | ContentInPieces):
            headers = headers | {"Content-Length": str(content.size)}
            content = None
        return {
            "method": call.method,
            "url": call.path,
            "content": content,
            "headers": headers,
            "timeout": self._timeout + call.waits_seconds,
        }

    def _stream_arguments(self, call: Call) -> dict[str, Any]:
        return {
            "method": call.method,
            "url": call.path,
            "headers": call.headers,
            "timeout": _LONGEST_SILENCE_SECONDS,
        }
