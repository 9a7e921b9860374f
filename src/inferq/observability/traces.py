"""Traces by OpenTelemetry, where its standard variables ask for them and the extra `otel` is installed.

Nothing of OpenTelemetry is imported before that is clear. Spans leave on a thread of their own: a receiver
that is away or slow delays neither a request nor a job.
"""

import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from typing import TYPE_CHECKING

import structlog

from inferq.errors import ErrorKind
from inferq.observability.redaction import hide_secrets
from inferq.observability.traced_job import ReceivedJob, SentJob

if TYPE_CHECKING:
    from inferq.observability.spans import SpanMaker

FLUSH_SECONDS = 1.5
"""How long a process that stops may take to send its last spans."""

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_OWN_PROTOCOL = "http/protobuf"
_PACKAGES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
_NO_SPAN: AbstractContextManager[None] = nullcontext()

log = structlog.get_logger()


class Traces:
    """The spans of one process; until `start`, and where none are wanted, every call does nothing.

    Args:
        service: What the process is called in traces, where neither `OTEL_SERVICE_NAME` nor
            `OTEL_RESOURCE_ATTRIBUTES` says it.
    """

    def __init__(self, service: str) -> None:
        self._service = service
        self._spans: SpanMaker | None = None

    def start(self) -> None:
        """Begins to trace if that is wanted, and says in the log if it is wanted and cannot be done."""
        if self._spans is not None or not are_wanted(os.environ):
            return
        if reason := find_hindrance(os.environ):
            log.error("traces_off", reason=reason)
            return
        try:
            from inferq.observability.spans import SpanMaker

            self._spans = SpanMaker.from_environment(self._service)
        except Exception as error:  # noqa: BLE001 - OpenTelemetry reads variables at any moment, and names plug-ins by them
            words = str(error).rstrip(".") or type(error).__name__
            reason = f"A variable of OpenTelemetry (OTEL_*) cannot be used: {hide_secrets(words)}."
            log.error("traces_off", reason=reason)  # noqa: TRY400 - a variable, no fault of ours
            return
        log.info("traces_on", service=self._spans.service)

    def stop(self) -> None:
        """Sends what is still to be sent, within `FLUSH_SECONDS`; blocks meanwhile."""
        spans, self._spans = self._spans, None
        if spans is not None:
            flushing = threading.Thread(target=spans.close, name="traces-flush", daemon=True)
            flushing.start()
            flushing.join(FLUSH_SECONDS)

    def send(self, jobs: Sequence[SentJob]) -> AbstractContextManager[None]:
        """Makes what is done within the context a span `send`, whose context goes with the jobs.

        It is a child of the present span of this process, else of the jobs' `traceparent`.

        Args:
            jobs: What is handed in together, at least one; their `traceparent` becomes that of the span.
        """
        return _NO_SPAN if self._spans is None else self._spans.send(jobs)

    def note_run(self, jobs: Sequence[ReceivedJob], kind: ErrorKind | None, seconds: float) -> None:
        """Makes a run that has just ended a span `process`.

        It is linked to every job of the run whose trace is sampled; that of a single job is also its child.

        Args:
            jobs: The jobs that shared the run, at least one, all of one model.
            kind: How the run, or any of its jobs, failed; None for success.
            seconds: How long it took.
        """
        if self._spans is not None:
            self._spans.note_run(jobs, kind, seconds)


def are_wanted(environment: Mapping[str, str]) -> bool:
    """Whether the standard variables ask for traces: an exporter, or an endpoint for the usual one."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip()
    if exporter:
        return exporter != "none"
    return any(environment.get(name, "").strip() for name in _ENDPOINTS)


def find_hindrance(environment: Mapping[str, str]) -> str | None:
    """Why traces that are wanted cannot be made; None if they can."""
    exporters = {name.strip() for name in environment.get("OTEL_TRACES_EXPORTER", "").split(",")} - {""}
    if exporters and "otlp" not in exporters:
        return "OTEL_TRACES_EXPORTER must be otlp, which is what inferq has, or none."
    protocol = next((value for name in _PROTOCOLS if (value := environment.get(name, "").strip())), "")
    if protocol not in ("", _OWN_PROTOCOL):
        return (
            f"inferq speaks OTLP as {_OWN_PROTOCOL}, and OTEL_EXPORTER_OTLP_PROTOCOL asks for {protocol!r}. "
            "Remove that variable, and name the receiver's HTTP port (4318)."
        )
    if not all(map(_is_installed, _PACKAGES)):
        return (
            "OpenTelemetry's variables ask for traces, and its packages are not installed. Install inferq "
            "with the extra otel, or set OTEL_SDK_DISABLED=true."
        )
    return None


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except (ModuleNotFoundError, ValueError):  # not even what it is part of
        return False
