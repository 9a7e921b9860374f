"""When traces are on, and what spans are like."""

import subprocess
import sys
import threading
import time

import pytest
from structlog.testing import capture_logs

from inferq.errors import ErrorKind, QueueFullError
from inferq.jobs import ClaimedJob
from inferq.observability.traces import FLUSH_SECONDS, Traces
from inferq.queue import Submission
from tests.servers import free_port

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"


def claimed(number, traceparent=""):
    return ClaimedJob(f"job-{number}", "iris", b"[]", 1, "token", traceparent=traceparent)


@pytest.fixture
def traces(otlp_receiver):
    traces = Traces("inferq-test")
    traces.start()
    yield traces
    traces.stop()


def test_send_is_a_child_of_the_request_and_goes_with_the_job(traces, otlp_receiver):
    submission = Submission("iris", b"[]", request_id="request-1", traceparent=TRACEPARENT)
    with traces.send([submission]):
        assert submission.traceparent != TRACEPARENT
    [span] = otlp_receiver.wait_for(1)
    assert (span.name, span.kind, span.service) == ("send iris", "PRODUCER", "inferq-test")
    assert (span.trace_id, span.parent_id) == (TRACE, SPAN)
    assert submission.traceparent.rpartition("-")[0] == span.traceparent.rpartition("-")[0]
    assert span.attributes == {
        "messaging.system": "inferq",
        "messaging.operation.type": "send",
        "messaging.operation.name": "send",
        "messaging.destination.name": "iris",
        "messaging.message.id": submission.id,
        "messaging.message.conversation_id": "request-1",
    }


def test_send_without_a_request_of_a_trace_begins_one(traces, otlp_receiver):
    jobs = [Submission("iris", b"[]"), Submission("other", b"[]")]
    with traces.send(jobs):
        pass
    [span] = otlp_receiver.wait_for(1)
    assert (span.name, span.parent_id) == ("send", "")
    assert span.attributes["messaging.batch.message_count"] == 2
    assert "messaging.destination.name" not in span.attributes
    assert len({job.traceparent for job in jobs}) == 1


def test_send_that_fails_tells_the_kind_of_error(traces, otlp_receiver):
    with pytest.raises(QueueFullError), traces.send([Submission("iris", b"[]")]):
        raise QueueFullError("No.")
    [span] = otlp_receiver.wait_for(1)
    assert span.has_failed
    assert span.attributes["error.type"] == "queue-full"


def test_process_is_linked_to_every_job_of_its_batch(traces, otlp_receiver):
    jobs = [claimed(number, f"00-{TRACE}-{number + 1:016x}-01") for number in range(300)]
    traces.note_run([*jobs, claimed("outside")], None, 0.25)
    [span] = otlp_receiver.wait_for(1)
    assert (span.name, span.kind, span.parent_id) == ("process iris", "CONSUMER", "")
    assert span.trace_id != TRACE
    assert span.links == {(TRACE, f"{number + 1:016x}", f"job-{number}") for number in range(300)}
    assert span.seconds == pytest.approx(0.25)
    assert span.attributes == {
        "messaging.system": "inferq",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.name": "iris",
        "messaging.batch.message_count": 301,
    }
    assert not span.has_failed


def test_process_of_one_job_is_its_child_too(traces, otlp_receiver):
    traces.note_run([claimed(1, TRACEPARENT)], ErrorKind.TIMED_OUT, 0.0)
    [span] = otlp_receiver.wait_for(1)
    assert (span.trace_id, span.parent_id) == (TRACE, SPAN)
    assert span.links == {(TRACE, SPAN, "job-1")}
    assert span.attributes["messaging.message.id"] == "job-1"
    assert span.attributes["error.type"] == "timed-out"
    assert span.has_failed


@pytest.mark.parametrize("traceparent", ["", "odd", "00-xyz-1-01", f"00-{'0' * 32}-{'0' * 16}-01"])
def test_process_of_a_job_without_a_trace_begins_one(traces, otlp_receiver, traceparent):
    traces.note_run([claimed(1, traceparent)], None, 0.0)
    [span] = otlp_receiver.wait_for(1)
    assert (span.parent_id, span.links) == ("", set())


def test_jobs_that_are_not_sampled_make_no_spans_and_no_links(traces, otlp_receiver):
    submission = Submission("iris", b"[]", traceparent=f"00-{TRACE}-{SPAN}-00")
    with traces.send([submission]):
        pass
    assert submission.traceparent.startswith(f"00-{TRACE}-")
    assert submission.traceparent.endswith("-00")
    traces.note_run([claimed(1, submission.traceparent)], None, 0.0)
    unsampled = [claimed(number, submission.traceparent) for number in range(2)]
    traces.note_run(unsampled, None, 0.0)
    traces.note_run([*unsampled, claimed(3, TRACEPARENT)], None, 0.0)
    traces.stop()
    [span] = otlp_receiver.spans
    assert span.links == {(TRACE, SPAN, "job-3")}
    assert span.attributes["messaging.batch.message_count"] == 3


