"""One worker process, from settings to exit code."""

import gc
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from typing import Protocol

import structlog

from inferq.egress.url_policy import UrlPolicy
from inferq.errors import InferqError
from inferq.jobs import WorkerInfo
from inferq.observability.job_log import JobLog
from inferq.observability.logs import configure_logging
from inferq.observability.metrics import WORKER_JOBS_HELD, Reading
from inferq.observability.observer import NO_OBSERVER, JobObserver, JobObservers
from inferq.observability.run_metrics import RunMetrics
from inferq.observability.traces import Traces
from inferq.processes import end_with_parent
from inferq.queue import Outage, make_worker_id, open_consumer
from inferq.settings import Settings, load_settings
from inferq.tensors.forms import READ_FORMS
from inferq.worker.background.blob_sweeper import BlobSweeper
from inferq.worker.background.heartbeat import Heartbeat
from inferq.worker.background.lease_renewer import LeaseRenewer
from inferq.worker.background.recoverer import Recoverer
from inferq.worker.background.webhook_delivery import WebhookDelivery
from inferq.worker.forced_exit import ForcedExit, try_last_call
from inferq.worker.loading.model_loader import ModelLoader
from inferq.worker.loading.model_pool import ModelPool
from inferq.worker.loading.repository_watcher import RepositoryWatcher
from inferq.worker.processor import Processor
from inferq.worker.runs.executor import Executor
from inferq.worker.runs.input_fetching import InputFetching
from inferq.worker.runs.output_writer import OutputWriter
from inferq.worker.runs.watchdog import Watchdog, WatchedRun
from inferq.worker.serving.served_models import ServedModels, ServedTable
from inferq.worker.shadows.shadow_comparer import ShadowComparer
from inferq.worker.shadows.shadow_sampler import ShadowSampler
from inferq.worker.shadows.shadows import Shadows
from inferq.worker.signals import StopSignals

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
        repository = loader.load()
        self._served = served = ServedModels(ServedTable())
        most = settings.max_loaded_models
        pool = ModelPool(most, loader.load_again, self._load_anew) if most else None
        fetching = InputFetching(settings)
        executor = Executor(served, watchdog, settings, observer, traces, pool, fetching)
        self._info = _describe()
        self._outage = outage = Outage()
        job_log = JobLog(settings)
        observers = JobObservers([observer, job_log])
        self._consumer = consumer = open_consumer(
            settings,
            self._info.id,
            note_ended=job_log.note_ended,
            note_settled=lambda outcomes, verdicts: ends.jobs_ended(outcomes, verdicts),
            outage=outage,
        )
        sampler = ShadowSampler(consumer, served, outage)
        comparer = ShadowComparer(consumer)
        ends = JobObservers([observers, sampler])
        self._processor = processor = Processor(
            consumer, executor, outage, ends, Shadows(sampler, comparer), OutputWriter(settings)
        )
        self._forced_exit = ForcedExit(
            consumer, processor, self._info.id, settings.shutdown_seconds, observers
        )
        policy = UrlPolicy.for_webhooks(settings)
        webhooks = WebhookDelivery(settings, policy, outage) if policy else None
        self._watcher = watcher = RepositoryWatcher(settings, loader, repository, served, consumer, outage)
        heartbeat = Heartbeat(
            consumer,
            processor,
            self._info,
            served,
            settings.heartbeat_seconds,
            outage,
            lambda: webhooks.open_circuits if webhooks else 0,
            watcher.note_generation,
        )
        watcher.report_soon = heartbeat.run_soon
        renewer = LeaseRenewer(consumer, processor, executor, watchdog, settings, outage)
        processor.note_waits = renewer.note_waits
        self._parts: list[Part] = [
            watchdog,
            fetching,
            heartbeat,
            renewer,
            Recoverer(consumer, outage),
            watcher,
            sampler,
            comparer,
        ]
        if settings.blob_store:
            self._parts.append(BlobSweeper(consumer, outage))
        if webhooks:
            self._parts.append(webhooks)
        if settings.pod_name:
            self._parts.append(_make_deletion_cost(settings.pod_name, processor, outage))
        if settings.worker_metrics_port:
            self._parts.append(_make_metrics_server(settings, runs, processor))

    def run(self) -> None:
        """Serves until told to stop.

        Raises:
            InvalidSettingError: The Redis server cannot keep jobs safe.
        """
        stopping = self._processor.stopping
        self._outage.retry_until_available(self._consumer.check_server, stopping)
        self._outage.retry_until_available(self._watcher.begin, stopping)
        if stopping.is_set():
            return
        self._traces.start()
        for part in self._parts:
            part.start()
        gc.collect()
        gc.freeze()  # a collection, as a load of models causes, would else stop all threads for 20 ms
        log.info("worker_ready", worker_id=self._info.id, models=sorted(self._served.table.documents))
        self._processor.run()
        for part in reversed(self._parts):
            part.stop()
        try_last_call(self._consumer.retire, "retire")
        self._traces.stop()
        log.info("worker_stopped", worker_id=self._info.id, jobs_done=self._processor.jobs_done)

    def stop(self) -> None:
        """Lets the run under way finish within the grace period, then ends the process. Does not return."""
        self._forced_exit.stop_within_grace_period()

    def _load_anew(self, name: str) -> None:
        self._watcher.load_anew(name)

    def _replace_hung_process(self, run: WatchedRun) -> None:
        self._forced_exit.replace_hung_process(run)


def _make_metrics_server(settings: Settings, runs: RunMetrics, processor: Processor) -> Part:
    """Makes the part that answers scrapes."""
    # 100 ms that no other worker should spend
    from inferq.worker.background.metrics_server import MetricsServer

    def read() -> Iterator[Reading]:
        yield from runs.read()
        yield Reading(WORKER_JOBS_HELD, (), len(processor.held))

    return MetricsServer(settings.worker_metrics_host, settings.worker_metrics_port, read)


def _make_deletion_cost(pod: str, processor: Processor, outage: Outage) -> Part:
    from inferq.worker.background.deletion_cost import DeletionCost  # TLS, which no other worker needs

    return DeletionCost(pod, processor, outage)


def _describe() -> WorkerInfo:
    """Returns what the heartbeat says of this process, whatever it serves."""
    host, pid = socket.gethostname(), os.getpid()
    return WorkerInfo(
        id=make_worker_id(host),
        host=host,
        pid=pid,
        models=(),
        started_at=datetime.now(UTC),
        inferq_version=version("inferq"),
        forms=READ_FORMS,
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
