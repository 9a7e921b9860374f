"""Delivers webhooks: tells their receivers how jobs ended."""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from inferq.egress.url_policy import UrlPolicy
from inferq.errors import InvalidInputError
from inferq.jobs import Job
from inferq.queue import DeliveryOutcome, DeliveryVerdict, Outage, OutboxEntry, RetryPolicy, open_outbox
from inferq.settings import Settings
from inferq.webhooks.circuit_breaker import CircuitBreakers
from inferq.worker.forced_exit import try_last_call
from inferq.worker.periodic import Periodic

if TYPE_CHECKING:
    from inferq.egress.network import Resolver
    from inferq.webhooks.sender import Delivery, WebhookSender

PAUSE_SECONDS = 1.0
"""How often an idle worker asks for due webhooks."""
MOST_UNDER_WAY = 16
"""Most deliveries under way in one worker."""
LEASE_SLACK_SECONDS = 5.0
"""How much longer than its attempt a webhook is leased to this worker."""

log = structlog.get_logger()


class WebhookDelivery(Periodic):
    """Delivers due webhooks. One whose outcome is not stored becomes due again when its lease ends.

    Args:
        settings: All settings.
        policy: Which URLs may be called.
        outage: Where it is noted that Redis is away.
        retries: When a delivery is tried again, and how often; the policy for webhooks if left out.
        resolver: Finds the addresses of names; the system's if left out.
    """

    def __init__(
        self,
        settings: Settings,
        policy: UrlPolicy,
        outage: Outage,
        *,
        retries: RetryPolicy | None = None,
        resolver: "Resolver | None" = None,
    ) -> None:
        super().__init__("webhook-delivery", PAUSE_SECONDS, outage)
        self._settings = settings
        self._policy = policy
        self._retries = retries or RetryPolicy.for_webhooks(settings)
        self._resolver = resolver
        self._outbox = open_outbox(settings)
        self._breakers = CircuitBreakers(self._retries.base_seconds)
        self._sender: WebhookSender | None = None
        self._attempted: deque[tuple[OutboxEntry, Delivery, str]] = deque()
        self._unstored: list[DeliveryOutcome] = []
        self._under_way = 0

    @property
    def open_circuits(self) -> int:
        """How many receivers are not called for a while, since they did not answer. For other threads."""
        return len(self._breakers)

    def stop(self) -> None:
        """Stops; attempts under way have a moment to end."""
        super().stop()
        if self._sender is not None:
            self._sender.stop()
        try_last_call(self._store_outcomes, "store webhook outcomes")
        self._outbox.close()

    def run_once(self) -> bool:
        """Stores how attempts went, and begins as many as there is room for."""
        self._store_outcomes()
        room = MOST_UNDER_WAY - self._under_way
        if room <= 0:
            return False
        lease_seconds = self._settings.webhook_timeout_seconds + LEASE_SLACK_SECONDS
        entries, expired = self._outbox.lease(room, lease_seconds)
        if expired:
            log.warning("webhooks_expired", count=len(expired), job_ids=expired)
            self.run_soon()
        if entries:
            self._begin(entries)
        return True

    def _begin(self, entries: Sequence[OutboxEntry]) -> None:
        # read before: a call that a circuit breaker lets through must be made, and recorded
        for entry, job in zip(entries, self._outbox.read_jobs(entries), strict=True):
            if job is None or not job.status.is_final:
                continue
            delay = self._breakers.acquire(self._find_origin(entry), time.monotonic())
            if delay:
                self._unstored.append(DeliveryOutcome(entry, DeliveryVerdict.DEFERRED, delay_seconds=delay))
            else:
                self._send(entry, job)
        if self._unstored:
            self.run_soon()

    def _find_origin(self, entry: OutboxEntry) -> str:
        try:
            return self._policy.check(entry.url).origin
        except InvalidInputError:
            return ""  # settings have changed since; the sender says why it does not call

    def _send(self, entry: OutboxEntry, job: Job) -> None:
        # imported now: a worker whose jobs have no webhook does without TLS and HTTP
        from inferq.egress.network import resolve
        from inferq.webhooks.sender import WebhookSender
        from inferq.webhooks.signing import make_message_id

        if self._sender is None:
            settings = self._settings
            self._sender = WebhookSender(
                self._policy,
                settings.webhook_secret,
                settings.webhook_timeout_seconds,
                self._resolver or resolve,
            )
            self._sender.start()
        self._under_way += 1

        def note(delivery: "Delivery") -> None:
            self._attempted.append((entry, delivery, job.request_id))
            self.run_soon()

        self._sender.send(entry.url, make_message_id(entry.id, entry.ended_ms), job, note)

    def _store_outcomes(self) -> None:
        """Stores how attempts went; keeps that for the next run where Redis is away."""
        while self._attempted:
            entry, delivery, request_id = self._attempted.popleft()
            self._under_way -= 1
            origin = self._find_origin(entry)
            self._breakers.record(origin, time.monotonic(), has_answered=delivery.has_answered)
            self._unstored.append(replace(self._judge(entry, delivery), request_id=request_id))
        if self._unstored:
            verdicts = self._outbox.ack(self._unstored)
            for outcome, verdict in zip(self._unstored, verdicts, strict=True):
                self._log(outcome, verdict)
            self._unstored = []

    def _judge(self, entry: OutboxEntry, delivery: "Delivery") -> DeliveryOutcome:
        """Returns what follows from an attempt."""
        if not delivery.error:
            return DeliveryOutcome(entry, DeliveryVerdict.DELIVERED)
        if delivery.is_final or self._retries.is_exhausted(entry.attempts + 1):
            return DeliveryOutcome(entry, DeliveryVerdict.GIVEN_UP, delivery.error)
        delay = self._retries.draw_delay(entry.attempts + 1)
        return DeliveryOutcome(entry, DeliveryVerdict.AGAIN, delivery.error, delay)

    def _log(self, outcome: DeliveryOutcome, verdict: str) -> None:
        entry = outcome.entry
        details = {
            "job_id": entry.job_id,
            "receiver": self._find_origin(entry),
            "attempt": entry.attempts + 1,
            "request_id": outcome.request_id or None,
        }
        match verdict:
            case DeliveryVerdict.GIVEN_UP:
                log.error("webhook_given_up", **details, error=outcome.error)
            case DeliveryVerdict.AGAIN:
                retry_in = round(outcome.delay_seconds, 1)
                log.warning("webhook_failed", **details, error=outcome.error, retry_in_seconds=retry_in)
            case _:
                log.debug("webhook_settled", **details, verdict=verdict)
