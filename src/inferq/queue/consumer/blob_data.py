"""Reads data that lies in the blob store."""

from collections.abc import Sequence

import structlog

from inferq.blobs import BlobPart
from inferq.errors import BlobNotFoundError, InferqError, InvalidInputError, StoreUnavailableError
from inferq.jobs import ClaimedJob, Outcome
from inferq.queue.blob_access import BlobAccess
from inferq.queue.consumer.large_data import NoteSettled
from inferq.queue.consumer.settle import Settler
from inferq.queue.schema.blob_references import find_reference
from inferq.tensors.envelope import is_reference
from inferq.tensors.forms import JSON, detect_form

_DEFER_SECONDS = 2.0
"""After so long a job is queued again whose data this worker cannot read; others come to it meanwhile."""

log = structlog.get_logger()


class BlobData:
    """Puts the data of leased jobs in the place of references to it.

    A job never fails because of the worker that it came to: one that has no access to the store leaves it to
    others.

    Args:
        blobs: The blob store.
        settler: Fails the jobs whose data is gone, and defers those that others have to run.
        note_settled: Is told of the former.

    Attributes:
        awaiting: Jobs whose data is being read at this moment: their leases have to be renewed.
    """

    def __init__(self, blobs: BlobAccess, settler: Settler, note_settled: NoteSettled) -> None:
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
        for job in jobs:
            try:
                complete.append(self._read(job))
            except (BlobNotFoundError, InvalidInputError) as error:
                unreadable.append(Outcome(job, error=_explain(error)))
            except StoreUnavailableError as error:
                log.error("job_deferred", job_id=job.id, model=job.model, reason=error.message)  # noqa: TRY400 - no fault of ours
                deferred.append(job)
        if unreadable:
            self._note_settled(unreadable, self._settler.finish(unreadable))
        if deferred:
            self._settler.defer(deferred, _DEFER_SECONDS)
        self.awaiting = ()
        return complete

    def _read(self, job: ClaimedJob) -> ClaimedJob:
        stored = bytes(job.data)
        reference = find_reference(stored, job.id, BlobPart.DATA)
        if reference is None:
            return job
        data = self._blobs.read(reference)
        # what is not JSON is read where it lies; JSON's parsers want bytes
        is_json = detect_form(reference.begin) is JSON
        return job._replace(data=bytes(data) if is_json else data, blob_key=reference.key)


def _explain(error: InferqError) -> InvalidInputError:
    return InvalidInputError(f"The data of this job is gone: {error.message} Submit it again.")
