"""closed loop: 64 users who post, poll every 5 ms until completed, and post again."""

from benchmarks import proxies
from benchmarks.figures import Figure, figure_of
from benchmarks.load import Load, put_load
from benchmarks.processes import BenchmarkError
from benchmarks.rounds import interleave, tell

_SUBJECTS = [proxies.INFERQ_PROXY, proxies.SEED_ASYNC]
_USERS = 64
_PAUSE_SECONDS = 0.005
_SECONDS = 8.0
_QUICK_SECONDS = 3.0
_MOST_ERRORS = 0.001
_BUSY = 0.8


def measure(quick: bool) -> list[Figure]:
    """Takes the measure for inferq and the seed's loop with an async endpoint."""
    seconds = _QUICK_SECONDS if quick else _SECONDS
    results = interleave("closed loop", _SUBJECTS, quick, lambda name: _put_load(name, seconds))
    return [
        figure
        for name, loads in results.items()
        for figure in (
            figure_of("closed loop", name, [load.jobs_per_second for load in loads], "jobs/s"),
            figure_of("closed loop, p50", name, [load.p50_ms for load in loads], "ms"),
            figure_of("closed loop, p99", name, [load.p99_ms for load in loads], "ms"),
        )
    ]


def _put_load(name: str, seconds: float) -> Load:
    with proxies.service(name, worker=True) as port:
        load = put_load(port, users=_USERS, pause=_PAUSE_SECONDS, seconds=seconds)
    if load.errors > _MOST_ERRORS * load.jobs_per_second * seconds:
        raise BenchmarkError(f"{name}: {load.errors} requests were refused.")
    if load.busy > _BUSY:
        tell(f"[yellow]closed loop: the users took {load.busy:.0%} of a processor and may be the limit[/]")
    return load
