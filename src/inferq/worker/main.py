"""One worker process, from settings to exit code."""

import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from typing import Protocol

import structlog

from inferq.errors import InferqError
from inferq.jobs import WorkerInfo
from inferq.observability.job_log import JobLog
from inferq.observability.logs import configure_logging
from inferq.observability.metrics import WORKER_JOBS_HELD, Reading
from inferq.observability.observer import NO_OBSERVER, JobObserver, JobObservers
from inferq.observability.run_metrics import RunMetrics
from inferq.observability.traces import Traces
from inferq.processes import end_with_parent
from inferq.queue import Consumer, Outage, make_worker_id
from inferq.settings import Settings, load_settings
from inferq.tensors.forms import MEDIA_TYPES
from inferq.webhooks.url_policy import UrlPolicy
from inferq.worker.blob_sweeper import BlobSweeper
from inferq.worker.executor import Executor
from inferq.worker.forced_exit import ForcedExit, try_last_call
from inferq.worker.heartbeat import Heartbeat
from inferq.worker.lease_renewer import LeaseRenewer
from inferq.worker.model_loader import ModelLoader
from inferq.worker.processor import Processor
from inferq.worker.recoverer import Recoverer
from inferq.worker.signals import StopSignals
from inferq.worker.watchdog import Watchdog, WatchedRun
from inferq.worker.webhook_delivery import WebhookDelivery

log = structlog.get_logger()


class Part(Protocol):
    """A part of the worker that works beside the processor, on threads of its own."""

    def start(self) -> None:
        """Starts it; returns at once."""

    def stop(self) -> None:
        """Stops it; waits for what is under way."""


class Worker:
    """Puts the parts of a worker process together: a processor, and what works beside it.

    Args:
        settings: All settings.
        loader: Loads the models.
        observer: Is told of claims, runs and ends.

    Raises:
        InvalidModelError: No model of the repository can be served.
        InvalidSettingError: The Redis URL cannot be used.
    """

    def __init__(self, settings: Settings, loader: ModelLoader, observer: JobObserver = NO_OBSERVER) -> None:
        runs = RunMetrics()
        if settings.worker_metrics_port:
            observer = JobObservers([observer, runs])
        watchdog = Watchdog(settings.run_stop_grace_seconds, self._replace_hung_process)
        self._traces = traces = Traces("inferq-worker")
        executor = Executor({}, watchdog, settings, observer, traces)
        models, left_out = loader.load_into(executor)
        versions = {name: model.document.version for name, model in models.items()}
        self._info = _describe(versions, left_out)
        self._documents = {name: model.document.to_json() for name, model in models.items()}
        self._outage = outage = Outage()
        job_log = JobLog(settings, versions)
        observers = JobObservers([observer, job_log])
        self._consumer = consumer = Consumer(
            settings,
            self._info.id,
            list(models),
            versions,
            note_ended=job_log.note_ended,
            note_settled=observers.jobs_ended,
        )
        self._processor = processor = Processor(consumer, executor, outage, observers)
        self._forced_exit = ForcedExit(
            consumer, processor, self._info.id, settings.shutdown_seconds, observers
        )
        policy = UrlPolicy.from_settings(settings)
        webhooks = WebhookDelivery(settings, policy, outage) if policy else None
        heartbeat = Heartbeat(
            consumer,
            processor,
            self._info,
            self._documents,
            settings.heartbeat_seconds,
            outage,
            lambda: webhooks.open_circuits if webhooks else 0,
        )
        self._parts: list[Part] = [
            watchdog,
            heartbeat,
            LeaseRenewer(consumer, processor, executor, watchdog, settings, outage),
            Recoverer(consumer, outage),
        ]
        if settings.blob_store:
            self._parts.append(BlobSweeper(consumer, outage))
        if webhooks:
            self._parts.append(webhooks)
        if settings.worker_metrics_port:
            self._parts.append(_make_metrics_server(settings, runs, processor))

    def run(self) -> None:
        """Serves until told to stop.

        Raises:
            InvalidSettingError: The Redis server cannot keep jobs safe.
        """
        stopping = self._processor.stopping
        self._outage.retry_until_available(self._consumer.check_server, stopping)
        self._outage.retry_until_available(lambda: self._consumer.announce(self._documents), stopping)
        if stopping.is_set():
            return
        self._traces.start()
        for part in self._parts:
            part.start()
        log.info("worker_ready", worker_id=self._info.id, models=sorted(self._documents))
        self._processor.run()
        for part in reversed(self._parts):
            part.stop()
        try_last_call(self._consumer.retire, "retire")
        self._traces.stop()
        log.info("worker_stopped", worker_id=self._info.id, jobs_done=self._processor.jobs_done)

    def stop(self) -> None:
        """Lets the run under way finish within the grace period, then ends the process. Does not return."""
        self._forced_exit.stop_within_grace_period()

    def _replace_hung_process(self, run: WatchedRun) -> None:
        self._forced_exit.replace_hung_process(run)


def _make_metrics_server(settings: Settings, runs: RunMetrics, processor: Processor) -> Part:
    """Makes the part that answers scrapes."""
    from inferq.worker.metrics_server import MetricsServer  # 100 ms that no other worker should spend

    def read() -> Iterator[Reading]:
        yield from runs.read()
        yield Reading(WORKER_JOBS_HELD, (), len(processor.held))

    return MetricsServer(settings.worker_metrics_host, settings.worker_metrics_port, read)


def _describe(versions: Mapping[str, str], left_out: Mapping[str, str]) -> WorkerInfo:
    """Returns what the heartbeat says of this process.

    Args:
        versions: Name to version of the models that it serves.
        left_out: Name to reason of those that it cannot.
    """
    host, pid = socket.gethostname(), os.getpid()
    return WorkerInfo(
        id=make_worker_id(host),
        host=host,
        pid=pid,
        models=tuple(versions),
        started_at=datetime.now(UTC),
        left_out=left_out,
        model_versions=versions,
        inferq_version=version("inferq"),
        forms=MEDIA_TYPES,
    )


def _schedule_as_batch() -> None:
    """Tells Linux that this process computes: when it wakes, it does not preempt a server or a proxy.

    Otherwise it would each time that one of them has just written to it and has not answered its client yet.
    """
    if sys.platform == "linux" and os.sched_getscheduler(0) == os.SCHED_OTHER:  # not chosen by an operator
        with suppress(OSError):  # a container may forbid it
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def main() -> None:
    """Runs a worker with the settings of the environment; exits 0 when told to stop, 1 if it cannot start."""
    end_with_parent()
    _schedule_as_batch()
    signals = StopSignals(partial(os._exit, 0))  # until there is something to finish
    try:
        settings = load_settings()
        configure_logging(settings)
        loader = ModelLoader(settings)
        signals.callback = loader.give_up
        worker = Worker(settings, loader)
        signals.callback = worker.stop
        worker.run()
    except InferqError as error:
        sys.exit(f"inferq worker: {error.message}")


if __name__ == "__main__":
    main()
