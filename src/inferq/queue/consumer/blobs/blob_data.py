"""Reads data that lies in the blob store."""

import time
from collections.abc import Sequence
from typing import cast

import structlog

from inferq.blobs import BlobPart
from inferq.errors import BlobNotFoundError, InferqError, InvalidInputError, StoreUnavailableError
from inferq.jobs import ClaimedJob, Outcome
from inferq.queue.blob_access import BlobAccess
from inferq.queue.consumer.access import QueueAccess
from inferq.queue.consumer.blobs.large_data import NoteSettled
from inferq.queue.consumer.settle import Settler
from inferq.queue.schema.blob_references import find_reference
from inferq.queue.schema.ids import decode_id, encode_id
from inferq.tensors.envelope import is_reference, read_reference
from inferq.tensors.forms import JSON, detect_form

_DEFER_SECONDS = 1.0
"""After so long a job is queued again whose data this worker cannot read: those behind it have their turn."""
_STAND_BACK_SECONDS = 3.0
"""So long a worker claims nothing that could read none of a claim, where others can: they get the jobs then.
Without that it would have them all again at once, as it has nothing else to do."""
_MOST_SHOWN = 10

log = structlog.get_logger()


class BlobData:
    """Puts the data of leased jobs in the place of references to it.

    A job never fails because of the worker that it came to: one that has no access to the store leaves it to
    others.

    Args:
        access: The server.
        blobs: The blob store.
        settler: Fails the jobs whose data is gone, and defers those that others have to run.
        note_settled: Is told of the former.

    Attributes:
        awaiting: Jobs whose data is being read at this moment: their leases have to be renewed.
    """

    def __init__(
        self, access: QueueAccess, blobs: BlobAccess, settler: Settler, note_settled: NoteSettled
    ) -> None:
        self._access = access
        self._blobs = blobs
        self._settler = settler
        self._note_settled = note_settled
        self.awaiting: Sequence[ClaimedJob] = ()

    def read_into(self, jobs: list[ClaimedJob]) -> list[ClaimedJob]:
        """Returns the jobs with their data.

        Args:
            jobs: The jobs of one claim.

        Returns:
            The jobs in the same order, without those whose data cannot be read here.

        Raises:
            RedisError: The server is away.
        """
        if not any(is_reference(job.data) for job in jobs):
            return jobs
        self.awaiting = jobs
        complete: list[ClaimedJob] = []
        unreadable: list[Outcome] = []
        deferred: list[ClaimedJob] = []
        reason = ""
        for job, found in zip(jobs, self._blobs.each(self._read, jobs), strict=True):
            match found:
                case BlobNotFoundError() | InvalidInputError():
                    unreadable.append(Outcome(job, error=_explain(found)))
                case StoreUnavailableError():
                    reason = found.message
                    deferred.append(job)
                case _:
                    complete.append(found)
        if unreadable:
            self._note_settled(unreadable, self._settler.finish(unreadable))
        if deferred:
            self._defer(deferred, reason)
        self.awaiting = ()
        if deferred and not complete and self._can_others_read(deferred):
            time.sleep(_STAND_BACK_SECONDS)
        return complete

    def _defer(self, jobs: Sequence[ClaimedJob], reason: str) -> None:
        ids = [job.id for job in jobs[:_MOST_SHOWN]]
        log.error("jobs_deferred", model=jobs[0].model, jobs=len(jobs), job_ids=ids, reason=reason)
        self._settler.defer(jobs, _DEFER_SECONDS)

    def _can_others_read(self, jobs: Sequence[ClaimedJob]) -> bool:
        """Whether any live worker has announced a blob store in which data of these jobs lies."""
        stores = {read_reference(bytes(job.data)).store.encode() for job in jobs}
        keys, redis = self._access.keys, self._access.redis
        pipeline = redis.pipeline(transaction=False)
        for worker_id in cast("list[bytes]", redis.zrange(keys.workers, 0, -1)):
            pipeline.hget(encode_id(keys.worker(decode_id(worker_id))), "blob_store")
        return any(found in stores for found in pipeline.execute(raise_on_error=False))

    def _read(self, job: ClaimedJob) -> ClaimedJob | InvalidInputError | StoreUnavailableError:
        """Returns a job with its data, or why it cannot be read."""
        try:
            reference = find_reference(bytes(job.data), job.id, BlobPart.DATA)
            if reference is None:
                return job
            data = self._blobs.read(reference)
        except (InvalidInputError, StoreUnavailableError) as error:
            return error
        # what is not JSON is read where it lies; JSON's parsers want bytes
        is_json = detect_form(reference.begin) is JSON
        return job._replace(data=bytes(data) if is_json else data, blob_key=reference.key)


def _explain(error: InferqError) -> InvalidInputError:
    return InvalidInputError(f"The data of this job is gone: {error.message} Submit it again.")
