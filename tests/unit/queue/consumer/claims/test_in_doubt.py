"""What a worker keeps of a claim whose answers may be lost."""

import pytest

from inferq.jobs import ClaimedJob, Priority
from inferq.queue.consumer.claims.claim import Popped
from inferq.queue.consumer.claims.in_doubt import InDoubtClaim

POPPED = Popped("a", "iris", Priority.NORMAL, "token of its own")


def job(job_id):
    return ClaimedJob(job_id, "iris", b"[1]", 1, "t1")


@pytest.fixture
def unanswered():
    """Sent, and nothing is answered."""
    in_doubt = InDoubtClaim()
    in_doubt.begin("t1")
    return in_doubt


@pytest.fixture
def half_answered(unanswered):
    """The BRPOP is answered, the claim is not."""
    unanswered.note_popped(POPPED)
    return unanswered


@pytest.fixture
def unclaimed(half_answered):
    """The claim is answered, and has not leased what was popped."""
    half_answered.note_claimed([])
    return half_answered


def test_at_first_nothing_is_in_doubt():
    assert InDoubtClaim().is_settled


@pytest.mark.parametrize("state", ["unanswered", "half_answered", "unclaimed"])
def test_no_claim_begins_while_another_is_in_doubt(request, state):
    in_doubt = request.getfixturevalue(state)
    before = in_doubt.token, in_doubt.popped
    with pytest.raises(RuntimeError, match="in doubt"):
        in_doubt.begin("t2")
    assert (in_doubt.token, in_doubt.popped) == before


def test_wait_that_brings_nothing_is_settled(unanswered):
    unanswered.note_popped(None)
    unanswered.note_claimed([])
    assert unanswered.is_settled


@pytest.mark.parametrize("ids", ["a", "ab", "ba"])
def test_claim_that_leases_what_was_popped_is_settled(half_answered, ids):
    half_answered.note_claimed([job(job_id) for job_id in ids])
    assert half_answered.is_settled


@pytest.mark.parametrize("ids", ["", "b", "bc"])
def test_claim_that_leases_others_leaves_what_was_popped_in_doubt(half_answered, ids):
    half_answered.note_claimed([job(job_id) for job_id in ids])
    assert (half_answered.token, half_answered.popped) == ("", POPPED)


def test_claim_repeated_without_an_answer_to_brpop_settles_it(unanswered):
    unanswered.note_claimed([job("a")])
    assert unanswered.is_settled


def test_popped_id_that_is_requeued_is_settled(unclaimed):
    unclaimed.note_requeued()
    assert unclaimed.is_settled


def test_popped_id_is_handed_over_once(unclaimed):
    assert [unclaimed.hand_over(), unclaimed.hand_over()] == [POPPED, None]
    assert unclaimed.is_settled


def test_settled_claim_is_followed_by_the_next(unclaimed):
    unclaimed.hand_over()
    unclaimed.begin("t2")
    assert (unclaimed.token, unclaimed.popped) == ("t2", None)
