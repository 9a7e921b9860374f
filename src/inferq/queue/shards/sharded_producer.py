"""The producer's side of a queue of several shards: the same as a `Producer`, for all of them."""

from collections.abc import Sequence
from functools import partial
from typing import Self

from inferq.queue.ended_jobs import NoteEnded, ignore_ended
from inferq.queue.events.subscriber import EventSubscriber
from inferq.queue.inspection.forecast import Forecast
from inferq.queue.inspection.forecast_reader import ForecastReader
from inferq.queue.inspection.stats import QueueStats
from inferq.queue.shards.merged_findings import merge_error_groups, merge_shadows
from inferq.queue.shards.merged_metrics import merge_metrics
from inferq.queue.shards.merged_numbers import add_known, merge_history, merge_memory, merge_stats
from inferq.queue.shards.merged_registry import find_latest, merge_documents, merge_names, merge_workers
from inferq.queue.shards.producer_shard import ProducerShard
from inferq.queue.shards.shard_backlogs import ShardBacklogs
from inferq.queue.shards.shard_calls import ShardCalls
from inferq.queue.shards.sharded_jobs import ShardedJobs
from inferq.queue.shards.sharded_listing import ShardedListing
from inferq.queue.shards.sharded_payloads import ShardedData, ShardedResults
from inferq.queue.shards.sharded_rollouts import ShardedRollouts
from inferq.queue.shards.sharded_sampler import ShardedSampler
from inferq.queue.shards.sharded_submit import ShardedSubmit
from inferq.queue.shards.sharded_tickets import ShardedTickets
from inferq.settings import Settings


class ShardedProducer:
    """Submits jobs, reads them back and controls them, in several shards.

    Its methods are named as those of `Producer`, which says how to call them. What concerns one job goes to
    its shard; what concerns many to all, and of those that are away `away_shards` tells afterwards.

    Args:
        shards: The shards, by number.
        backlogs: How many jobs wait where; the producers of the shards note it.

    Attributes:
        jobs: Reads jobs.
        listing: Lists jobs page by page.
        large_results: Reads large results.
        job_data: Reads the data of jobs.
        stream_tickets: Issues and redeems tickets for event streams.
        has_blob_store: Whether there is a blob store, into which long data may be uploaded.
    """

    def __init__(self, shards: Sequence[ProducerShard], backlogs: ShardBacklogs) -> None:
        self._calls = calls = ShardCalls(shards)
        _share_workers(shards)
        submit, rollouts = ShardedSubmit(shards, backlogs), ShardedRollouts(calls)
        self.jobs = ShardedJobs(calls)
        self.listing = ShardedListing(calls)
        self.large_results = ShardedResults(calls)
        self.job_data = ShardedData(calls)
        self.stream_tickets = ShardedTickets(calls)

        self.share_time_limit = shards[0].producer.share_time_limit
        self.ping = calls.merged(lambda producer: producer.ping, _ignore)
        self.has_blob_store = shards[0].producer.has_blob_store
        self.find_blob_fault = shards[0].producer.find_blob_fault
        self.submit = submit.submit
        self.open_upload = submit.open_upload
        self.check_takes_jobs = submit.check_takes_jobs
        self.submit_batch = submit.submit_batch
        self.read_max_queued_bytes = calls.merged(lambda producer: producer.read_max_queued_bytes, add_known)

        self.read = self.jobs.read
        self.read_many = self.jobs.read_many
        self.read_in_parts = self.jobs.read_in_parts
        self.cancel = calls.by_id(lambda producer: producer.cancel)
        self.cancel_waiting = calls.merged(lambda producer: producer.cancel_waiting, _add)
        self.retry = calls.by_id(lambda producer: producer.retry)
        self.delete = calls.by_id(lambda producer: producer.delete)
        self.delete_result = calls.by_id(lambda producer: producer.delete_result)
        self.act_on_jobs = self.listing.act

        self.read_error_groups = calls.merged(lambda producer: producer.read_error_groups, merge_error_groups)
        self.read_memory = calls.merged_of_all(lambda producer: producer.read_memory, merge_memory)
        self.read_metrics = calls.merged_of_all(lambda producer: producer.read_metrics, merge_metrics)
        self.read_history = calls.merged(lambda producer: producer.read_history, merge_history)
        self.read_shadows = calls.merged(lambda producer: producer.read_shadows, merge_shadows)
        self.read_models = calls.merged(lambda producer: producer.read_models, merge_documents)
        self.read_models_with_jobs = calls.merged(
            lambda producer: producer.read_models_with_jobs, merge_names
        )
        self.forget_models = calls.merged_of_all(lambda producer: producer.forget_models, _ignore)
        self.read_workers = calls.merged(lambda producer: producer.read_workers, merge_workers)
        self.read_last_heartbeat = calls.merged(lambda producer: producer.read_last_heartbeat, find_latest)
        self.read_rollouts = rollouts.read_rollouts
        self.read_generation = rollouts.read_generation
        self.change_rollout = rollouts.change_rollout
        self.request_reload = rollouts.request_reload

    @classmethod
    def from_settings(cls, settings: Sequence[Settings], note_ended: NoteEnded = ignore_ended) -> Self:
        """A producer for the shards with these settings; connects when first used."""
        backlogs = ShardBacklogs(len(settings))
        shards = [
            ProducerShard(number, own, note_ended, partial(backlogs.note, number))
            for number, own in enumerate(settings)
        ]
        return cls(shards, backlogs)

    @property
    def away_shards(self) -> list[int]:
        """Numbers of the shards that do not answer, or refuse to, as calls have found of late."""
        return [shard.number for shard in self._calls.shards if shard.is_left_out]

    @property
    def shard_faults(self) -> list[str]:
        """Why shards cannot be used, or take no jobs, of those of which that is so."""
        shards = self._calls.shards
        return [shard.name_in(shard.fault).message for shard in shards if shard.fault is not None]

    async def read_stats(self) -> QueueStats:
        """Reads the numbers of all queues, in the shards that answer.

        Raises:
            RedisUnavailableError: None does.
        """
        return merge_stats(await self._calls.ask_reachable(lambda shard: shard.producer.read_stats()))

    async def read_forecast(self) -> Forecast:
        """Returns a forecast for the jobs of all shards, as far as these answer.

        Raises:
            RedisUnavailableError: None does.
        """
        found = await self._calls.ask_reachable(lambda shard: shard.producer.read_forecast())
        return next(iter(found.values()))

    def open_subscriber(self) -> EventSubscriber:
        """Makes a subscriber to the events of the jobs of all shards."""
        return EventSubscriber(self.jobs, [shard.producer.open_listener() for shard in self._calls.shards])

    def open_sampler(self) -> ShardedSampler:
        """Makes what samples the activity of all queues."""
        return ShardedSampler(self._calls)

    async def close(self) -> None:
        """Closes the connections."""
        for shard in self._calls.shards:
            await shard.close()


def _share_workers(shards: Sequence[ProducerShard]) -> None:
    """Lets the forecasts of each shard reckon with the jobs of the others, which the same workers run."""
    for own in shards:
        others = [shard for shard in shards if shard is not own]
        own.producer.forecasts.find_others = partial(_find_forecasts, others)


def _find_forecasts(shards: Sequence[ProducerShard]) -> list[ForecastReader]:
    return [shard.producer.forecasts for shard in shards if not shard.is_away]


def _add(counts: Sequence[int]) -> int:
    return sum(counts)


def _ignore(_answers: Sequence[None]) -> None:
    """Nothing is answered."""
