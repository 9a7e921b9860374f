"""drain: one-row jobs that wait already, one worker process, from the first completed to the last."""

from benchmarks.draining import jobs_per_second
from benchmarks.figures import Figure, figure_of
from benchmarks.rounds import interleave
from benchmarks.subjects import CELERY, CONTRACT, DRAMATIQ, HUEY, INFERQ, SAQ, SEED

_SUBJECTS = {subject.name: subject for subject in (INFERQ, SEED, CELERY, SAQ, DRAMATIQ, HUEY, CONTRACT)}


def measure(quick: bool) -> list[Figure]:
    """Takes the measure for inferq and every rival."""
    results = interleave(
        "drain", list(_SUBJECTS), quick, lambda name: jobs_per_second(_SUBJECTS[name], quick)
    )
    return [figure_of("drain", name, values, "jobs/s") for name, values in results.items()]
