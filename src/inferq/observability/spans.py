"""Spans of OpenTelemetry, by its semantic conventions for messaging, and how they leave the process.

Source: https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/. A span tells names, numbers
and kinds of errors, never data.
"""

import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Self

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.environment_variables import OTEL_BSP_MAX_QUEUE_SIZE, OTEL_SPAN_LINK_COUNT_LIMIT
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, TraceFlags

from inferq.errors import ErrorKind, InferqError
from inferq.observability.redaction import hide_secrets
from inferq.observability.traced_job import ReceivedJob, SentJob

_MOST_QUEUED = 16_384
"""Spans that wait to leave, if the environment says nothing else; beyond it the oldest are dropped."""
_QUIET_SECONDS = 60.0
_SYSTEM = {"messaging.system": "inferq"}
_SEND = _SYSTEM | {"messaging.operation.type": "send", "messaging.operation.name": "send"}
_PROCESS = _SYSTEM | {"messaging.operation.type": "process", "messaging.operation.name": "process"}

log = structlog.get_logger()


class SpanMaker:
    """Makes the spans of one process.

    Args:
        provider: Makes and exports spans.
        is_shared: Whether it is the whole program's, which flushes it itself.

    Attributes:
        service: What this process is called in traces.
    """

    def __init__(self, provider: TracerProvider, *, is_shared: bool) -> None:
        self._provider = provider
        self._is_shared = is_shared
        self._tracer = provider.get_tracer("inferq", version("inferq"))
        self.service = str(provider.resource.attributes.get(SERVICE_NAME, ""))

    @classmethod
    def from_environment(cls, service: str) -> Self:
        """Makes spans with what the program has set up for all its parts, else with the standard variables.

        Args:
            service: Name of this process where the environment has none.
        """
        shared = trace.get_tracer_provider()
        if isinstance(shared, TracerProvider):  # as of opentelemetry-instrument
            return cls(shared, is_shared=True)
        _log_failures()
        return cls(_make_provider(service), is_shared=False)

    def close(self) -> None:
        """Sends what is still to be sent, however long that takes; ends the thread that does it."""
        if self._is_shared:
            self._provider.force_flush()
        else:
            self._provider.shutdown()

    @contextmanager
    def send(self, jobs: Sequence[SentJob]) -> Iterator[None]:
        """See `Traces.send`."""
        first, count = jobs[0], len(jobs)
        queues = {job.model for job in jobs}
        attributes: dict[str, str | int] = dict(_SEND)
        if first.request_id:
            attributes["messaging.message.conversation_id"] = first.request_id
        if count == 1:
            attributes["messaging.message.id"] = first.id
        else:
            attributes["messaging.batch.message_count"] = count
        name = "send"
        if len(queues) == 1:
            name, attributes["messaging.destination.name"] = f"send {first.model}", first.model
        parent = None if _is_within_span() else _make_context(read_traceparent(first.traceparent))
        span = self._tracer.start_span(name, parent, SpanKind.PRODUCER, attributes)
        traceparent = write_traceparent(span.get_span_context())
        for job in jobs:
            job.traceparent = traceparent
        try:
            yield
        except InferqError as error:
            _note_error(span, error.kind)
            raise
        except BaseException as error:
            _note_error(span, type(error).__name__)
            raise
        finally:
            if count == 1:
                span.set_attribute("messaging.message.id", first.id)  # it may tell the shard by now
            span.end()

    def note_run(self, jobs: Sequence[ReceivedJob], kind: ErrorKind | None, seconds: float) -> None:
        """See `Traces.note_run`."""
        contexts = [read_traceparent(job.traceparent) for job in jobs]
        if not any(context is None or context.trace_flags.sampled for context in contexts):
            return  # of a batch that follows from no trace's decision: none of its requests is traced
        queue, count = jobs[0].model, len(jobs)
        attributes: dict[str, str | int] = {**_PROCESS, "messaging.destination.name": queue}
        if count == 1:
            attributes["messaging.message.id"] = jobs[0].id
        else:
            attributes["messaging.batch.message_count"] = count
        ended_at = time.time_ns()
        span = self._tracer.start_span(
            f"process {queue}",
            _make_context(contexts[0] if count == 1 else None),
            SpanKind.CONSUMER,
            attributes,
            [
                Link(context, {"messaging.message.id": job.id})
                for job, context in zip(jobs, contexts, strict=True)
                if context is not None and context.trace_flags.sampled
            ],
            start_time=ended_at - round(1e9 * seconds),
        )
        if kind is not None:
            _note_error(span, kind)
        span.end(ended_at)


def _make_provider(service: str) -> TracerProvider:
    """Returns what makes and exports spans as the standard variables say."""
    named = OTELResourceDetector().detect().attributes.get(SERVICE_NAME)
    resource = Resource.create({SERVICE_NAME: named or service, SERVICE_VERSION: version("inferq")})
    # a batch may have more jobs than the 128 links that a span has by default
    links = None if os.environ.get(OTEL_SPAN_LINK_COUNT_LIMIT) else SpanLimits.UNSET
    limits = SpanLimits(max_links=links)
    provider = TracerProvider(resource=resource, span_limits=limits, shutdown_on_exit=False)
    queued = None if os.environ.get(OTEL_BSP_MAX_QUEUE_SIZE) else _MOST_QUEUED
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), max_queue_size=queued))
    return provider


def read_traceparent(text: str) -> SpanContext | None:
    """Reads a trace context as W3C Trace Context writes it; None if it is none."""
    parts = text.split("-")
    try:
        context = SpanContext(
            int(parts[1], 16), int(parts[2], 16), is_remote=True, trace_flags=TraceFlags(int(parts[3], 16))
        )
    except (ValueError, IndexError):
        return None
    return context if context.is_valid else None


def write_traceparent(context: SpanContext) -> str:
    """Writes a trace context as W3C Trace Context does."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _is_within_span() -> bool:
    return trace.get_current_span().get_span_context().is_valid


def _make_context(parent: SpanContext | None) -> Context:
    """Returns the context of a span with this parent; of a root span if there is none."""
    return Context() if parent is None else trace.set_span_in_context(NonRecordingSpan(parent), Context())


def _note_error(span: Span, kind: str) -> None:
    span.set_attribute("error.type", str(kind))
    span.set_status(StatusCode.ERROR)


class _FailureLog(logging.Handler):
    """Makes what OpenTelemetry logs of its failures a line of our log, one a minute, without secrets."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._quiet_until = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        now = time.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + _QUIET_SECONDS
            log.warning("traces_impaired", reason=_describe_failure(record))


def _describe_failure(record: logging.LogRecord) -> str:
    """Returns what a record says, but for a malformed header, which is mostly a key, and for passwords."""
    template = str(record.msg)
    text = template.partition(": %s")[0] if template.startswith("Header") else record.getMessage()
    return hide_secrets(text)


def _log_failures() -> None:
    theirs = logging.getLogger("opentelemetry")
    if not any(isinstance(handler, _FailureLog) for handler in theirs.handlers):
        theirs.addHandler(_FailureLog())
        theirs.propagate = False
