import threading

from inferq.jobs import RedisUnavailableError
from inferq.worker.outage import Outage
from inferq.worker.periodic import Periodic


def test_thread_goes_on_after_any_error():
    reached = threading.Event()
    errors = iter([ValueError("odd"), RedisUnavailableError("gone")])

    def action():
        error = next(errors, None)
        if error is not None:
            raise error
        reached.set()

    thread = Periodic("test", 0.001, action, Outage())
    thread.start()
    assert reached.wait(5)
    thread.shutdown()
