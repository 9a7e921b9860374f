"""The heartbeat: tells Redis that this worker lives and which models it serves."""

import time
from collections.abc import Callable
from dataclasses import replace

import structlog

from inferq.jobs import WorkerInfo
from inferq.queue import AnyConsumer, Outage
from inferq.worker.periodic import Periodic
from inferq.worker.processor import Processor
from inferq.worker.serving.served_models import ServedModels

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
        info: What is reported; the models, paces, the number of jobs done and open circuits are added.
        served: What is served, which is announced again where Redis has lost it.
        pause_seconds: Pause between two heartbeats.
        outage: Where it is noted that Redis is away.
        count_open_circuits: Tells how many receivers of webhooks this worker spares at the moment.
        note_generation: Is told of which generation the model repository is.
    """

    def __init__(
        self,
        consumer: AnyConsumer,
        processor: Processor,
        info: WorkerInfo,
        served: ServedModels,
        pause_seconds: float,
        outage: Outage,
        count_open_circuits: Callable[[], int] = lambda: 0,
        note_generation: Callable[[int], None] = lambda _: None,
    ) -> None:
        super().__init__("heartbeat", pause_seconds, outage)
        self._consumer = consumer
        self._processor = processor
        self._info = info
        self._served = served
        self._count_open_circuits = count_open_circuits
        self._note_generation = note_generation
        self._lives_seconds = HEARTBEATS_TO_LIVE * pause_seconds

    def run_once(self) -> bool:
        """Sends one heartbeat; none if the processor has stalled."""
        silent_seconds = time.monotonic() - max(self._processor.progressed_at, self._outage.available_since)
        if silent_seconds > STALLED_SECONDS and not self._processor.held:
            log.error("worker_stalled", seconds=round(silent_seconds, 1))
            return False
        processor, table = self._processor, self._served.table
        info = replace(
            self._info,
            models=tuple(table.documents),
            model_versions=table.name_versions(),
            left_out=table.left_out,
            repository_generation=table.generation,
            jobs_done=processor.jobs_done,
            paces=processor.read_paces(),
            open_circuits=self._count_open_circuits(),
            blob_store=self._consumer.identify_blob_store(),
        )
        self._note_generation(self._consumer.heartbeat(info, table.documents, self._lives_seconds))
        return True
