"""The producer's side of the queue, put together from its parts. Used by the proxy and the command line."""

from functools import partial
from typing import Self

import redis.asyncio

from inferq.queue.blob_access import BlobAccess
from inferq.queue.blob_threads import BlobThreads
from inferq.queue.ended_jobs import NoteEnded, ignore_ended
from inferq.queue.events.listener import EventListener
from inferq.queue.events.subscriber import EventSubscriber
from inferq.queue.inspection.activity import ActivitySampler
from inferq.queue.inspection.error_groups import ErrorGrouping
from inferq.queue.inspection.forecast_reader import ForecastReader
from inferq.queue.inspection.history import read_history
from inferq.queue.inspection.job_data import JobDataReader
from inferq.queue.inspection.job_reader import JobReader
from inferq.queue.inspection.large_results import LargeResults
from inferq.queue.inspection.listing import JobListing
from inferq.queue.inspection.memory import read_memory
from inferq.queue.inspection.metrics import read_metrics
from inferq.queue.inspection.registry import ServiceRegistry
from inferq.queue.inspection.server_report import read_server_report
from inferq.queue.inspection.shadow_report import ShadowReader
from inferq.queue.inspection.stats import read_stats
from inferq.queue.producer.batch import BatchSubmit
from inferq.queue.producer.bulk_actions import BulkActions
from inferq.queue.producer.control import JobControl
from inferq.queue.producer.data_offload import DataOffload
from inferq.queue.producer.durability import DurableScripts
from inferq.queue.producer.rollouts import RolloutControl
from inferq.queue.producer.start_check import StartCheck
from inferq.queue.producer.store_check import StoreCheck
from inferq.queue.producer.store_sharing import StoreSharing
from inferq.queue.producer.submit import JobSubmit, NoteWaiting, ignore_waiting
from inferq.queue.redis_client.bounded import BoundedRedis
from inferq.queue.redis_client.connection import close_async, connect_async
from inferq.queue.redis_client.requirements import ServerCheck
from inferq.queue.stream_tickets import StreamTickets
from inferq.settings import Settings


class Producer:
    """Submits jobs, reads them back and controls them. Every call ends within `redis_timeout_seconds`.

    Its methods are those of its parts, which share one pool of connections and say how to call them.

    Args:
        client: An asynchronous client that answers in bytes.
        settings: Limits, lifetimes and the key prefix.
        note_ended: Is told of each job that it ends: that is cancelled, or found to have ended outside.
        note_waiting: Is told how many jobs wait.

    Attributes:
        redis: The server, as all parts use it.
        forecasts: Tells when jobs will have ended.
        jobs: Reads jobs.
        listing: Lists jobs page by page.
        large_results: Reads large results.
        job_data: Reads the data of jobs.
        stream_tickets: Issues and redeems tickets for event streams.
        has_blob_store: Whether there is a blob store, into which long data may be uploaded.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis,
        settings: Settings,
        note_ended: NoteEnded = ignore_ended,
        note_waiting: NoteWaiting = ignore_waiting,
    ) -> None:
        self.redis = BoundedRedis(client, settings)
        self._settings = settings
        self.forecasts = forecasts = ForecastReader(self.redis, settings)
        self.jobs = JobReader(self.redis, forecasts)
        self.listing = JobListing(self.redis, self.jobs)
        blobs, registry = BlobAccess(settings), ServiceRegistry(self.redis)
        self._threads = threads = BlobThreads()
        self.large_results = LargeResults(self.redis, blobs, threads)
        self.job_data = JobDataReader(self.redis, blobs, threads)
        self.stream_tickets = StreamTickets(self.redis)
        server, durable = ServerCheck(self.redis, settings), DurableScripts(self.redis, settings)
        start_check = StartCheck(self.redis, forecasts)
        self._offload = offload = DataOffload(blobs, StoreSharing(blobs, registry, threads))
        self.has_blob_store = offload.has_store
        self.find_blob_fault = StoreCheck(blobs).find_fault
        submit = JobSubmit(self.redis, server, durable, start_check, offload, settings, note_waiting)
        rollouts = RolloutControl(self.redis)
        control = JobControl(self.redis, server, self.jobs, offload, settings, note_ended)

        self.share_time_limit = self.redis.share_time_limit
        self.ping = self.redis.ping
        self.submit = submit.submit
        self.open_upload = submit.open_upload
        self.check_takes_jobs = submit.check_takes_jobs
        self.submit_batch = BatchSubmit(self.redis, server, durable, start_check, offload, settings).submit
        self.read_max_queued_bytes = server.read_held_bytes

        self.read = self.jobs.read
        self.read_many = self.jobs.read_many
        self.read_in_parts = self.jobs.read_in_parts
        self.cancel = control.cancel
        self.cancel_waiting = control.cancel_waiting
        self.retry = control.retry
        self.delete = control.delete
        self.delete_result = control.delete_result
        self.act_on_jobs = BulkActions(self.redis, self.jobs, control).act

        self.read_forecast = forecasts.read
        self.read_error_groups = ErrorGrouping(self.redis, self.jobs).read_groups
        self.read_stats = partial(read_stats, self.redis)
        self.read_memory = partial(read_memory, self.redis)
        self.read_metrics = partial(read_metrics, self.redis, server, blobs, threads)
        self.read_history = partial(read_history, self.redis)
        self.read_shadows = ShadowReader(self.redis).read
        self.read_models = registry.read_models
        self.read_models_with_jobs = registry.read_models_with_jobs
        self.forget_models = registry.forget_models
        self.read_workers = registry.read_workers
        self.read_rollouts = rollouts.read_rollouts
        self.read_generation = rollouts.read_generation
        self.change_rollout = rollouts.change_rollout
        self.request_reload = rollouts.request_reload
        self.read_last_heartbeat = registry.read_last_heartbeat
        self.read_server_report = partial(read_server_report, self.redis, settings)

    @classmethod
    def from_settings(
        cls,
        settings: Settings,
        note_ended: NoteEnded = ignore_ended,
        note_waiting: NoteWaiting = ignore_waiting,
    ) -> Self:
        """A producer for the server that the settings name; connects when first used."""
        return cls(connect_async(settings), settings, note_ended, note_waiting)

    @property
    def away_shards(self) -> list[int]:
        """Numbers of the shards that calls have left out, as they do not answer: of one, calls raise."""
        return []

    @property
    def shard_faults(self) -> list[str]:
        """Why some shards cannot be used, while others can."""
        return []

    def open_listener(self) -> EventListener:
        """Makes what listens to the events of jobs, on a connection of its own."""
        return EventListener(self.redis, self._settings)

    def open_subscriber(self) -> EventSubscriber:
        """Makes a subscriber to the events of jobs."""
        return EventSubscriber(self.jobs, [self.open_listener()])

    def open_sampler(self) -> ActivitySampler:
        """Makes what samples the activity of all queues."""
        return ActivitySampler(self.redis)

    async def close(self) -> None:
        """Closes the connections."""
        self._offload.close()
        self._threads.close()
        await close_async(self.redis.client)
