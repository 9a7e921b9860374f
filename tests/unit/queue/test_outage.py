import threading
import time

import structlog

from inferq.jobs import RedisUnavailableError
from inferq.queue.outage import Outage


def fails_times(count):
    calls = iter(range(count + 1))

    def call():
        if next(calls) < count:
            raise RedisUnavailableError("gone")
        return "answer"

    return call


def test_waiting_out_an_outage_returns_the_answer_and_logs_each_change_once():
    with structlog.testing.capture_logs() as logs:
        assert Outage().sit_out(fails_times(3), threading.Event()) == "answer"
    assert [entry["event"] for entry in logs] == ["redis_unavailable", "redis_available_again"]


def test_giving_up_ends_the_waiting():
    give_up = threading.Event()
    give_up.set()
    assert Outage().sit_out(fails_times(1), give_up) is None


def test_time_in_which_redis_is_away_is_nobodys_delay():
    outage = Outage()
    assert outage.over_since == 0
    outage.begin(RedisUnavailableError("gone"), time.monotonic())
    before = time.monotonic()
    assert before <= outage.over_since <= time.monotonic()
    outage.end()
    back = outage.over_since
    assert before <= back <= time.monotonic()
    assert outage.over_since == back
