"""The queue: everything inferq knows about Redis. This is its door: nothing else of it is for outsiders.

Proxies use `Producer` (asynchronous) and what reads jobs and hears of their changes; workers use `Consumer`
(synchronous) and `WebhookOutbox`. State changes are the Lua scripts in `lua/`; the data model is in `schema`.
A name is loaded when it is first used, so that neither side loads the other's.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inferq.queue.consumer.blobs.result_upload import LARGE_RESULT_BYTES
    from inferq.queue.consumer.chunks.chunk_plan import ChunkPlan
    from inferq.queue.consumer.chunks.chunk_results import ChunkResult
    from inferq.queue.consumer.claims.blocking_claim import WaitResult
    from inferq.queue.consumer.consumer import Consumer
    from inferq.queue.consumer.model_loads import LOAD_NOTE_SECONDS, ModelLoads
    from inferq.queue.consumer.registry import make_worker_id
    from inferq.queue.consumer.settle import KEPT
    from inferq.queue.consumer.shadows.shadow_findings import ShadowFinding, ShadowPrimary
    from inferq.queue.consumer.shadows.shadow_jobs import ShadowSample
    from inferq.queue.events.subscriber import EventSubscriber
    from inferq.queue.events.waiter import Waiter
    from inferq.queue.inspection.activity import ActivitySample
    from inferq.queue.inspection.error_groups import ErrorGroups
    from inferq.queue.inspection.forecast import Backlog
    from inferq.queue.inspection.history import MOST_MINUTES
    from inferq.queue.inspection.job_filter import JobFilter
    from inferq.queue.inspection.job_scan import Position
    from inferq.queue.inspection.large_results import PART_BYTES
    from inferq.queue.inspection.listing import LARGEST_PAGE_BYTES
    from inferq.queue.inspection.memory import ServerMemory
    from inferq.queue.inspection.metrics import ModelMetrics, QueueMetrics
    from inferq.queue.inspection.scan_cursor import ScanCursor, ShardPositions
    from inferq.queue.inspection.server_report import ServerReport
    from inferq.queue.inspection.shadow_report import DifferingJob, ShadowReport
    from inferq.queue.inspection.stats import QueueNumbers, QueueStats, find_unavailable
    from inferq.queue.producer.bulk_actions import JobAction
    from inferq.queue.producer.producer import Producer
    from inferq.queue.producer.submission import Idempotency, Submission
    from inferq.queue.redis_client.connection import (
        connect,
        redis_errors,
        start_errors,
        transfer_seconds,
    )
    from inferq.queue.redis_client.error_replies import is_refusal
    from inferq.queue.redis_client.outage import Outage
    from inferq.queue.redis_client.redis_url import is_cluster_url, mask_url
    from inferq.queue.redis_client.requirements import LARGEST_VALUE_BYTES, check_server
    from inferq.queue.redis_client.shared_read import SharedRead
    from inferq.queue.retry_policy import RetryPolicy
    from inferq.queue.schema.ids import show_id
    from inferq.queue.shards.consumer_choice import (
        AnyConsumer,
        AnyPrefetch,
        AnyUpload,
        open_consumer,
        open_outbox,
    )
    from inferq.queue.shards.producer_choice import AnyProducer, AnyResults, AnyTickets, open_producer
    from inferq.queue.shards.shard_mark import check_shard_number
    from inferq.queue.shards.shard_settings import split_settings
    from inferq.queue.stream_tickets import TICKET_SECONDS
    from inferq.queue.webhook_outbox import DeliveryOutcome, DeliveryVerdict, OutboxEntry

__all__ = [
    "KEPT",
    "LARGEST_PAGE_BYTES",
    "LARGEST_VALUE_BYTES",
    "LARGE_RESULT_BYTES",
    "LOAD_NOTE_SECONDS",
    "MOST_MINUTES",
    "PART_BYTES",
    "TICKET_SECONDS",
    "ActivitySample",
    "AnyConsumer",
    "AnyPrefetch",
    "AnyProducer",
    "AnyResults",
    "AnyTickets",
    "AnyUpload",
    "Backlog",
    "ChunkPlan",
    "ChunkResult",
    "Consumer",
    "DeliveryOutcome",
    "DeliveryVerdict",
    "DifferingJob",
    "ErrorGroups",
    "EventSubscriber",
    "Idempotency",
    "JobAction",
    "JobFilter",
    "ModelLoads",
    "ModelMetrics",
    "Outage",
    "OutboxEntry",
    "Position",
    "Producer",
    "QueueMetrics",
    "QueueNumbers",
    "QueueStats",
    "RetryPolicy",
    "ScanCursor",
    "ServerMemory",
    "ServerReport",
    "ShadowFinding",
    "ShadowPrimary",
    "ShadowReport",
    "ShadowSample",
    "ShardPositions",
    "SharedRead",
    "Submission",
    "WaitResult",
    "Waiter",
    "check_server",
    "check_shard_number",
    "connect",
    "find_unavailable",
    "is_cluster_url",
    "is_refusal",
    "make_worker_id",
    "mask_url",
    "open_consumer",
    "open_outbox",
    "open_producer",
    "redis_errors",
    "show_id",
    "split_settings",
    "start_errors",
    "transfer_seconds",
]

_NAMES_OF = {
    "consumer.claims.blocking_claim": ("WaitResult",),
    "consumer.chunks.chunk_plan": ("ChunkPlan",),
    "consumer.chunks.chunk_results": ("ChunkResult",),
    "consumer.consumer": ("Consumer",),
    "consumer.model_loads": (
        "LOAD_NOTE_SECONDS",
        "ModelLoads",
    ),
    "consumer.registry": ("make_worker_id",),
    "consumer.blobs.result_upload": ("LARGE_RESULT_BYTES",),
    "consumer.settle": ("KEPT",),
    "consumer.shadows.shadow_findings": (
        "ShadowFinding",
        "ShadowPrimary",
    ),
    "consumer.shadows.shadow_jobs": ("ShadowSample",),
    "events.subscriber": ("EventSubscriber",),
    "events.waiter": ("Waiter",),
    "inspection.activity": ("ActivitySample",),
    "inspection.error_groups": ("ErrorGroups",),
    "inspection.forecast": ("Backlog",),
    "inspection.history": ("MOST_MINUTES",),
    "inspection.job_filter": ("JobFilter",),
    "inspection.job_scan": ("Position",),
    "inspection.large_results": ("PART_BYTES",),
    "inspection.listing": ("LARGEST_PAGE_BYTES",),
    "inspection.memory": ("ServerMemory",),
    "inspection.metrics": (
        "ModelMetrics",
        "QueueMetrics",
    ),
    "inspection.scan_cursor": (
        "ScanCursor",
        "ShardPositions",
    ),
    "inspection.server_report": ("ServerReport",),
    "inspection.shadow_report": (
        "DifferingJob",
        "ShadowReport",
    ),
    "inspection.stats": (
        "QueueNumbers",
        "QueueStats",
        "find_unavailable",
    ),
    "producer.bulk_actions": ("JobAction",),
    "producer.producer": ("Producer",),
    "producer.submission": (
        "Idempotency",
        "Submission",
    ),
    "redis_client.connection": (
        "connect",
        "redis_errors",
        "start_errors",
        "transfer_seconds",
    ),
    "redis_client.error_replies": ("is_refusal",),
    "redis_client.outage": ("Outage",),
    "redis_client.redis_url": ("is_cluster_url", "mask_url"),
    "redis_client.requirements": (
        "LARGEST_VALUE_BYTES",
        "check_server",
    ),
    "redis_client.shared_read": ("SharedRead",),
    "retry_policy": ("RetryPolicy",),
    "schema.ids": ("show_id",),
    "shards.consumer_choice": (
        "AnyConsumer",
        "AnyPrefetch",
        "AnyUpload",
        "open_consumer",
        "open_outbox",
    ),
    "shards.producer_choice": (
        "AnyProducer",
        "AnyResults",
        "AnyTickets",
        "open_producer",
    ),
    "shards.shard_mark": ("check_shard_number",),
    "shards.shard_settings": ("split_settings",),
    "stream_tickets": ("TICKET_SECONDS",),
    "webhook_outbox": (
        "DeliveryOutcome",
        "DeliveryVerdict",
        "OutboxEntry",
    ),
}
_MODULE_OF = {name: module for module, names in _NAMES_OF.items() for name in names}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - one of several classes and functions
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'inferq.queue' has no attribute {name!r}")
    return getattr(import_module(f"inferq.queue.{_MODULE_OF[name]}"), name)
