"""Tells webhooks of the ends of jobs."""

import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from inferq.errors import InvalidInputError
from inferq.jobs import Job
from inferq.queue.redis_client.outage import Outage
from inferq.queue.retry_policy import RetryPolicy
from inferq.queue.webhook_outbox import DeliveryOutcome, DeliveryVerdict, OutboxEntry, WebhookOutbox
from inferq.settings import Settings
from inferq.webhooks.circuit_breaker import CircuitBreakers
from inferq.webhooks.url_policy import UrlRules
from inferq.worker.periodic import Periodic
from inferq.worker.watchdog import quietly

if TYPE_CHECKING:
    from inferq.webhooks.network import Resolver
    from inferq.webhooks.sender import Delivery, WebhookSender

LOOK_SECONDS = 1.0
"""How often an idle worker looks for due reports."""
AT_ONCE = 16
"""Most reports under way in one worker."""
LEASE_SLACK_SECONDS = 5.0
"""How much longer than a try may take its report is this worker's."""

log = structlog.get_logger()


class WebhookDelivery:
    """Delivers due reports, on threads of its own. One that is not settled becomes due again by its lease.

    Args:
        settings: All settings.
        rules: Which URLs may be called.
        outage: Where it is noted that Redis is away.
        retries: When a delivery is tried again, and how often; the policy for webhooks if left out.
        resolver: Finds the addresses of names; the system's if left out.
    """

    def __init__(
        self,
        settings: Settings,
        rules: UrlRules,
        outage: Outage,
        *,
        retries: RetryPolicy | None = None,
        resolver: "Resolver | None" = None,
    ) -> None:
        self._settings = settings
        self._rules = rules
        self._retries = retries or RetryPolicy.for_webhooks(settings)
        self._resolver = resolver
        self._reports = WebhookOutbox(settings)
        self._origins = CircuitBreakers(self._retries.base_seconds)
        self._courier: WebhookSender | None = None
        self._tried: deque[tuple[OutboxEntry, Delivery]] = deque()
        self._unsettled: list[DeliveryOutcome] = []
        self._under_way = 0
        self._thread = Periodic("reports", LOOK_SECONDS, self._turn, outage)

    def start(self) -> None:
        """Starts to look for due reports."""
        self._thread.start()

    def shutdown(self) -> None:
        """Stops; tries under way have a moment to end."""
        self._thread.shutdown()
        if self._courier is not None:
            self._courier.shutdown()
        quietly(self._settle, "settle reports")
        self._reports.close()

    def _turn(self) -> bool:
        self._settle()
        free = AT_ONCE - self._under_way
        if free <= 0:
            return False
        lease_seconds = self._settings.webhook_timeout_seconds + LEASE_SLACK_SECONDS
        reports, dropped = self._reports.take(free, lease_seconds)
        if dropped:
            log.warning("webhooks_expired", count=dropped)
            self._thread.hurry()
        if reports:
            self._begin(reports)
        return True

    def _begin(self, reports: Sequence[OutboxEntry]) -> None:
        welcome = []
        for report in reports:
            delay = self._origins.delay(self._origin_of(report), time.monotonic())
            if delay:
                self._unsettled.append(DeliveryOutcome(report, DeliveryVerdict.DEFERRED, delay_seconds=delay))
            else:
                welcome.append(report)
        for report, job in zip(welcome, self._reports.read(welcome), strict=True):
            if job is not None and job.status.is_final:
                self._send(report, job)
        if self._unsettled:
            self._thread.hurry()

    def _origin_of(self, report: OutboxEntry) -> str:
        try:
            return self._rules.check(report.url).origin
        except InvalidInputError:
            return ""  # settings have changed since; the courier says why it does not call

    def _send(self, report: OutboxEntry, job: Job) -> None:
        # loaded now: a worker whose jobs have no webhook does without TLS and HTTP
        from inferq.webhooks.network import resolve
        from inferq.webhooks.sender import WebhookSender
        from inferq.webhooks.signing import message_id

        if self._courier is None:
            settings = self._settings
            self._courier = WebhookSender(
                self._rules,
                settings.webhook_secret,
                settings.webhook_timeout_seconds,
                self._resolver or resolve,
            )
        self._under_way += 1

        def note(delivery: "Delivery") -> None:
            self._tried.append((report, delivery))
            self._thread.hurry()

        self._courier.send(report.url, message_id(report.id, report.ended_ms), job, note)

    def _settle(self) -> None:
        """Stores how tries went; keeps it for the next turn where Redis is away."""
        while self._tried:
            report, delivery = self._tried.popleft()
            self._under_way -= 1
            self._origins.note(self._origin_of(report), time.monotonic(), has_answered=delivery.has_answered)
            self._unsettled.append(self._settlement(report, delivery))
        if self._unsettled:
            verdicts = self._reports.settle(self._unsettled)
            for settlement, verdict in zip(self._unsettled, verdicts, strict=True):
                self._tell(settlement, verdict)
            self._unsettled = []

    def _settlement(self, report: OutboxEntry, delivery: "Delivery") -> DeliveryOutcome:
        if not delivery.error:
            return DeliveryOutcome(report, DeliveryVerdict.DELIVERED)
        if delivery.is_final or self._retries.is_exhausted(report.attempts + 1):
            return DeliveryOutcome(report, DeliveryVerdict.GIVEN_UP, delivery.error)
        delay = self._retries.draw_delay(report.attempts + 1)
        return DeliveryOutcome(report, DeliveryVerdict.AGAIN, delivery.error, delay)

    def _tell(self, settlement: DeliveryOutcome, verdict: str) -> None:
        report = settlement.report
        details = {
            "job_id": report.job_id,
            "receiver": self._origin_of(report),
            "attempt": report.attempts + 1,
        }
        match verdict:
            case DeliveryVerdict.GIVEN_UP:
                log.error("webhook_given_up", **details, error=settlement.error)
            case DeliveryVerdict.AGAIN:
                log.warning(
                    "webhook_failed",
                    **details,
                    error=settlement.error,
                    again_in=round(settlement.delay_seconds, 1),
                )
            case _:
                log.debug("webhook_settled", **details, verdict=verdict)
