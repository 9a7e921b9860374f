"""Shadow jobs: jobs that ran on the version that serves, run once more on another one, to be compared.

A worker submits them after their primaries have completed. They wait in a queue of the other version's own,
at low priority, and are claimed, run and ended as any job.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import structlog
from redis.exceptions import ResponseError

from inferq.jobs import ClaimedJob, Priority
from inferq.queue.blob_access import BlobAccess
from inferq.queue.consumer.access import QueueAccess
from inferq.queue.consumer.blobs.blob_removal import BlobRemoval
from inferq.queue.ended_jobs import NoteEnded, decode_changed
from inferq.queue.redis_client import scripts
from inferq.queue.redis_client.connection import redis_errors
from inferq.queue.redis_client.script_calls import Command, ScriptCall
from inferq.queue.redis_client.scripts import INLINE_BYTES
from inferq.queue.schema.ids import encode_id
from inferq.queue.schema.record import parse_record
from inferq.queue.schema.shard_ids import add_shard
from inferq.queue.schema.times import to_milliseconds
from inferq.tensors.envelope import is_reference, read_reference

MOST_WAITING = 500
"""Shadow jobs of one version; what is drawn beyond is skipped."""
_MOST_WAITING_BYTES = 256 * 1024 * 1024
"""Of their data, were all as long as the longest of them that is submitted last."""
_WAIT_SECONDS = 600.0
"""How long a shadow job may wait to be started."""
_LEAST_TIMEOUT_SECONDS, _TIMEOUT_FACTOR = 10.0, 10.0
"""So much longer than its primary a candidate may take: one that hangs keeps users' jobs waiting."""
_ACCEPTED = (b"accepted", b"known")
_PARTS = ("data", "primary")

log = structlog.get_logger()


class ShadowSample(NamedTuple):
    """A job that has completed, and is to run on another version too.

    Attributes:
        job: The job, with its data.
        queue_name: Name of the queue of the shadow job, such as `iris@3~shadow`.
        run_seconds: How long its run took.
        run_jobs: How many jobs shared that run.
        result_bytes: How long its result is.
        tolerance: How much its values may differ from the other version's.
    """

    job: ClaimedJob
    queue_name: str
    run_seconds: float
    run_jobs: int
    result_bytes: int
    tolerance: float


