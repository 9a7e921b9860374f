"""Every metric is defined on one page, and docs/operations/metrics.md lists each."""

import re
import sys

import pytest

from inferq.observability.exposition import write_exposition
from inferq.observability.metrics import PROXY_METRICS, SERVICE_METRICS, WORKER_METRICS
from tests.metrics import read_samples
from tests.unit.test_documents import read

METRICS = {*SERVICE_METRICS, *PROXY_METRICS, *WORKER_METRICS}
ROWS = re.findall(
    r"^\| `([a-z_]+)` \| (\w+) \| (.*?) \| (.*) \|$", read("docs/operations/metrics.md"), re.MULTILINE
)


@pytest.mark.parametrize(
    "metric", sorted(METRICS, key=lambda metric: metric.name), ids=lambda metric: metric.name
)
def test_documents_list_every_metric_as_it_is_defined(metric):
    labels = ", ".join(f"`{label}`" for label in metric.labels) or "–"
    assert (metric.name, metric.kind, labels, metric.description) in ROWS


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_documents_list_no_other_metrics():
    of_processes = {name for name, *_ in read_samples(write_exposition([], "", ""))}
    names = [name for name, *_ in ROWS]
    assert sorted(names) == sorted({metric.name for metric in METRICS} | of_processes)


def test_names_are_in_base_units_and_those_of_counters_end_in_total():
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert metric.name.endswith("_total") is (metric.kind == "counter"), metric.name
        assert not re.search(r"_(ms|milliseconds|kb|mb|percent|minutes)(_|$)", metric.name), metric.name
        assert not re.search(r"\b(id|job|worker)\b", " ".join(metric.labels)), metric.name
