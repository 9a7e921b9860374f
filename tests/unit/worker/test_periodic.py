import threading

import structlog

from inferq.errors import RedisUnavailableError
from inferq.queue.redis_client.outage import Outage
from inferq.worker.periodic import Periodic


def test_thread_goes_on_after_any_error():
    reached = threading.Event()
    errors = iter([ValueError("odd"), RedisUnavailableError("gone")])

    def action():
        error = next(errors, None)
        if error is not None:
            raise error
        reached.set()
        return True

    thread = Periodic("test", 0.001, action, Outage())
    thread.start()
    assert reached.wait(5)
    thread.shutdown()


def test_turn_that_asked_nothing_does_not_end_an_outage():
    outage, turned = Outage(), threading.Event()
    outage.begin(RedisUnavailableError("gone"), 1e12)
    thread = Periodic("test", 0.001, lambda: bool(turned.set()), outage)
    with structlog.testing.capture_logs() as logs:
        thread.start()
        assert turned.wait(5)
        thread.shutdown()
    assert logs == []


def test_turn_comes_at_once_when_hurried_and_the_end_too():
    turns = threading.Semaphore(0)

    def action():
        turns.release()
        return True

    thread = Periodic("test", 60, action, Outage())
    thread.start()
    assert turns.acquire(timeout=5)
    thread.hurry()
    assert turns.acquire(timeout=5)
    thread.shutdown()
    assert not turns.acquire(blocking=False)
