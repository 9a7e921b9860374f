"""The heartbeat: tells Redis that this worker lives and which models it serves."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import structlog

from inferq.jobs import WorkerInfo
from inferq.queue import Consumer, Outage
from inferq.worker.periodic import Periodic
from inferq.worker.processor import Processor

HEARTBEATS_TO_LIVE = 3
"""So many pauses after its last heartbeat a worker counts as dead."""
STALLED_SECONDS = 15.0
"""A processor that has no job and hears nothing from the queue for so long does not count as alive."""

log = structlog.get_logger()


class Heartbeat(Periodic):
    """Reports this worker as long as its processor moves, not merely as long as this thread does.

    Args:
        consumer: The queue.
        processor: Whose progress counts.
        info: What is reported; the number of jobs done, paces of models and open circuits are added.
        documents: Model name to the JSON of its document, to be announced again where Redis has lost it.
        pause_seconds: Pause between two heartbeats.
        outage: Where it is noted that Redis is away.
        count_open_circuits: Tells how many receivers of webhooks this worker spares at the moment.
    """

    def __init__(
        self,
        consumer: Consumer,
        processor: Processor,
        info: WorkerInfo,
        documents: Mapping[str, bytes],
        pause_seconds: float,
        outage: Outage,
        count_open_circuits: Callable[[], int] = lambda: 0,
    ) -> None:
        super().__init__("heartbeat", pause_seconds, outage)
        self._consumer = consumer
        self._processor = processor
        self._info = info
        self._documents = documents
        self._count_open_circuits = count_open_circuits
        self._lives_seconds = HEARTBEATS_TO_LIVE * pause_seconds

    def run_once(self) -> bool:
        """Sends one heartbeat; none if the processor has stalled."""
        silent_seconds = time.monotonic() - max(self._processor.progressed_at, self._outage.available_since)
        if silent_seconds > STALLED_SECONDS and not self._processor.held:
            log.error("worker_stalled", seconds=round(silent_seconds, 1))
            return False
        processor = self._processor
        info = replace(
            self._info,
            jobs_done=processor.jobs_done,
            paces=processor.read_paces(),
            open_circuits=self._count_open_circuits(),
            blob_store=self._consumer.identify_blob_store(),
        )
        self._consumer.heartbeat(info, self._documents, self._lives_seconds)
        return True
