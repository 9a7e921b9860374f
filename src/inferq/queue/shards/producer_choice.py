"""The producer for the shards that there are. For one it is what it ever was, and nothing more is loaded."""

from typing import TYPE_CHECKING

from inferq.queue.ended_jobs import NoteEnded, ignore_ended
from inferq.queue.inspection.large_results import LargeResults
from inferq.queue.producer.producer import Producer
from inferq.queue.shards.shard_settings import split_settings
from inferq.queue.stream_tickets import StreamTickets
from inferq.settings import Settings

if TYPE_CHECKING:
    from inferq.queue.shards.sharded_payloads import ShardedResults
    from inferq.queue.shards.sharded_producer import ShardedProducer
    from inferq.queue.shards.sharded_tickets import ShardedTickets

type AnyProducer = Producer | ShardedProducer
type AnyResults = LargeResults | ShardedResults
type AnyTickets = StreamTickets | ShardedTickets


def open_producer(settings: Settings, note_ended: NoteEnded = ignore_ended) -> AnyProducer:
    """Makes a producer; it connects when first used.

    Args:
        settings: All settings, among them where the shards are.
        note_ended: Is told of each job that the producer ends.

    Raises:
        InvalidSettingError: What the settings say of servers and shards cannot be used.
    """
    shards = split_settings(settings)
    if len(shards) == 1:
        return Producer.from_settings(shards[0], note_ended)
    from inferq.queue.shards.sharded_producer import ShardedProducer

    return ShardedProducer.from_settings(shards, note_ended)
