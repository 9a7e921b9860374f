"""The outbox of webhooks: ends of jobs that are to be delivered. Used by workers."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import batched
from typing import Any, NamedTuple

from inferq.errors import StoreUnavailableError
from inferq.jobs import Job
from inferq.queue.blob_access import BlobAccess
from inferq.queue.redis_client import scripts
from inferq.queue.redis_client.connection import connect, redis_errors
from inferq.queue.redis_client.script_calls import ScriptCall, ScriptRunner
from inferq.queue.redis_client.scripts import INLINE_BYTES
from inferq.queue.schema.decoding import decode_job
from inferq.queue.schema.ids import decode_id, encode_id, show_id
from inferq.queue.schema.keys import Keys
from inferq.queue.schema.times import to_milliseconds
from inferq.settings import Settings
from inferq.tensors.envelope import read_reference

LONGEST_RESULT_BYTES = 1_000_000
"""A longer result is not sent with the end of its job: many a receiver takes no body beyond 1 MiB."""


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """The end of a job, leased to this worker to be delivered.

    Attributes:
        id: Job id as Redis has it, in which any byte may be.
        url: Where to deliver it.
        ended_ms: When the job ended, ms since 1970; a job that is run again ends at another time.
        attempts: How many deliveries have failed before.
        due_ms: The lease's end, which proves that the entry is still ours.
        shard: Number of the shard that the job is in.
    """

    id: bytes
    url: str
    ended_ms: int
    attempts: int
    due_ms: int
    shard: int = 0

    @property
    def job_id(self) -> str:
        """The job's id as it is shown."""
        return show_id(decode_id(self.id))


class OutboxLease(NamedTuple):
    """What `WebhookOutbox.lease` brings.

    Attributes:
        entries: The entries, the longest due first.
        expired: Ids, as they are shown, of the jobs of those that were removed, since their job's keys have
            expired.
    """

    entries: list[OutboxEntry]
    expired: list[str]


class DeliveryVerdict(StrEnum):
    """How an attempt to deliver an entry went, and what follows."""

    DELIVERED = "delivered"
    AGAIN = "again"
    GIVEN_UP = "given-up"
    DEFERRED = "deferred"
    """Nothing was attempted."""


@dataclass(frozen=True, slots=True)
class DeliveryOutcome:
    """How one delivery went.

    Attributes:
        entry: What was delivered, or not.
        verdict: How it went.
        error: What went wrong, for a person; empty if nothing.
        delay_seconds: When it is due again, if it is.
        request_id: Of the request that submitted the job; empty if it had none, and if nothing was attempted.
    """

    entry: OutboxEntry
    verdict: DeliveryVerdict
    error: str = ""
    delay_seconds: float = 0.0
    request_id: str = ""


class WebhookOutbox:
    """Leases due entries, and notes how their deliveries went.

    Every method raises RedisUnavailableError when Redis is away.

    Args:
        settings: Where the server is, and the key prefix.

    Attributes:
        redis: The server.
    """

    def __init__(self, settings: Settings) -> None:
        self._keys = Keys(settings.key_prefix)
        self.redis = connect(settings)
        self._scripts = ScriptRunner(self.redis, settings.key_prefix)
        self._blobs = BlobAccess(settings)

    def close(self) -> None:
        """Closes the connections."""
        self.redis.close()

    def ping(self) -> None:
        """Does nothing but ask whether the server answers."""
        with redis_errors():
            self.redis.ping()

    def lease(self, limit: int, lease_seconds: float) -> OutboxLease:
        """Leases entries that are due.

        Args:
            limit: Most entries.
            lease_seconds: When they are due again, unless they are acked before.
        """
        arguments = [limit, to_milliseconds(lease_seconds)]
        call = ScriptCall(scripts.WEBHOOK_LEASE, [self._keys.webhooks], arguments)
        with redis_errors():
            expired, parts = self._scripts.run(call)
        entries = [
            OutboxEntry(job_id, url.decode("utf-8", "replace"), *numbers)
            for job_id, url, *numbers in batched(parts, 5, strict=True)
        ]
        return OutboxLease(entries, [show_id(decode_id(job_id)) for job_id in expired])

    def read_jobs(self, entries: Sequence[OutboxEntry]) -> list[Job | None]:
        """Reads the jobs of entries as they are now; None for one that is gone.

        One whose result is longer than `LONGEST_RESULT_BYTES` comes without it.
        """
        if not entries:
            return []
        call = ScriptCall(scripts.READ, [self._keys.models], [INLINE_BYTES, *(entry.id for entry in entries)])
        with redis_errors():
            answers = self._scripts.run(call)
            for entry, answer in zip(entries, answers, strict=True):
                if isinstance(answer[1], int) and answer[1] <= LONGEST_RESULT_BYTES:
                    answer[1] = self.redis.get(self._result_key(entry))
        return [
            self._fetch_blob(decode_job(entry.job_id, answer))
            for entry, answer in zip(entries, answers, strict=True)
        ]

    def _fetch_blob(self, job: Job | None) -> Job | None:
        """Returns the job with its result, if that lies in the blob store and is not too long."""
        large = job.large_result if job else None
        if job is None or large is None or not large.blob or large.length > LONGEST_RESULT_BYTES:
            return job
        try:
            result = bytes(self._blobs.read(read_reference(large.blob)))
        except StoreUnavailableError:  # the receiver is told where to read it
            return job
        return job._replace(result=result, large_result=None)

    def ack(self, outcomes: Sequence[DeliveryOutcome]) -> list[str]:
        """Notes how deliveries went. May be repeated if an answer was lost.

        Args:
            outcomes: How each went.

        Returns:
            For each its verdict; or stale, if nothing changed: another worker has it, or its job is gone.
        """
        arguments: list[Any] = []
        for outcome in outcomes:
            entry, delay_ms = outcome.entry, to_milliseconds(outcome.delay_seconds)
            error = outcome.error.encode("utf-8", "backslashreplace")
            arguments += (entry.id, entry.ended_ms, entry.due_ms, outcome.verdict, error, delay_ms)
        with redis_errors():
            answers = self._scripts.run(ScriptCall(scripts.WEBHOOK_ACK, [self._keys.webhooks], arguments))
        return [answer.decode() for answer in answers]

    def _result_key(self, entry: OutboxEntry) -> bytes:
        return encode_id(self._keys.job(decode_id(entry.id), "result"))
