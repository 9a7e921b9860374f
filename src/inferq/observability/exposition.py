"""The answer to a scrape: what was read, as Prometheus or OpenMetrics text.

This module alone imports prometheus_client, which takes a process up to 100 ms and only a scrape needs: it is
imported by the first one.
"""

import gzip
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from itertools import accumulate
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, ProcessCollector, exposition
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from inferq.observability.metrics import BUILD_INFO, BucketCounts, MetricDefinition, Reading

OPENMETRICS = "application/openmetrics-text"
PLAIN_TEXT = "text/plain"

_BUILD = Reading(BUILD_INFO, (version("inferq"),), 1.0)
_FAMILIES = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}


class Exposition(NamedTuple):
    """The answer to a scrape.

    Attributes:
        body: The text, compressed or not.
        headers: HTTP headers that belong to it.
    """

    body: bytes
    headers: dict[str, str]


def write_exposition(
    of_process: Iterable[Reading],
    accept: str,
    accept_encoding: str,
    *,
    of_service: Iterable[Reading] = (),
    process_labels: Mapping[str, str] | None = None,
) -> Exposition:
    """Writes what was read, and what the system says of this process.

    Args:
        of_process: What this process has counted. Readings of one metric may be apart.
        accept: The header of the request; empty if it has none. What cannot be read of it is ignored.
        accept_encoding: The header of the request; empty if it has none.
        of_service: What is the same whichever process is asked.
        process_labels: More labels of all metrics of this process.
    """
    own = [*of_process, _BUILD]
    registry = CollectorRegistry()
    registry.register(_ReadingCollector(of_service))
    registry.register(_ReadingCollector(own, process_labels))
    registry.register(_LabelledProcess(process_labels))
    weights = _read_weights(accept)
    if weights.get(OPENMETRICS, 0.0) > 0 and weights[OPENMETRICS] >= weights.get(PLAIN_TEXT, 0.0):
        body, media_type = openmetrics.generate_latest(registry), openmetrics.CONTENT_TYPE_LATEST  # type: ignore[no-untyped-call]
    else:
        body, media_type = exposition.generate_latest(registry), exposition.CONTENT_TYPE_PLAIN_0_0_4
    headers = {"Content-Type": media_type, "Vary": "Accept, Accept-Encoding"}
    if _read_weights(accept_encoding).get("gzip", 0.0) > 0:
        body, headers["Content-Encoding"] = gzip.compress(body, 1), "gzip"
    return Exposition(body, headers)


class _ReadingCollector(Collector):
    """Gives prometheus_client what was read, with more labels if they are given."""

    def __init__(self, readings: Iterable[Reading], labels: Mapping[str, str] | None = None) -> None:
        self._readings = readings
        self._names, self._values = tuple(labels or ()), tuple((labels or {}).values())

    def collect(self) -> Iterator[Metric]:
        families: dict[MetricDefinition, Any] = {}
        for reading in self._readings:
            metric, value = reading.metric, reading.value
            if metric not in families:
                make_family = _FAMILIES[metric.kind]
                families[metric] = make_family(
                    metric.name, metric.description, labels=(*metric.labels, *self._names)
                )
            labels = (*reading.labels, *self._values)
            if isinstance(value, int | float):
                families[metric].add_metric(labels, value)
            else:
                families[metric].add_metric(labels, _add_up(value), value.total)
        yield from families.values()


class _LabelledProcess(ProcessCollector):
    """What the system says of this process, with more labels; nothing on systems without /proc."""

    def __init__(self, labels: Mapping[str, str] | None) -> None:
        super().__init__(registry=None)
        self._labels = labels or {}

    def collect(self) -> Iterator[Metric]:
        for family in super().collect():
            family.samples = [one._replace(labels={**one.labels, **self._labels}) for one in family.samples]
            yield family


def _add_up(buckets: BucketCounts) -> list[tuple[str, float]]:
    """Returns each bound with the number of values up to it."""
    bounds = [*(repr(float(bound)) for bound in buckets.bounds), "+Inf"]
    return list(zip(bounds, accumulate(buckets.counts), strict=True))


def _read_weights(header: str) -> dict[str, float]:
    """Returns each value that a header accepts, and its weight: 1 if it has none, 0 if that is no number."""
    weights: dict[str, float] = {}
    for part in header.lower().split(","):
        value, *parameters = (text.strip() for text in part.split(";"))
        quality = next((text[2:] for text in parameters if text.startswith("q=")), "1")
        try:
            weights[value] = max(weights.get(value, 0.0), float(quality))
        except ValueError:
            weights.setdefault(value, 0.0)
    return weights
