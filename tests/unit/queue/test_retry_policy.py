"""What is tried again, when, and how often."""

import pytest

from inferq.errors import ErrorKind
from inferq.queue.retry_policy import RetryPolicy
from inferq.settings import Settings

SETTINGS = Settings(max_attempts=3, webhook_attempts=8)
HOURS = 3600.0


@pytest.mark.parametrize(
    ("policy", "longest"),
    [
        (RetryPolicy.for_jobs(SETTINGS), {1: 1, 2: 2, 3: 4, 7: 60, 99_999: 60}),
        (
            RetryPolicy.for_webhooks(SETTINGS),
            {1: 5, 2: 20, 3: 80, 7: 4 * HOURS, 99_999: 4 * HOURS},
        ),
    ],
    ids=["jobs", "webhooks"],
)
def test_pauses_grow_up_to_a_cap_and_are_spread_from_zero(policy, longest):
    for attempt, seconds in longest.items():
        delays = [policy.draw_delay(attempt) for _ in range(500)]
        assert 0.8 * seconds < max(delays) <= seconds
        assert min(delays) < 0.2 * seconds


def test_attempts_are_those_of_the_settings():
    assert [RetryPolicy.for_jobs(SETTINGS).is_exhausted(failed) for failed in (1, 2, 3, 4)] == [
        *(False, False, True, True),
    ]
    assert [RetryPolicy.for_webhooks(SETTINGS).is_exhausted(failed) for failed in (7, 8)] == [False, True]


def test_only_what_may_go_better_the_next_time_is_tried_again():
    policy = RetryPolicy.for_jobs(SETTINGS)
    assert {kind for kind in ErrorKind if policy.retries(kind)} == {
        ErrorKind.MODEL_ERROR,
        ErrorKind.TIMED_OUT,
        ErrorKind.CRASHED,
        ErrorKind.INPUT_UNAVAILABLE,
        ErrorKind.OUTPUT_UNAVAILABLE,
    }
