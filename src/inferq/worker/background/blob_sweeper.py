"""What no job names any more is removed from the blob store."""

import structlog

from inferq.errors import StoreUnavailableError
from inferq.queue import AnyConsumer, Outage
from inferq.worker.periodic import Periodic

PAUSE_SECONDS = 1.0

log = structlog.get_logger()


class BlobSweeper(Periodic):
    """Removes blobs whose jobs have ended, and sweeps the store when it is this worker's turn.

    Args:
        consumer: The queue.
        outage: Where it is noted that Redis is away.
    """

    def __init__(self, consumer: AnyConsumer, outage: Outage) -> None:
        super().__init__("blob-sweeper", PAUSE_SECONDS, outage)
        self._consumer = consumer
        self._fault = ""

    def run_once(self) -> bool:
        """Removes what is due, and makes a step of the sweep if that is due."""
        try:
            removed, self._fault = self._consumer.sweep_blobs(), ""
        except StoreUnavailableError as error:
            if error.message != self._fault:
                log.warning("blob_sweep_failed", reason=error.message)
            self._fault = error.message
        else:
            if removed:
                log.debug("blobs_removed", blobs=removed)
        return True
