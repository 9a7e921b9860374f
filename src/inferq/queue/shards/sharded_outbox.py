"""The outbox of webhooks where there are several shards."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from inferq.errors import RedisUnavailableError
from inferq.jobs import Job
from inferq.queue.consumer.settle import KEPT
from inferq.queue.redis_client.connection import give_up_late_calls
from inferq.queue.shards.shard_health import ALL_AWAY, ShardHealth
from inferq.queue.webhook_outbox import DeliveryOutcome, OutboxEntry, OutboxLease, WebhookOutbox
from inferq.settings import Settings


class _OutboxShard:
    """The outbox of one shard, and what could not be noted there yet."""

    def __init__(self, number: int, settings: Settings) -> None:
        self.outbox = WebhookOutbox(settings)
        give_up_late_calls(self.outbox.redis, settings)
        self.health = ShardHealth(number, self.outbox.ping, lambda: None)
        self.kept: list[DeliveryOutcome] = []

    def ack(self, outcomes: Sequence[DeliveryOutcome]) -> list[str]:
        try:
            return self.health.call(lambda: self.outbox.ack(outcomes))
        except RedisUnavailableError:
            self.kept += outcomes
            return [KEPT] * len(outcomes)

    def lease(self, limit: int, lease_seconds: float) -> OutboxLease:
        """Leases entries, after what was kept is noted: so this is never more than was leased before."""
        if self.kept:
            self.health.call(lambda: self.outbox.ack(self.kept))
            self.kept = []
        return self.health.call(lambda: self.outbox.lease(limit, lease_seconds))


class ShardedOutbox:
    """Does what `WebhookOutbox` does, on several shards in turn. One that is away holds up no other.

    Args:
        settings: The settings of each shard.
    """

    def __init__(self, settings: Sequence[Settings]) -> None:
        self._shards = [_OutboxShard(number, own) for number, own in enumerate(settings)]
        self._first = 0

    def close(self) -> None:
        """Closes the connections."""
        for shard in self._shards:
            shard.health.close()
            shard.outbox.close()

    def lease(self, limit: int, lease_seconds: float) -> OutboxLease:
        """Leases entries that are due; see `WebhookOutbox`. Each time another shard is the first to be asked.

        Raises:
            RedisUnavailableError: No shard is there.
        """
        entries, expired, is_any_there = list[OutboxEntry](), list[str](), False
        self._first = (self._first + 1) % len(self._shards)
        numbers = [(self._first + offset) % len(self._shards) for offset in range(len(self._shards))]
        for number in numbers:
            if len(entries) == limit:
                break
            with suppress(RedisUnavailableError):
                found = self._shards[number].lease(limit - len(entries), lease_seconds)
                is_any_there = True
                entries += [replace(entry, shard=number) for entry in found.entries]
                expired += found.expired
        if not is_any_there:
            raise RedisUnavailableError(ALL_AWAY)
        return OutboxLease(entries, expired)

    def read_jobs(self, entries: Sequence[OutboxEntry]) -> list[Job | None]:
        """Reads the jobs of entries; None also for one whose shard is away: its entry is due again later."""
        jobs: dict[OutboxEntry, Job | None] = {}
        for number, shard in enumerate(self._shards):
            own = [entry for entry in entries if entry.shard == number]
            if own:
                with suppress(RedisUnavailableError):
                    found = shard.health.call(partial(shard.outbox.read_jobs, own))
                    jobs |= zip(own, found, strict=True)
        return [jobs.get(entry) for entry in entries]

    def ack(self, outcomes: Sequence[DeliveryOutcome]) -> list[str]:
        """Notes how deliveries went; see `WebhookOutbox`. The verdict is `KEPT` where that has to wait."""
        verdicts = [""] * len(outcomes)
        for number, shard in enumerate(self._shards):
            own = {index: one for index, one in enumerate(outcomes) if one.entry.shard == number}
            if own:
                for index, verdict in zip(own, shard.ack([*own.values()]), strict=True):
                    verdicts[index] = verdict
        return verdicts
