import threading
import time

import structlog
from redis.exceptions import ReadOnlyError

from inferq.errors import RedisUnavailableError
from inferq.queue.redis_client.outage import Outage


def fails_times(count):
    calls = iter(range(count + 1))

    def call():
        if next(calls) < count:
            raise RedisUnavailableError("gone")
        return "answer"

    return call


def test_waiting_out_an_outage_returns_the_answer_and_logs_each_change_once():
    with structlog.testing.capture_logs() as logs:
        assert Outage().retry_until_available(fails_times(3), threading.Event()) == "answer"
    assert [entry["event"] for entry in logs] == ["redis_unavailable", "redis_available_again"]


def refused():
    error = RedisUnavailableError("read-only")
    error.__cause__ = ReadOnlyError()
    return error


def test_server_that_refuses_some_is_back_once_it_refuses_them_no_more():
    outage = Outage()
    with structlog.testing.capture_logs() as logs:
        for caller in ("heartbeat", "recovery"):
            outage.begin(refused(), time.monotonic(), caller)
        outage.end(time.monotonic(), "renewal")
        outage.end(time.monotonic(), "heartbeat")
        outage.begin(refused(), time.monotonic(), "heartbeat")
        outage.end(time.monotonic(), "recovery")
        assert [entry["event"] for entry in logs] == ["redis_unavailable"]
        outage.end(time.monotonic(), "heartbeat")
    assert [entry["event"] for entry in logs] == ["redis_unavailable", "redis_available_again"]


def test_connection_that_works_again_is_the_same_for_all():
    outage = Outage()
    with structlog.testing.capture_logs() as logs:
        outage.begin(RedisUnavailableError("gone"), time.monotonic(), "heartbeat")
        outage.end(time.monotonic(), "recovery")
    assert [entry["event"] for entry in logs] == ["redis_unavailable", "redis_available_again"]


def test_answer_to_a_call_from_before_an_outage_does_not_end_it():
    outage = Outage()
    called_at = time.monotonic()
    with structlog.testing.capture_logs() as logs:
        outage.begin(RedisUnavailableError("gone"), called_at, "heartbeat")
        outage.end(called_at, "recovery")
        assert [entry["event"] for entry in logs] == ["redis_unavailable"]
        outage.end(time.monotonic(), "recovery")
    assert [entry["event"] for entry in logs] == ["redis_unavailable", "redis_available_again"]


def test_who_was_refused_and_asks_no_more_does_not_keep_an_outage_going():
    outage = Outage()
    with structlog.testing.capture_logs() as logs:
        outage.begin(refused(), time.monotonic(), "renewal")
        outage.forget("renewal")
        outage.end(time.monotonic(), "recovery")
    assert [entry["event"] for entry in logs] == ["redis_unavailable", "redis_available_again"]


def test_waiting_has_an_end():
    assert Outage().retry_until_available(fails_times(5), threading.Event(), 0.06) is None


def test_giving_up_ends_the_waiting():
    give_up = threading.Event()
    give_up.set()
    assert Outage().retry_until_available(fails_times(1), give_up) is None


def test_time_in_which_redis_is_away_is_nobodys_delay():
    outage = Outage()
    assert outage.available_since == 0
    outage.begin(RedisUnavailableError("gone"), time.monotonic())
    before = time.monotonic()
    assert before <= outage.available_since <= time.monotonic()
    outage.end(time.monotonic())
    back = outage.available_since
    assert before <= back <= time.monotonic()
    assert outage.available_since == back
