"""The doors of a worker: what it gets where there is one shard, and where there are several."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from inferq.queue.consumer.blobs.large_data import NoteSettled, ignore_settled
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.ended_jobs import NoteEnded, ignore_ended
from inferq.queue.redis_client.outage import Outage
from inferq.queue.shards.shard_settings import split_settings
from inferq.queue.webhook_outbox import WebhookOutbox
from inferq.settings import Settings

if TYPE_CHECKING:
    from inferq.queue.consumer.blobs.result_upload import ResultUpload
    from inferq.queue.consumer.claims.prefetch import PrefetchedClaim
    from inferq.queue.shards.shard_upload import ShardUpload
    from inferq.queue.shards.sharded_consumer import ShardedConsumer
    from inferq.queue.shards.sharded_outbox import ShardedOutbox
    from inferq.queue.shards.sharded_prefetch import ShardedPrefetch

type AnyConsumer = Consumer | ShardedConsumer
"""The consumer's side of the queue, of one shard or of several."""

type AnyPrefetch = PrefetchedClaim | ShardedPrefetch
"""What `prepare_prefetch` of either returns."""

type AnyUpload = ResultUpload | ShardUpload
"""What `prepare_upload` of either returns."""

type AnyOutbox = WebhookOutbox | ShardedOutbox
"""The outbox of webhooks, of one shard or of several."""


def open_consumer(
    settings: Settings,
    worker_id: str,
    models: Sequence[str] = (),
    versions: Mapping[str, str] | None = None,
    *,
    note_ended: NoteEnded = ignore_ended,
    note_settled: NoteSettled = ignore_settled,
    outage: Outage | None = None,
) -> AnyConsumer:
    """Makes the consumer of one worker; see `Consumer`.

    Args:
        settings: Where the servers are, lifetimes, and the key prefix.
        worker_id: Who claims.
        models: Names of the models it serves.
        versions: What each of them runs with.
        note_ended: Is told of each job that it ends, or finds to have ended outside, and has not run.
        note_settled: Is told of outcomes that it stores itself.
        outage: Where it is noted that the only server is away. Each of several shards has one of its own.

    Raises:
        InvalidSettingError: The URLs, or the number of shards, cannot be used.
    """
    shards = split_settings(settings)

    def make(number: int, its_outage: Outage | None) -> Consumer:
        return Consumer(
            shards[number],
            worker_id,
            models,
            versions,
            note_ended=note_ended,
            note_settled=note_settled,
            outage=its_outage,
            shard=number,
        )

    if len(shards) == 1:
        return make(0, outage)
    from inferq.queue.shards.sharded_consumer import ShardedConsumer  # a queue of one shard has no need of it

    return ShardedConsumer(len(shards), make, note_settled)


def open_outbox(settings: Settings) -> AnyOutbox:
    """Makes the outbox of one worker; see `WebhookOutbox`.

    Args:
        settings: Where the servers are, and the key prefix.

    Raises:
        InvalidSettingError: The URLs, or the number of shards, cannot be used.
    """
    shards = split_settings(settings)
    if len(shards) == 1:
        return WebhookOutbox(shards[0])
    from inferq.queue.shards.sharded_outbox import ShardedOutbox  # as above

    return ShardedOutbox(shards)
