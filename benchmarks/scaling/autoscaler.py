"""KEDA and the HorizontalPodAutoscaler that it makes, with their defaults."""

from collections import deque
from collections.abc import Callable, Mapping
from math import ceil

from benchmarks.scaling.simulated_service import ROW_BYTES, SimulatedService
from inferq.jobs import Pace, Priority
from inferq.queue.inspection.needed_workers import count_needed_workers
from inferq.queue.inspection.paces import average_paces
from inferq.queue.inspection.workload import LiveWorker, ModelLoad, RunningClaim

SYNC_SECONDS = 15.0
POLLING_SECONDS = 30.0
COOLDOWN_SECONDS = 300.0
STABILIZATION_SECONDS = 300.0
_TOLERANCE = 0.1
_FIRST_PODS = 4
"""In each 15 s the number may double, or grow by so many if that is more."""

type Signal = Callable[[SimulatedService], float]


def count_jobs(jobs_per_worker: float) -> Signal:
    """Makes the signal that the length of `queue:{model}` is: so many waiting jobs for each worker."""
    return lambda service: len(service.waiting) / jobs_per_worker


def count_open_jobs(jobs_per_worker: float) -> Signal:
    """Makes the signal of `queue:{model}:open:{priority}`: so many jobs for each that have not ended."""
    return lambda service: (
        (len(service.waiting) + sum(len(worker.jobs) for worker in service.workers)) / jobs_per_worker
    )


class SecondsOfWork:
    """The signal that `GET /queue/{model}` gives, by the function that gives it.

    Args:
        wait_seconds: `target_wait_seconds`.
    """

    def __init__(self, wait_seconds: float) -> None:
        self._wait_seconds = wait_seconds
        self._latest: Pace | None = None

    def __call__(self, service: SimulatedService) -> float:
        """Returns how many workers are needed."""
        # a worker that was told to stop reports until it has ended
        ready = [worker for worker in service.workers if worker.is_ready]
        paces = {str(worker.number): pace for worker in ready if (pace := worker.read_pace())}
        live = [_report(str(worker.number), paces) for worker in ready]
        self._latest = average_paces(live).get("model", self._latest)
        claims = [
            RunningClaim(
                str(worker.number),
                round(worker.began * 1000),
                len(worker.jobs),
                worker.jobs[0].rows * ROW_BYTES,
            )
            for worker in ready
            if worker.jobs
        ]
        return count_needed_workers(
            ModelLoad({Priority.NORMAL: len(service.waiting)}, claims),
            live,
            paces,
            self._latest,
            at=service.now,
            jobs_per_second=service.jobs_per_second,
            wait_seconds=self._wait_seconds,
        )


def _report(worker_id: str, paces: Mapping[str, Pace]) -> LiveWorker:
    return LiveWorker(worker_id, ("model",), {"model": paces[worker_id]} if worker_id in paces else {})


class Autoscaler:
    """Follows a signal as the two do that Kubernetes uses for it.

    From none to one when the signal is more than 0, which is looked at every 30 s. Between one and the most
    by the signal, every 15 s; on the way down by the highest of the last 5 minutes. To none when the signal
    has been 0 for 5 minutes.

    Args:
        service: What is scaled.
        signal: How many workers are asked for.
        most: `maxReplicaCount`.
    """

    def __init__(self, service: SimulatedService, signal: Signal, most: int) -> None:
        self._service = service
        self._signal = signal
        self._most = most
        self._active_at = -COOLDOWN_SECONDS
        self._recommended: deque[tuple[float, int]] = deque()
        service.call_at(0.0, self._poll)

    def _poll(self) -> None:
        wished = self._signal(self._service)
        now, replicas = self._service.now, len(self._service.active_workers)
        if wished > 0:
            self._active_at = now
        if replicas == 0:
            self._recommended.clear()
            if wished > 0:
                self._service.scale(1)
        elif now - self._active_at >= COOLDOWN_SECONDS:
            self._service.scale(0)
        else:
            self._service.scale(self._recommend(wished, replicas))
        pause = SYNC_SECONDS if self._service.active_workers else POLLING_SECONDS
        self._service.call_at(now + pause, self._poll)

    def _recommend(self, wished: float, replicas: int) -> int:
        now = self._service.now
        number = replicas if abs(wished / replicas - 1) <= _TOLERANCE else ceil(wished)
        number = min(max(1, number), self._most)
        self._recommended.append((now, number))
        while self._recommended[0][0] <= now - STABILIZATION_SECONDS:
            self._recommended.popleft()
        if number < replicas:
            return min(replicas, max(recommended for _, recommended in self._recommended))
        return min(number, max(2 * replicas, replicas + _FIRST_PODS))
