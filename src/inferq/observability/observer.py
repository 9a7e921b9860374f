"""What a process alone knows of its work, for metrics and traces: who wants to know it is an observer.

Ends of jobs are counted in Redis, once for all processes. These protocols tell what is not there: how long
jobs waited as this worker saw it, how large and long its runs were, and which requests a proxy answered.

Every method is called on the thread, or in the event loop, that does the work. So it must be quick, must not
wait, and must not raise.
"""

from collections.abc import Sequence
from typing import Protocol

from inferq.jobs import ClaimedJob, Outcome


class JobObserver(Protocol):
    """Observes the jobs of one worker process."""

    def jobs_claimed(self, jobs: Sequence[ClaimedJob]) -> None:
        """Jobs were claimed.

        Args:
            jobs: At least one job, all of one model. How long each has waited follows from its
                `submitted_at`, which is by the server's clock.
        """

    def run_ended(self, model: str, jobs: int, rows: int, seconds: float) -> None:
        """A run of a model is over, whether it succeeded, failed or was stopped.

        A batch that fails is run again job by job: each of these runs counts.

        Args:
            model: Model name.
            jobs: Jobs that shared the run.
            rows: Rows of all of them together.
            seconds: How long it took, from stacking the inputs to encoding the results.
        """

    def jobs_ended(self, outcomes: Sequence[Outcome], verdicts: Sequence[str]) -> None:
        """Ends of attempts are stored.

        Jobs that were cancelled during their run are not among them: they have ended elsewhere.

        Args:
            outcomes: How each attempt ended; at least one.
            verdicts: For each what became of it: completed, failed, retrying, late or stale.
        """


class RequestObserver(Protocol):
    """Observes the requests of one proxy process."""

    def request_ended(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request is answered.

        A request that is refused since its head is too long, too slow or not HTTP is not among them.

        Args:
            method: HTTP method; GET also for HEAD, which is served as GET.
            route: Path of the route with the names of its parameters, such as `/job/{job_id}`; empty where no
                route was looked for or found, and for the files of the API pages.
            status: HTTP status of the answer.
            seconds: From the request's head to the answer's end.
        """


class JobObservers:
    """Several observers as one.

    Args:
        observers: Each is told of everything.
    """

    def __init__(self, observers: Sequence[JobObserver]) -> None:
        self._observers = observers

    def jobs_claimed(self, jobs: Sequence[ClaimedJob]) -> None:
        """Tells all of them of a claim."""
        for observer in self._observers:
            observer.jobs_claimed(jobs)

    def run_ended(self, model: str, jobs: int, rows: int, seconds: float) -> None:
        """Tells all of them of a run."""
        for observer in self._observers:
            observer.run_ended(model, jobs, rows, seconds)

    def jobs_ended(self, outcomes: Sequence[Outcome], verdicts: Sequence[str]) -> None:
        """Tells all of them of ends."""
        for observer in self._observers:
            observer.jobs_ended(outcomes, verdicts)


class RequestObservers:
    """Several observers as one.

    Args:
        observers: Each is told of each request.
    """

    def __init__(self, observers: Sequence[RequestObserver]) -> None:
        self._observers = observers

    def request_ended(self, method: str, route: str, status: int, seconds: float) -> None:
        """Tells all of them of a request."""
        for observer in self._observers:
            observer.request_ended(method, route, status, seconds)


class NoObserver:
    """Observes nothing: the default of workers and proxies."""

    def jobs_claimed(self, jobs: Sequence[ClaimedJob]) -> None:
        """Does nothing."""

    def run_ended(self, model: str, jobs: int, rows: int, seconds: float) -> None:
        """Does nothing."""

    def jobs_ended(self, outcomes: Sequence[Outcome], verdicts: Sequence[str]) -> None:
        """Does nothing."""

    def request_ended(self, method: str, route: str, status: int, seconds: float) -> None:
        """Does nothing."""


NO_OBSERVER = NoObserver()