def test_stop_sends_what_is_still_to_be_sent(otlp_receiver, monkeypatch):
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
    monkeypatch.setattr("inferq.observability.traces.FLUSH_SECONDS", 60.0)
    traces = Traces("inferq-test")
    traces.start()
    for number in range(1000):
        traces.note_run([claimed(number)], None, 0.0)
    traces.stop()
    assert len(otlp_receiver.spans) == 1000
    traces.note_run([claimed(1)], None, 0.0)  # does nothing any more


def test_receiver_that_is_away_delays_nothing_and_is_logged_once(monkeypatch, otlp_receiver):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    traces = Traces("inferq-test")
    threads = set(threading.enumerate())
    with capture_logs() as logged:
        traces.start()
        began = time.perf_counter()
        for number in range(1000):
            traces.note_run([claimed(number)], None, 0.0)
        noted = time.perf_counter()
        traces.stop()
        stopped = time.perf_counter()
    assert noted - began < 45  # a thousand tries to send would take longer
    assert stopped - noted < FLUSH_SECONDS + 7
    assert [line["event"] for line in logged].count("traces_impaired") <= 1
    for thread in set(threading.enumerate()) - threads:
        thread.join(60)
        assert not thread.is_alive()


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_SERVICE_NAME": "inferq"},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:1"},
        {"OTEL_SDK_DISABLED": "TRUE", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:1"},
    ],
)
def test_traces_are_off_unless_a_variable_asks_for_them(monkeypatch, environment):
    [*found], traces = log_of_start(monkeypatch, environment)
    assert found == []
    submission = Submission("iris", b"[]", traceparent=TRACEPARENT)
    with traces.send([submission]):
        assert submission.traceparent == TRACEPARENT


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "must be otlp"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "'grpc'"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SPAN_LINK_COUNT_LIMIT": "many"}, "got many"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_BSP_SCHEDULE_DELAY": "0"}, "must be positive"),
    ],
)
def test_traces_that_cannot_be_made_as_asked_are_one_line_of_the_log(monkeypatch, environment, words):
    [line], _ = log_of_start(monkeypatch, environment)
    assert line["event"] == "traces_off"
    assert words in line["reason"]


def log_of_start(monkeypatch, environment):
    for name in ("EXPORTER_OTLP_ENDPOINT", "TRACES_EXPORTER", "SDK_DISABLED", "SERVICE_NAME"):
        monkeypatch.delenv(f"OTEL_{name}", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    traces = Traces("inferq-test")
    with capture_logs() as logged:
        traces.start()
    return logged, traces


def test_what_opentelemetry_says_of_its_variables_shows_no_secret():
    code = "from inferq.observability.traces import Traces; Traces('x').start()"
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://user:hidden@127.0.0.1:1",
        "OTEL_EXPORTER_OTLP_HEADERS": "hidden",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert "traces_impaired" in done.stdout
    assert "Header format invalid" in done.stdout
    assert "hidden" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "variable",
    ["SPAN_ATTRIBUTE_COUNT_LIMIT", "PYTHON_TRACER_PROVIDER", "PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER"],
)
def test_no_variable_of_opentelemetry_ends_a_process(variable):
    code = "from inferq.observability.traces import Traces; Traces('x').start()"
    environment = {"OTEL_TRACES_EXPORTER": "otlp", f"OTEL_{variable}": "odd"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.count("traces_off") == 1


def test_variables_without_the_packages_are_one_line_of_the_log_that_says_what_to_install():
    code = (
        "import sys; sys.modules['opentelemetry.sdk'] = None;"
        "from inferq.observability.traces import Traces; Traces('x').start()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "traces_off" in done.stdout
    assert "extra otel" in done.stdout
    assert "Traceback" not in done.stderr


def test_traces_that_are_off_import_nothing_of_what_makes_them():
    heavy = ("opentelemetry.exporter", "inferq.observability.spans")
    code = (
        "import sys, inferq.worker.main; from inferq.observability.traces import Traces; Traces('x').start();"
        f"assert not [name for name in sys.modules if name.startswith({heavy})]"
    )
    subprocess.run([sys.executable, "-c", code], env={}, check=True)


def test_provider_of_the_whole_program_is_used_where_there_is_one(otlp_receiver):
    code = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
trace.set_tracer_provider(provider)
from inferq.observability.traces import Traces
from inferq.queue import Submission
traces = Traces("x")
traces.start()
with provider.get_tracer("program").start_as_current_span("around") as around:
    submission = Submission("iris", b"[]")
    with traces.send([submission]):
        pass
    assert f"{around.get_span_context().trace_id:032x}" in submission.traceparent
traces.stop()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert '"name": "send iris"' in done.stdout
    assert otlp_receiver.spans == []