class ShadowJobs:
    """Submits shadow jobs.

    Args:
        access: The server.
        blobs: The blob store.
        removal: Removes data from it whose job was refused.
        note_ended: Is told of the jobs that are cancelled.
    """

    def __init__(
        self, access: QueueAccess, blobs: BlobAccess, removal: BlobRemoval, note_ended: NoteEnded
    ) -> None:
        self._access = access
        self._blobs = blobs
        self._removal = removal
        self._note_ended = note_ended
        self._wait_seconds = min(_WAIT_SECONDS, access.settings.job_ttl_seconds)

    def submit(self, samples: Sequence[ShadowSample]) -> int:
        """Submits shadow jobs. May be repeated: each primary has one for each version.

        Args:
            samples: Jobs that are to run on the same version.

        Returns:
            How many were not accepted, as too many wait already, or there is no room for them.

        Raises:
            RedisUnavailableError: Redis is away.
        """
        first, keys = samples[:MOST_WAITING], self._access.keys
        if not first:
            return 0
        with redis_errors():
            ids = [encode_id(sample.job.id) for sample in first]
            records = cast("list[bytes | None]", self._access.redis.hmget(keys.records, ids))
            pairs = list(zip(first, map(parse_record, records), strict=True))
            together = [pair for pair in pairs if len(pair[0].job.data) <= INLINE_BYTES]
            alone = [[pair] for pair in pairs if len(pair[0].job.data) > INLINE_BYTES]
            refused = sum(map(self._submit_together, filter(None, [together, *alone])))
        return refused + len(samples) - len(first)

    def cancel_waiting(self, queue_name: str) -> None:
        """Cancels the shadow jobs of a queue that wait, for their turn or for another attempt.

        Raises:
            RedisUnavailableError: Redis is away. Some may have been ended.
        """
        keys = [self._access.keys.queue(queue_name)]
        cursor = b"-inf"
        while cursor:
            arguments = [self._access.result_ttl_ms, "", Priority.LOW, cursor, "+inf", MOST_WAITING]
            with redis_errors():
                _, cursor, ended = self._access.call(scripts.CANCEL_WAITING, keys, arguments)
            self._note_ended(decode_changed(ended))

    def _submit_together(self, samples: Sequence[tuple[ShadowSample, dict[str, Any]]]) -> int:
        """Submits them with one call of the script; returns how many were not accepted."""
        settings, keys = self._access.settings, self._access.keys
        ttl_ms = to_milliseconds(self._wait_seconds + settings.result_ttl_seconds)
        longest = max(len(sample.job.data) for sample, _ in samples)
        most = max(1, min(MOST_WAITING, _MOST_WAITING_BYTES // max(longest, 1)))
        stores: list[Command] = []
        submitted: list[tuple[str, bytes | memoryview]] = []
        arguments: list[Any] = [ttl_ms, most, settings.max_queued_bytes]
        for sample, record in samples:
            job_id = add_shard(make_shadow_id(sample.job.id, sample.queue_name), sample.job.shard)
            data, options = self._offload(sample.job, job_id), self._make_options(sample, record)
            if data is not sample.job.data:
                options["blob_bytes"] = len(sample.job.data)
            if len(data) > INLINE_BYTES:
                stores.append(("SET", keys.job(job_id, "data"), data, "PX", ttl_ms))
            primary = _encode_primary(sample, record)
            stores.append(("SET", keys.job(job_id, "primary"), primary, "PX", ttl_ms))
            arguments += (job_id, sample.queue_name, Priority.LOW, data if len(data) <= INLINE_BYTES else b"")
            arguments += (json.dumps(options), sample.job.request_id, "")
            submitted.append((job_id, data))
        try:
            [answers] = self._access.scripts.run_together(
                [ScriptCall(scripts.SUBMIT, [keys.models], arguments)], stores
            )
        except ResponseError:  # there is no room, or the server takes no writes
            self._access.redis.unlink(*(keys.job(job_id, part) for job_id, _ in submitted for part in _PARTS))
            answers = [[b"refused"]] * len(submitted)
        refused = [
            data for (_, data), answer in zip(submitted, answers, strict=True) if answer[0] not in _ACCEPTED
        ]
        self._removal.add(read_reference(data).key for data in refused if is_reference(data))
        return len(refused)

    def _make_options(self, sample: ShadowSample, record: dict[str, Any]) -> dict[str, Any]:
        """Returns what `lua/submit.lua` reads of a job beside its data."""
        slow_seconds = max(_LEAST_TIMEOUT_SECONDS, _TIMEOUT_FACTOR * sample.run_seconds)
        timeout_seconds = min(self._access.settings.run_timeout_seconds, slow_seconds)
        return {
            "timeout_ms": to_milliseconds(timeout_seconds),
            "expires_in_ms": to_milliseconds(self._wait_seconds),
            "owner": record.get("owner", ""),
        }

    def _offload(self, job: ClaimedJob, job_id: str) -> bytes | memoryview:
        """Puts data where that of the primary was: all workers of the model have that blob store.

        Returns:
            The reference to it; or the data, where Redis is to hold it.
        """
        if not job.blob_key:
            return job.data
        return self._blobs.offload(job_id, job.data, self._blobs.write_data) or job.data


def make_shadow_id(primary_id: str, queue_name: str) -> str:
    """Returns the id of the shadow job that a job has in a queue: always the same."""
    text = encode_id(f"{primary_id} {queue_name}")
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def _encode_primary(sample: ShadowSample, record: dict[str, Any]) -> str:
    run_us = round(sample.run_seconds * 1e6)
    made_by = record.get("version", "")
    parts = (sample.job.id, made_by, run_us, sample.run_jobs, sample.tolerance, sample.result_bytes)
    return json.dumps(parts)
