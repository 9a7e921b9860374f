"""What an outage tells those who watch over a worker."""

import time

from inferq.jobs import RedisUnavailableError
from inferq.queue.outage import Outage


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
