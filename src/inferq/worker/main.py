"""One worker process, from settings to exit code."""

import os
import socket
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

import structlog

from inferq.errors import InferqError
from inferq.jobs import Outcome, WorkerInfo
from inferq.observability.logs import configure_logging
from inferq.processes import end_with_parent
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.consumer.registry import make_worker_id
from inferq.queue.redis_client.connection import transfer_seconds
from inferq.queue.redis_client.outage import Outage
from inferq.queue.redis_client.requirements import LARGEST_VALUE_BYTES
from inferq.settings import Settings, load_settings
from inferq.webhooks.url_policy import UrlRules
from inferq.worker.executor import Executor, timed_out
from inferq.worker.model_loader import ModelLoader
from inferq.worker.periodic import Periodic
from inferq.worker.processor import Processor
from inferq.worker.signals import StopSignals
from inferq.worker.watchdog import Watchdog, WatchedRun, quietly, replace_process
from inferq.worker.webhook_delivery import WebhookDelivery

_RECOVER_SECONDS = 1.0
_RENEW_SECONDS = 1.0
"""Longest pause between two renewals, which also tell of cancelled jobs."""
_HEARTBEATS_TO_LIVE = 3
_STALLED_SECONDS = 15.0
"""A loop that neither runs a job nor hears from the queue for so long does not count as alive."""
_LAST_CALLS_SECONDS = 2.0
"""How long giving jobs back may take after the grace period."""

log = structlog.get_logger()


