import gzip
import sys

import pytest
from prometheus_client import openmetrics, parser

from inferq.observability.buckets import Buckets
from inferq.observability.exposition import write_exposition
from inferq.observability.metrics import MetricDefinition, Reading
from tests.metrics import read_samples

JOBS = MetricDefinition("test_jobs_total", "counter", ("model",), "Jobs.")
WAIT = MetricDefinition("test_wait_seconds", "histogram", ("model",), "Waiting.")
UP = MetricDefinition("test_up", "gauge", (), "Whether it is up.")

OF_PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;"
    "version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,"
    "*/*;q=0.1"
)


def make_readings():
    buckets = Buckets((0.5, 1.0, 30.0))
    for seconds in (0.5, 0.7, 31.0):
        buckets.add(seconds)
    return [
        Reading(JOBS, ("iris",), 3),
        Reading(WAIT, ("iris",), buckets),
        Reading(JOBS, ('"odd\\\n name',), 1),
    ]


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text"])
def test_what_is_written_reads_back_the_same(accept):
    samples = read_samples(write_exposition([*make_readings(), Reading(UP, (), 1)], accept, ""))
    assert samples["test_jobs_total", "iris"] == 3
    assert samples["test_jobs_total", '"odd\\\n name'] == 1
    assert samples["test_up",] == 1
    counted = [samples["test_wait_seconds_bucket", bound, "iris"] for bound in ("0.5", "1.0", "30.0", "+Inf")]
    assert counted == [1, 2, 2, 3]
    assert samples["test_wait_seconds_count", "iris"] == 3
    assert samples["test_wait_seconds_sum", "iris"] == 32.2


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_process_says_its_processor_time_and_memory():
    samples = read_samples(write_exposition([], "", ""))
    assert samples["process_cpu_seconds_total",] > 0
    assert samples["process_resident_memory_bytes",] > 1_000_000


def test_processes_that_share_a_port_are_told_apart():
    of_service = [Reading(UP, (), 1)]
    written = write_exposition(
        make_readings(), "", "", of_service=of_service, process_labels={"process_pid": "7"}
    )
    samples = read_samples(written)
    assert samples["test_up",] == 1
    assert samples["test_jobs_total", "iris", "7"] == 3
    assert samples["test_wait_seconds_bucket", "+Inf", "iris", "7"] == 3
    assert {key[-1] for key in samples if key[0].startswith("process_")} <= {"7"}


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        *(("", "text/plain"), ("*/*", "text/plain"), ("text/html, a;q=x;;=, ;q=é", "text/plain")),
        (OF_PROMETHEUS, "application/openmetrics-text"),
        ("APPLICATION/OpenMetrics-Text; Q=0.9 , text/plain;q=0.8", "application/openmetrics-text"),
        ("application/openmetrics-text;q=0.5,text/plain", "text/plain"),
        *(
            ("application/openmetrics-text;q=0", "text/plain"),
            ("application/openmetrics-text;q=no", "text/plain"),
        ),
    ],
)
def test_form_is_the_one_that_the_request_prefers(accept, expected):
    written = write_exposition(make_readings(), accept, "")
    assert written.headers["Content-Type"].startswith(f"{expected}; version=")
    parse = openmetrics.parser if expected.endswith("openmetrics-text") else parser
    assert list(parse.text_string_to_metric_families(written.body.decode()))


@pytest.mark.parametrize(
    ("accept_encoding", "is_compressed"),
    [
        ("", False),
        ("gzip", True),
        ("br, GZip;q=0.5", True),
        ("gzip;q=0", False),
        ("gzipped, identity", False),
    ],
)
def test_text_is_compressed_if_that_is_accepted(accept_encoding, is_compressed):
    written = write_exposition(make_readings(), "", accept_encoding)
    assert (written.headers.get("Content-Encoding") == "gzip") is is_compressed
    text = gzip.decompress(written.body) if is_compressed else written.body
    assert b'test_jobs_total{model="iris"} 3.0' in text
