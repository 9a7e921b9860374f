"""How long one proxy process takes to answer, by method, route and status."""

from collections.abc import Iterator

from inferq.observability.buckets import Buckets
from inferq.observability.metrics import HTTP_DURATION, Reading

_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Seconds, as OpenTelemetry's semantic conventions recommend for `http.server.request.duration`."""
_METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
)
"""Others, which a client may invent, are counted as `_OTHER`, as the conventions say."""


class RequestMetrics:
    """Counts the requests of one process. A `RequestObserver`."""

    def __init__(self) -> None:
        self._durations: dict[tuple[str, str, int], Buckets] = {}

    def request_ended(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts a request; see `RequestObserver.request_ended`."""
        buckets = self._durations.get((method, route, status))
        if buckets is None:
            known = method if method in _METHODS else "_OTHER"
            buckets = self._durations.setdefault((known, route, status), Buckets(_BOUNDS))
        buckets.add(seconds)

    def read(self) -> Iterator[Reading]:
        """Yields the durations of each method, route and status that there have been."""
        for (method, route, status), buckets in list(self._durations.items()):
            yield Reading(HTTP_DURATION, (method, route, str(status)), buckets)
