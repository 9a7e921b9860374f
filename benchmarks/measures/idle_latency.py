"""idle latency: one user who posts, then polls without a pause until completed."""

from benchmarks import proxies
from benchmarks.figures import Figure, figure_of
from benchmarks.load import put_load
from benchmarks.processes import BenchmarkError
from benchmarks.rounds import interleave

_SUBJECTS = [proxies.INFERQ_PROXY, proxies.SEED_ASYNC]
_SECONDS = 4.0
_QUICK_SECONDS = 1.5


def measure(quick: bool) -> list[Figure]:
    """Takes the median for inferq and the seed's loop with an async endpoint."""
    seconds = _QUICK_SECONDS if quick else _SECONDS
    results = interleave("idle latency", _SUBJECTS, quick, lambda name: _median_ms(name, seconds))
    return [figure_of("idle latency", name, values, "ms") for name, values in results.items()]


def _median_ms(name: str, seconds: float) -> float:
    with proxies.service(name, worker=True) as port:
        load = put_load(port, users=1, pause=0.0, seconds=seconds)
    if load.errors:
        raise BenchmarkError(f"{name}: {load.errors} requests were refused.")
    return load.p50_ms
