import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferq.queue.schema.run_times import decode_run_times, estimate_quantile, find_slots

MICROSECONDS = st.integers(0, 10**10)


def store(pairs):
    """The string that Redis makes of such runs."""
    slots = [0] * (max(find_slots(0, 10**12)) + 1)
    for primary_us, candidate_us in pairs:
        first, first_sum, second, second_sum = find_slots(primary_us, candidate_us)
        slots[first] += 1
        slots[first_sum] += primary_us
        slots[second] += 1
        slots[second_sum] += candidate_us
    return struct.pack(f">{len(slots)}q", *slots)


@given(st.lists(st.tuples(MICROSECONDS, MICROSECONDS), min_size=1, max_size=20))
def test_both_versions_are_counted_apart(pairs):
    times = decode_run_times(store(pairs))
    for histogram, values in zip(times, zip(*pairs, strict=True), strict=True):
        assert sum(histogram.counts) == len(values)
        assert histogram.total == pytest.approx(sum(values) / 1e6)


@given(st.lists(st.integers(10, 10**9), min_size=1, max_size=50), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_quantile_is_told_to_within_a_quarter(values, share):
    times = decode_run_times(store([(value, 0) for value in values])).primary
    exact = sorted(values)[max(0, -int(-share * len(values) // 1) - 1)] / 1e6
    assert exact / 1.27 <= estimate_quantile(times, share) <= exact * 1.27


def test_of_nothing_there_is_no_quantile():
    assert estimate_quantile(decode_run_times(None).primary, 0.5) is None


def test_what_is_longer_than_all_bounds_counts_as_the_longest():
    assert estimate_quantile(decode_run_times(store([(10**12, 0)])).primary, 0.5) == 1000
