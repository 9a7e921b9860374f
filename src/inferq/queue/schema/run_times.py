"""How long runs took, in steps that are fine enough to set two versions of a model side by side.

Redis holds two histograms in one string, as `histograms` has its own: first that of the version that serves,
then that of the candidate. Each has a slot for each bucket, one for what is longer than all bounds, and one
for the sum, in µs.
"""

import math
import struct
from bisect import bisect_left
from typing import NamedTuple

from inferq.queue.schema.histograms import Histogram

_STEPS_PER_DECADE = 10
_BOUNDS_US = tuple(round(10 * 10 ** (step / _STEPS_PER_DECADE)) for step in range(81))
"""From 10 µs to 1,000 s, each a quarter longer than the one before."""
_SLOTS = len(_BOUNDS_US) + 2
_LEAST_US = 8.0
"""Shorter runs are not told apart."""


class RunTimes(NamedTuple):
    """How long runs of the same jobs took on two versions of a model."""

    primary: Histogram
    candidate: Histogram


def find_slots(primary_us: int, candidate_us: int) -> list[int]:
    """Returns the slots of a job: where each of its two runs is counted, and where each is added up."""
    first = bisect_left(_BOUNDS_US, primary_us)
    second = bisect_left(_BOUNDS_US, candidate_us)
    return [first, _SLOTS - 1, _SLOTS + second, 2 * _SLOTS - 1]


def decode_run_times(stored: bytes | None) -> RunTimes:
    """Makes both histograms, in seconds, of what Redis holds; of nothing, empty ones."""
    numbers = struct.unpack(f">{2 * _SLOTS}q", (stored or b"").ljust(16 * _SLOTS, b"\0")[: 16 * _SLOTS])
    return RunTimes(_make_histogram(numbers[:_SLOTS]), _make_histogram(numbers[_SLOTS:]))


def estimate_quantile(times: Histogram, share: float) -> float | None:
    """Returns the time, in seconds, that this share of the runs did not exceed, to within a quarter of it.

    Args:
        times: One of `RunTimes`.
        share: 0.5 for the median.

    Returns:
        The time; None where there was no run.
    """
    total = sum(times.counts)
    if not total:
        return None
    wanted, below = share * total, 0
    for index, count in enumerate(times.counts):
        if count and below + count >= wanted:
            last = len(times.bounds) - 1
            upper = times.bounds[min(index, last)]
            lower = times.bounds[index - 1] if index else _LEAST_US / 1e6
            part = (wanted - below) / count
            return upper if index > last else lower * math.pow(upper / lower, part)
        below += count
    return None


def _make_histogram(numbers: tuple[int, ...]) -> Histogram:
    *counts, total_us = numbers
    return Histogram(tuple(bound / 1e6 for bound in _BOUNDS_US), tuple(counts), total_us / 1e6)
