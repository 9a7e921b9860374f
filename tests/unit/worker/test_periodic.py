import threading

import structlog

from inferq.errors import RedisUnavailableError
from inferq.queue.redis_client.outage import Outage
from inferq.worker.periodic import Periodic


class Part(Periodic):
    """Does what it is given."""

    def __init__(self, action, pause_seconds=0.001, outage=None):
        super().__init__("test", pause_seconds, outage or Outage())
        self.run_once = action

    def run_once(self):
        raise NotImplementedError


def test_part_goes_on_after_any_error():
    reached = threading.Event()
    errors = iter([ValueError("unexpected"), RedisUnavailableError("gone")])

    def action():
        error = next(errors, None)
        if error is not None:
            raise error
        reached.set()
        return True

    part = Part(action)
    part.start()
    assert reached.wait(30)
    part.stop()


def test_run_that_called_nothing_does_not_end_an_outage():
    outage, has_run = Outage(), threading.Event()
    outage.begin(RedisUnavailableError("gone"), 1e12)
    part = Part(lambda: bool(has_run.set()), outage=outage)
    with structlog.testing.capture_logs() as logs:
        part.start()
        assert has_run.wait(30)
        part.stop()
    assert logs == []


def test_run_comes_at_once_when_asked_for_and_so_does_the_end():
    runs = threading.Semaphore(0)

    def action():
        runs.release()
        return True

    part = Part(action, pause_seconds=60)
    part.start()
    assert runs.acquire(timeout=30)
    part.run_soon()
    assert runs.acquire(timeout=30)
    part.stop()
    assert not runs.acquire(blocking=False)
