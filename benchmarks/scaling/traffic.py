"""Jobs that arrive, drawn with a fixed seed."""

from math import cos, exp, log, pi
from random import Random
from typing import NamedTuple

_SEED = 23


class Arrival(NamedTuple):
    """A job that is submitted.

    Attributes:
        at: When, in seconds since the beginning.
        rows: How many rows it has.
    """

    at: float
    rows: int


def make_bursts(count: int, jobs: int, pause_seconds: float, rows: int) -> list[Arrival]:
    """Makes equal jobs that come all at once, again and again.

    Args:
        count: How many bursts.
        jobs: How many jobs each has; they come within 10 s.
        pause_seconds: From the beginning of one to that of the next.
        rows: Rows of each job.
    """
    random = Random(_SEED)
    return sorted(
        Arrival(number * pause_seconds + random.uniform(0, 10), rows)
        for number in range(count)
        for _ in range(jobs)
    )


def make_day(seconds: float, jobs_per_second: float, rows: int) -> list[Arrival]:
    """Makes equal jobs whose number follows a day: none at night, twice the mean at noon.

    Args:
        seconds: Length of the day.
        jobs_per_second: The mean.
        rows: Rows of each job.
    """
    random = Random(_SEED)
    arrivals, at = [], 0.0
    most = 2 * jobs_per_second
    while (at := at + random.expovariate(most)) < seconds:
        if random.random() < (1 - cos(2 * pi * at / seconds)) / 2:
            arrivals.append(Arrival(at, rows))
    return arrivals


def make_mixture(seconds: float, jobs_per_second: float, most_rows: int) -> list[Arrival]:
    """Makes jobs at a steady mean rate whose rows are 1 to `most_rows`, each order of magnitude as often.

    Args:
        seconds: How long they come.
        jobs_per_second: The mean.
        most_rows: Rows of the largest.
    """
    random = Random(_SEED)
    arrivals, at = [], 0.0
    while (at := at + random.expovariate(jobs_per_second)) < seconds:
        arrivals.append(Arrival(at, max(1, round(exp(random.uniform(0, log(most_rows)))))))
    return arrivals
