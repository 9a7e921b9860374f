"""After a run: is every job what it must be, and is nothing left over?"""

from collections import Counter
from collections.abc import Iterator
from itertools import batched
from typing import Any, cast

import redis

from inferq.blobs import BlobPart, BlobStore
from inferq.errors import BlobNotFoundError, ErrorKind
from inferq.jobs import Priority, Status
from inferq.queue.inspection.metrics import QueueMetrics
from inferq.queue.schema.blob_references import find_reference
from inferq.queue.schema.record import parse_record
from inferq.tensors.envelope import is_reference, read_reference
from tests.chaos.journal import Entry, Journal
from tests.chaos.watchers import EventWatcher

_EVERLASTING = ("models", "workers", "workers:seen", "jobs:queues", "webhooks:counts", "blobs:queue", "shard")
_STEMS = ("sequence", "counts", "histograms", "owners", "rate", "dead", "completed")


class Verdict:
    """Reads what the server holds and compares it with the journal.

    Args:
        client: The server.
        journal: What was accepted; takes the violations.
        events: What was heard.
        models: Names of the models.
        max_attempts: The setting.
        store: The blob store; None if there is none.
        prefix: The key prefix.
        shard: Number of the shard.
    """

    def __init__(
        self,
        client: redis.Redis,
        journal: Journal,
        events: EventWatcher,
        models: list[str],
        max_attempts: int,
        store: BlobStore | None = None,
        *,
        prefix: str = "",
        shard: int = 0,
    ) -> None:
        self._prefix = prefix
        self._shard = shard
        self._redis = client
        self._journal = journal
        self._events = events
        self._models = models
        self._store = store
        # the first crash is not charged, since a job is not alone then
        self._most_attempts = max_attempts + 1
        self._most_failures = max_attempts
        self.counts: Counter[str] = Counter()
        self._ends: Counter[tuple[str, str]] = Counter()

    def leftovers(self) -> list[str]:
        """What the queue still holds; nothing once it is drained."""
        left = []
        for model in self._models:
            queue = f"{self._prefix}queue:{model}"
            sets = (f"{queue}:leases", f"{queue}:retries", *(f"{queue}:open:{each}" for each in Priority))
            lists = (queue, f"{queue}:high", f"{queue}:low")
            for key, length in (
                *((key, self._redis.zcard(key)) for key in sets),
                *((key, self._redis.llen(key)) for key in lists),
            ):
                if length:
                    left.append(f"{key} holds {length}")
        return left

    def judge(self) -> None:
        """Checks everything."""
        here = [entry for entry in self._journal.entries.values() if entry.shard == self._shard]
        for entries in batched(here, 500, strict=False):
            self._judge_entries(entries)
        for sentence in self.leftovers():
            self._journal.violate(f"the queue is not empty: {sentence}")
        self._judge_keys()
        self._judge_dead_letters()
        self._judge_counts()

    def _judge_entries(self, entries: tuple[Entry, ...]) -> None:
        reads = self._redis.pipeline(transaction=False)
        for entry in entries:
            parts = ("status", "result", "error")
            reads.mget(*(f"{self._prefix}job:{entry.id}:{part}" for part in parts))
            reads.hget(f"{self._prefix}jobs:records", entry.id)
        answers = iter(reads.execute())
        for entry in entries:
            status, result, error = next(answers)
            self._judge_entry(entry, status, self._resolve(entry, result), error, parse_record(next(answers)))

    def _resolve(self, entry: Entry, result: bytes | None) -> bytes | None:
        """The result itself, where it lies in the blob store."""
        reference = find_reference(result, entry.id, BlobPart.RESULT) if result else None
        if reference is None or self._store is None:
            return result
        self.counts["results in the blob store"] += 1
        try:
            return bytes(self._store.read(reference.key, reference.size))
        except BlobNotFoundError as error:
            self._journal.violate(f"job {entry.id}: {error.message}")
            return b""

    def find_orphan_blobs(self) -> list[str]:
        """Keys of blobs that no key in Redis names; every blob that is named is there."""
        named = set[str]()
        for key in (key for part in ("data", "result") for key in self._scan(f"job:*:{part}")):
            stored = self._redis.get(key)
            if stored and is_reference(stored):
                named.add(read_reference(stored).key)
        stored_keys, cursor = set[str](), None
        while self._store is not None and cursor != "":
            page = self._store.list_page(cursor or "")
            stored_keys |= {blob.key for blob in page.blobs}
            cursor = page.cursor
        for key in named - stored_keys:
            self._journal.violate(f"the blob {key} is named, and missing")
        return sorted(stored_keys - named)

    def _judge_entry(
        self,
        entry: Entry,
        status: bytes | None,
        result: bytes | None,
        error: bytes | None,
        record: dict[str, Any],
    ) -> None:
        if not entry.is_accepted and status is None:
            self.counts["never accepted"] += 1
            return
        if status is None and self._journal.may_be_unreplicated(entry):
            self.counts["lost with a primary"] += 1
            return
        violate = self._journal.violate
        end = None if status is None else status.decode()
        kind = record.get("error_kind", "")
        where = f"job {entry.id} ({entry.origin})"
        if end not in (Status.COMPLETED, Status.FAILED) or record.get("state") != "ended":
            self.counts["lost"] += 1
            violate(f"{where} is lost: status {end}, record {record}")
            return
        how = (
            "completed" if end == Status.COMPLETED else f"failed|{'outside' if 'outside' in record else kind}"
        )
        self._ends[record.get("model", ""), how] += 1
        attempts = int(record.get("attempts", 0))
        self.counts["ran more than once"] += attempts > 1
        self.counts[end if end == Status.COMPLETED else f"failed: {kind}"] += 1
        if attempts > self._most_attempts:
            violate(f"{where} was tried {attempts} times; at most {self._most_attempts} are allowed")
        if entry.seen is not None and entry.seen != end and not self._journal.may_be_lost(entry.seen_at):
            violate(f"{where} was {entry.seen} and is {end} at the end")
        heard = self._events.heard.get(entry.id)
        if heard is not None and heard[0] != end and not self._journal.may_be_lost(heard[1]):
            violate(f"{where} was announced as {heard[0]} and is {end} at the end")
        if end == Status.COMPLETED and (error is not None or result is None):
            violate(f"{where} is completed, with result {result is not None} and error {error!r}")
        if end == Status.FAILED and (error is None or result is not None):
            violate(f"{where} is failed, with result {result is not None} and error {error!r}")
        if kind == ErrorKind.MODEL_ERROR and int(record.get("failures", 0)) < self._most_failures:
            violate(
                f"{where} failed after {record.get('failures')!r} failures; {self._most_failures} are due"
            )
        if not self._is_as_expected(entry, end, kind, result):
            violate(
                f"{where} is {end} {kind} after {attempts} attempts, expected {entry.kind or 'completed'}"
                f"{' with another result' if result != entry.expected else ''}: {error!r}, record {record}"
            )

    def _is_as_expected(self, entry: Entry, end: str, kind: str, result: bytes | None) -> bool:
        is_cancelled = end == Status.FAILED and kind == ErrorKind.CANCELLED
        if entry.cancelled_at is not None and not self._journal.may_be_lost(entry.cancelled_at):
            return is_cancelled
        if is_cancelled:
            return entry.cancel_unanswered
        if entry.kind is None:
            return end == Status.COMPLETED and result == entry.expected
        return end == Status.FAILED and kind == entry.kind

    def _judge_keys(self) -> None:
        """No key of a job without expiry; jobs that nobody was told of have ended as well."""
        allowed = {f"queue:{model}:{stem}" for model in self._models for stem in _STEMS} | set(_EVERLASTING)
        for keys in batched(self._keys(), 1000, strict=False):
            reads = self._redis.pipeline(transaction=False)
            for key in keys:
                reads.pttl(key)
            for key, ttl in zip(keys, reads.execute(), strict=True):
                name = key.decode().removeprefix(self._prefix)
                if ttl == -1 and name not in allowed:
                    self._journal.violate(f"{name} has no expiry")
                if name.startswith("job:") and name.endswith(":status"):
                    self._judge_orphan(name.removeprefix("job:").removesuffix(":status"))

    def _judge_orphan(self, job_id: str) -> None:
        if job_id in self._journal.entries:
            return
        self.counts["accepted, answer lost"] += 1
        status = self._redis.get(f"{self._prefix}job:{job_id}:status")
        if status not in (b"completed", b"failed"):
            self._journal.violate(f"job {job_id}, whose 202 never arrived, is {status!r}")

    def _judge_dead_letters(self) -> None:
        for model in self._models:
            dead = cast("list[bytes]", self._redis.zrange(f"{self._prefix}queue:{model}:dead", 0, -1))
            for batch in batched(dead, 500, strict=False):
                statuses = self._redis.mget(
                    [f"{self._prefix}job:{job_id.decode()}:status" for job_id in batch]
                )
                for job_id, status in zip(batch, statuses, strict=True):
                    if status != b"failed":
                        self._journal.violate(f"dead letter {job_id!r} is {status!r}")

    def _judge_counts(self) -> None:
        """As many ends are counted as jobs began, and of each sort at least as many as there are."""
        for model in self._models:
            queue = f"{self._prefix}queue:{model}"
            counts = {
                field.decode(): int(count) for field, count in self._redis.hgetall(f"{queue}:counts").items()
            }
            began = int(self._redis.get(f"{queue}:sequence") or 0) + counts.get("pushed", 0)
            ends = {
                field: count
                for field, count in counts.items()
                if field in ("completed", "lost") or field.startswith("failed|")
            }
            if began != sum(ends.values()):
                self._journal.violate(f"of {model} {began} jobs began, and these ends are counted: {ends}")
            for (of_model, field), number in self._ends.items():
                if of_model == model and counts.get(field, 0) < number:
                    self._journal.violate(
                        f"of {model} {number} jobs are {field}, and {counts.get(field, 0)} are counted"
                    )

    def judge_metrics(self, metrics: QueueMetrics) -> None:
        """What the metrics say of each model adds up, to the job."""
        for model, numbers in metrics.models.items():
            began = sum(numbers.submitted.values()) + numbers.user_retries
            ended, waiting = sum(numbers.ended.values()), sum(numbers.waiting.values())
            if began != ended + waiting + numbers.running + numbers.retrying:
                self._journal.violate(
                    f"of {model} the metrics say that {began} jobs began, {ended} ended, {waiting} wait, "
                    f"{numbers.running} run and {numbers.retrying} will be tried again"
                )
            starts, ends = sum(numbers.wait.counts), sum(numbers.total.counts)
            if not starts == ends <= ended:
                self._journal.violate(f"of {model} {starts} waits and {ends} ends are observed, of {ended}")

    def _keys(self) -> Iterator[bytes]:
        yield from self._scan("*")

    def _scan(self, pattern: str) -> Iterator[bytes]:
        yield from self._redis.scan_iter(f"{self._prefix}{pattern}", count=1000)
