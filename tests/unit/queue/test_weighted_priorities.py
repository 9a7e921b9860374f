from collections import Counter
from itertools import pairwise

import pytest

from inferq.jobs import Priority
from inferq.queue.weighted_priorities import WeightedPriorities


def first_priorities(share, claims=1000):
    weights = WeightedPriorities(share)
    return [weights.next_order()[0] for _ in range(claims)]


@pytest.mark.parametrize("share", [0.4, 0.1, 0.01])
def test_lower_priorities_come_first_in_their_share_of_the_claims(share):
    counts = Counter(first_priorities(share))
    assert counts[Priority.NORMAL] == pytest.approx(1000 * share, abs=1)
    assert counts[Priority.LOW] == pytest.approx(1000 * share, abs=1)


def test_lower_priorities_are_spread_evenly():
    firsts = first_priorities(0.1, 40)
    lows = [number for number, priority in enumerate(firsts) if priority is Priority.LOW]
    assert {later - earlier for earlier, later in pairwise(lows)} == {10}


def test_without_a_share_high_is_always_first():
    assert set(first_priorities(0.0)) == {Priority.HIGH}


def test_every_order_has_each_priority_once():
    weights = WeightedPriorities(0.3)
    for _ in range(20):
        assert sorted(weights.next_order()) == sorted(Priority)
