"""In which order claims look for jobs."""

import pytest

from inferq.jobs import Priority
from inferq.queue.consumer.claims.claim_order import ClaimOrder
from inferq.queue.schema.keys import Keys


@pytest.fixture
def order():
    order = ClaimOrder(Keys("x:"), 0.4)
    order.follow({"a": 1, "b": 1, "c": 1})
    return order


def test_lists_of_high_priority_come_first_and_models_in_turn(order):
    order.move_back("b")
    assert order.models == ["a", "c", "b"]
    assert list(order.lists.items()) == [
        (b"x:queue:a:high", ("a", Priority.HIGH)),
        (b"x:queue:c:high", ("c", Priority.HIGH)),
        (b"x:queue:b:high", ("b", Priority.HIGH)),
        (b"x:queue:a", ("a", Priority.NORMAL)),
        (b"x:queue:c", ("c", Priority.NORMAL)),
        (b"x:queue:b", ("b", Priority.NORMAL)),
        (b"x:queue:a:low", ("a", Priority.LOW)),
        (b"x:queue:c:low", ("c", Priority.LOW)),
        (b"x:queue:b:low", ("b", Priority.LOW)),
    ]


def test_models_that_are_served_now_are_looked_at_in_the_order_of_before(order):
    order.move_back("a")
    order.follow({"a": 1, "new": 1, "c": 1})
    assert order.models == ["c", "a", "new"]
    assert [model for model, _ in order.lists.values()] == ["c", "a", "new"] * 3
    order.move_back("b")  # a claim that was sent before has brought its jobs
    assert order.models == ["c", "a", "new"]


def test_claim_that_was_not_sent_leaves_its_priorities_to_the_next(order):
    other = ClaimOrder(Keys(), 0.4)
    usual = [order.draw_priorities() for _ in range(10)]
    with_peeks = []
    for _ in range(10):
        assert other.peek_priorities() == other.peek_priorities()
        with_peeks.append(other.draw_priorities())
    assert with_peeks == usual
    assert len(set(usual)) > 1


def test_priorities_that_were_used_are_not_drawn_again(order):
    other = ClaimOrder(Keys(), 0.4)
    peeked = []
    for _ in range(10):
        peeked.append(other.peek_priorities())
        other.use_priorities()
    assert peeked == [order.draw_priorities() for _ in range(10)]
