"""Puts long results into the blob store, and removes from it what has had its day."""

import time
from collections.abc import Sequence

import structlog

from inferq.errors import InferqError, StoreUnavailableError
from inferq.jobs import Outcome
from inferq.queue.blob_access import BlobAccess
from inferq.tensors.envelope import read_reference

_DECIDED = {"completed", "late"}
"""Verdicts after which the data of a job is not needed any more, and its result is named."""

log = structlog.get_logger()


class ResultOffload:
    """Writes results to the blob store before they are finished, and removes blobs after that.

    Args:
        blobs: The blob store.
    """

    def __init__(self, blobs: BlobAccess) -> None:
        self._blobs = blobs
        self._fault = ""

    def offload(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Returns the outcomes with references for their long results.

        Where the store takes one not, Redis is to hold it.
        """
        return [self._offload(outcome) for outcome in outcomes]

    def remove_settled(self, outcomes: Sequence[Outcome], verdicts: Sequence[str]) -> None:
        """Removes the data of jobs that have completed, and results that were not taken.

        What is left where the store cannot be used is swept.

        Args:
            outcomes: How each attempt ended.
            verdicts: What became of each.
        """
        keys: list[str] = []
        for outcome, verdict in zip(outcomes, verdicts, strict=True):
            if verdict in _DECIDED:
                if outcome.job.blob_key:
                    keys.append(outcome.job.blob_key)
            elif outcome.offloaded_at is not None:
                keys.append(read_reference(outcome.result or b"").key)
        if not keys or self._blobs.store is None:
            return
        try:
            self._blobs.store.delete(keys)
        except StoreUnavailableError as error:
            self._note_fault(error.message)

    def _offload(self, outcome: Outcome) -> Outcome:
        result = outcome.result or b""
        if outcome.offloaded_at is not None or not self._blobs.takes(outcome.job.id, result):
            return outcome
        now = time.monotonic()
        try:
            reference = self._blobs.write_result(outcome.job.id, result)
        except InferqError as error:
            self._note_fault(error.message)
            return outcome
        self._fault = ""
        return outcome._replace(result=reference, offloaded_at=now)

    def _note_fault(self, reason: str) -> None:
        if reason != self._fault:
            log.warning("blob_store_unavailable", reason=reason)
        self._fault = reason