class Worker:
    """The parts of a worker process and their life cycle.

    Args:
        settings: All settings.
        loader: Loads the models.

    Raises:
        InvalidModelError: No model of the repository can be served.
        InvalidSettingError: The Redis URL cannot be used.
    """

    def __init__(self, settings: Settings, loader: ModelLoader) -> None:
        self._settings = settings
        self._watch = Watchdog(settings.terminate_seconds, self._contain)
        self._runner = Executor({}, self._watch, settings)
        self._models, self._left_out = loader.load_into(self._runner)
        self._documents = {name: model.document.to_json() for name, model in self._models.items()}
        self._host = socket.gethostname()
        self._started_at = datetime.now(UTC)
        self.id = make_worker_id(self._host)
        self._outage = Outage()
        versions = {name: model.document.version for name, model in self._models.items()}
        self._consumer = Consumer(settings, self.id, list(self._models), versions)
        self._loop = Processor(self._consumer, self._runner, self._outage)
        self._threads: list[Periodic | WebhookDelivery] = [
            Periodic("heartbeat", settings.heartbeat_seconds, self._beat, self._outage),
            Periodic("renewal", min(settings.lease_seconds / 3, _RENEW_SECONDS), self._renew, self._outage),
            Periodic("recovery", _RECOVER_SECONDS, self._maintain, self._outage),
        ]
        if rules := UrlRules.from_settings(settings):
            self._threads.append(WebhookDelivery(settings, rules, self._outage))

    def run(self) -> None:
        """Serves until told to stop.

        Raises:
            InvalidSettingError: The Redis server cannot keep jobs safe.
        """
        stopping = self._loop.stopping
        self._outage.sit_out(self._consumer.check_server, stopping)
        self._outage.sit_out(lambda: self._consumer.announce(self._documents), stopping)
        if stopping.is_set():
            return
        self._watch.start()
        for thread in self._threads:
            thread.start()
        log.info("worker_ready", worker_id=self.id, models=sorted(self._models))
        self._loop.run()
        for thread in self._threads:
            thread.shutdown()
        quietly(self._consumer.retire, "retire")
        log.info("worker_stopped", worker_id=self.id, jobs_done=self._loop.jobs_done)

    def stop(self) -> None:
        """Lets the job under way finish within the grace period, then ends the process. Does not return."""
        self._loop.stopping.set()
        time.sleep(self._settings.shutdown_seconds)
        self._loop.given_up.set()
        last = threading.Timer(_LAST_CALLS_SECONDS, os._exit, (0,))  # Redis may hang; then recovery does it
        last.daemon = True
        last.start()
        quietly(self._loop.fetch_what_waits, "take what was claimed")
        held = self._loop.held
        log.warning("grace_period_over", worker_id=self.id, given_back=[job.id for job in held])
        quietly(lambda: self._consumer.requeue(held), "give jobs back")
        quietly(self._consumer.retire, "retire")
        os._exit(0)  # the main thread is inside a model and cannot be interrupted

    def _contain(self, run: WatchedRun) -> None:
        """Ends a run that does not stop: fails its job, gives the others back, and begins anew.

        Of several jobs in the run nobody knows whose fault it is: they are left to recovery, as if they had
        killed the worker, and so run alone next time.
        """
        log.error(
            "run_does_not_stop",
            job_ids=[job.id for job in run.jobs],
            model=run.jobs[0].model,
            timeout_seconds=run.timeout_seconds,
        )
        quietly(self._loop.fetch_what_waits, "take what was claimed")
        others = [job for job in self._loop.held if job not in run.jobs]
        if len(run.jobs) == 1 and not run.is_cancelled:
            failed = Outcome(run.jobs[0], error=timed_out(run))
            quietly(lambda: self._consumer.finish([failed]), "fail the job")
        quietly(lambda: self._consumer.requeue(others), "give jobs back")
        quietly(self._consumer.retire, "retire")
        if self._loop.stopping.is_set():
            os._exit(0)
        replace_process()

    def _beat(self) -> bool:
        silent = time.monotonic() - max(self._loop.progressed_at, self._outage.over_since)
        if silent > _STALLED_SECONDS and not self._loop.held:
            log.error("worker_stalled", seconds=round(silent, 1))
            return False
        report = WorkerInfo(
            id=self.id,
            host=self._host,
            pid=os.getpid(),
            models=tuple(self._models),
            started_at=self._started_at,
            jobs_done=self._loop.jobs_done,
            left_out=self._left_out,
        )
        self._consumer.heartbeat(
            report, self._documents, _HEARTBEATS_TO_LIVE * self._settings.heartbeat_seconds
        )
        return True

    def _renew(self) -> bool:
        # past this the server lets the lease lapse, should this process be too far gone to contain the run
        slack = self._settings.terminate_seconds + self._settings.lease_seconds
        self._loop.fetch_what_waits(_RENEW_SECONDS / 2)
        held = self._loop.held
        longest = sum(self._runner.timeout_of(job) for job in held)  # should each have to run alone
        # their data comes before that, and a large result goes after it
        carried = LARGEST_VALUE_BYTES if self._consumer.awaiting_data else sum(len(job.data) for job in held)
        longest += transfer_seconds(carried) + self._loop.storing_seconds
        running = dict.fromkeys(held, longest + slack)
        for job, answer in self._consumer.renew(running).items():
            if answer == "cancelled":
                self._watch.cancel(job)
            if answer in ("cancelled", "lost"):
                self._loop.stop_storing(job, is_cancelled=answer == "cancelled")
            if answer != "renewed" and self._loop.is_still_to_end(job):
                log.warning("lease_not_renewed", job_id=job.id, attempt=job.attempt, reason=answer)
        return bool(running)

    def _maintain(self) -> bool:
        try:
            self._recover()
        finally:  # whatever stands in the way of the one, the other goes on
            self._rescue()
        return True

    def _recover(self) -> None:
        found = self._consumer.recover()
        if found.lapsed or found.missing or found.failed:
            log.warning("jobs_recovered", lapsed=found.lapsed, missing=found.missing, failed=found.failed)

    def _rescue(self) -> None:
        if self._consumer.acquire_scan_turn() and (rescued := self._consumer.requeue_orphans()):
            log.warning("outside_jobs_rescued", job_ids=rescued)


def _let_others_finish() -> None:
    """Tells Linux that this process computes: when it wakes, it takes no processor from a server or a proxy.

    It would, each time one of them had just written to it, and has not answered its client yet.
    """
    if sys.platform == "linux" and os.sched_getscheduler(0) == os.SCHED_OTHER:  # else somebody chose it
        with suppress(OSError):  # whoever runs containers may have forbidden it
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def main() -> None:
    """Runs a worker with the settings of the environment; exits 0 when told to stop, 1 if it cannot start."""
    end_with_parent()
    _let_others_finish()
    signals = StopSignals(partial(os._exit, 0))  # told to stop before there is anything to finish
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
