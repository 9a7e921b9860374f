"""The queue of webhooks: ends of jobs that are to be reported. Used by workers."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import batched
from typing import Any, cast

from inferq.jobs import Job
from inferq.queue.redis_client import scripts
from inferq.queue.redis_client.connection import connect, redis_errors
from inferq.queue.redis_client.script_calls import ScriptCall, ScriptRunner
from inferq.queue.redis_client.scripts import INLINE_BYTES, Script
from inferq.queue.schema.decoding import job_from
from inferq.queue.schema.ids import decode_id, encode_id, show_id
from inferq.queue.schema.keys import Keys
from inferq.queue.schema.times import to_milliseconds
from inferq.settings import Settings

LONGEST_RESULT_BYTES = 1_000_000
"""A longer result is not sent with the report: many a receiver takes no body beyond 1 MiB."""


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """The end of a job, handed out to be reported by this worker until its lease ends.

    Attributes:
        id: Job id as Redis has it, in which any byte may be.
        url: Where to report it.
        ended_ms: When the job ended, ms since 1970; a job that is run again ends at another time.
        attempts: How often it was tried before.
        due_ms: The lease's end, which proves that the report is still ours.
    """

    id: bytes
    url: str
    ended_ms: int
    attempts: int
    due_ms: int

    @property
    def job_id(self) -> str:
        """The job's id as it is shown."""
        return show_id(decode_id(self.id))


class DeliveryVerdict(StrEnum):
    """How a try to report an end went, and what follows."""

    DELIVERED = "delivered"
    AGAIN = "again"
    GIVEN_UP = "given-up"
    DEFERRED = "deferred"
    """Nothing was tried."""


@dataclass(frozen=True, slots=True)
class DeliveryOutcome:
    """How one report is settled for now.

    Attributes:
        report: The report.
        verdict: How it went.
        error: What went wrong, for a person; empty if nothing.
        delay_seconds: When it is due again, if it is.
    """

    report: OutboxEntry
    verdict: DeliveryVerdict
    error: str = ""
    delay_seconds: float = 0.0


class WebhookOutbox:
    """Hands out due reports and notes how they went.

    Every method raises RedisUnavailableError when Redis is away.

    Args:
        settings: Where the server is, and the key prefix.
    """

    def __init__(self, settings: Settings) -> None:
        self._keys = Keys(settings.key_prefix)
        self._redis = connect(settings)
        self._scripts = ScriptRunner(self._redis, settings.key_prefix)

    def close(self) -> None:
        """Closes the connections."""
        self._redis.close()

    def take(self, limit: int, lease_seconds: float) -> tuple[list[OutboxEntry], int]:
        """Hands out reports that are due, the longest due first.

        Args:
            limit: Most reports.
            lease_seconds: When they are due again, unless they have been settled.

        Returns:
            The reports; and how many were dropped, since their job's keys have expired.
        """
        with redis_errors():
            dropped, parts = self._call(
                scripts.WEBHOOK_LEASE, self._keys.webhooks, [limit, to_milliseconds(lease_seconds)]
            )
        reports = [
            OutboxEntry(job_id, url.decode("utf-8", "replace"), *numbers)
            for job_id, url, *numbers in batched(parts, 5, strict=True)
        ]
        return reports, dropped

    def read(self, reports: Sequence[OutboxEntry]) -> list[Job | None]:
        """Reads the jobs of reports as they are now; None for one that is gone.

        One whose result is longer than `LONGEST_RESULT_BYTES` has none.
        """
        if not reports:
            return []
        ids = [report.id for report in reports]
        with redis_errors():
            answers = self._call(scripts.READ, self._keys.models, [INLINE_BYTES, *ids])
            for report, answer in zip(reports, answers, strict=True):
                if isinstance(answer[1], int) and answer[1] <= LONGEST_RESULT_BYTES:
                    answer[1] = self._redis.get(self._result_key(report))
        return [job_from(report.job_id, answer) for report, answer in zip(reports, answers, strict=True)]

    def _result_key(self, report: OutboxEntry) -> bytes:
        return encode_id(self._keys.job(decode_id(report.id), "result"))

    def settle(self, settlements: Sequence[DeliveryOutcome]) -> list[str]:
        """Notes how reports went. May be repeated if a reply was lost.

        Args:
            settlements: How each went.

        Returns:
            For each its verdict; or stale, if nothing changed: it is somebody else's, or its job is gone.
        """
        arguments: list[Any] = []
        for one in settlements:
            report, delay_ms = one.report, to_milliseconds(one.delay_seconds)
            error = one.error.encode("utf-8", "backslashreplace")
            arguments += (report.id, report.ended_ms, report.due_ms, one.verdict, error, delay_ms)
        with redis_errors():
            answers = self._call(scripts.WEBHOOK_ACK, self._keys.webhooks, arguments)
        return [answer.decode() for answer in answers]

    def _call(self, script: Script, key: str, arguments: list[Any]) -> list[Any]:
        return cast("list[Any]", self._scripts.run(ScriptCall(script, [key], arguments)))
