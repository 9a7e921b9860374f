"""drain, one CPU: the same with the server and the worker on one processor."""

import os

from benchmarks.draining import jobs_per_second
from benchmarks.figures import Figure, figure_of
from benchmarks.rounds import interleave
from benchmarks.subjects import CONTRACT, INFERQ, SEED

_SUBJECTS = {subject.name: subject for subject in (INFERQ, SEED, CONTRACT)}


def measure(quick: bool) -> list[Figure]:
    """Takes the measure for inferq and the seed's loop."""
    cpu = max(os.sched_getaffinity(0))
    results = interleave(
        "drain, one CPU",
        list(_SUBJECTS),
        quick,
        lambda name: jobs_per_second(_SUBJECTS[name], quick, cpu),
    )
    return [figure_of("drain, one CPU", name, values, "jobs/s") for name, values in results.items()]
