"""Puts long results into the blob store, and gives up what is not needed any more."""

import time
from collections.abc import Sequence

from inferq.jobs import Outcome
from inferq.queue.blob_access import BlobAccess
from inferq.queue.consumer.blobs.blob_removal import BlobRemoval
from inferq.tensors.envelope import read_reference

_DECIDED = {"completed", "late"}
"""Verdicts after which the data of a job is not needed any more, and its result is named."""


class ResultOffload:
    """Writes results to the blob store before they are finished, and gives blobs up after that.

    Args:
        blobs: The blob store.
        removal: Removes what is not needed any more.
    """

    def __init__(self, blobs: BlobAccess, removal: BlobRemoval) -> None:
        self._blobs = blobs
        self._removal = removal

    def offload(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Returns the outcomes with references for their long results.

        Where the store takes one not, Redis is to hold it.
        """
        if self._blobs.store is None:
            return list(outcomes)
        return self._blobs.each(self._offload, outcomes)

    def remove_settled(self, outcomes: Sequence[Outcome], verdicts: Sequence[str]) -> None:
        """Lets the data of jobs that have completed be removed, and results that were not taken.

        Args:
            outcomes: How each attempt ended.
            verdicts: What became of each.
        """
        for outcome, verdict in zip(outcomes, verdicts, strict=True):
            if verdict in _DECIDED:
                if outcome.job.blob_key:
                    self._removal.add([outcome.job.blob_key])
            elif outcome.offloaded_at is not None:
                self._removal.add([read_reference(outcome.result or b"").key])

    def _offload(self, outcome: Outcome) -> Outcome:
        if outcome.offloaded_at is not None or outcome.result is None:
            return outcome
        now = time.monotonic()
        reference = self._blobs.offload(outcome.job.id, outcome.result, self._blobs.write_result)
        return outcome if reference is None else outcome._replace(result=reference, offloaded_at=now)
