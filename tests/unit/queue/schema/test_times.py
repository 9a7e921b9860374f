import pytest

from inferq.queue.schema.times import to_milliseconds


@pytest.mark.parametrize(("seconds", "expected"), [(0, 0), (0.0, 0), (1e-9, 1), (0.0026, 3), (60, 60_000)])
def test_time_is_rounded_to_milliseconds_and_a_short_one_does_not_become_none(seconds, expected):
    assert to_milliseconds(seconds) == expected
