"""Whatever the network between the hosts does, no accepted job is lost, and none ends twice."""

import time

import pytest

from tests.hosts.service import Service
from tests.servers import wait_until

pytestmark = pytest.mark.hosts

BOTH_WAYS, ONLY_SENDS, ONLY_RECEIVES = {}, {"receives": False}, {"sends": False}


@pytest.fixture
def service(network):
    with Service(network) as service:
        yield service


def run_beside(service, host, seconds, **values):
    """Runs jobs beside a line that is bad for some seconds."""

    def strike():
        with host.lines(**values):
            time.sleep(seconds)  # jobs go on meanwhile

    service.run(strike)
    assert service.journal.violations == []
    assert service.counts["completed"] > 20


@pytest.mark.parametrize(
    "direction", [BOTH_WAYS, ONLY_SENDS, ONLY_RECEIVES], ids=["both", "sends", "receives"]
)
@pytest.mark.parametrize("name", ["redis", "worker0"])
def test_host_that_is_cut_off_for_a_while_loses_no_job(service, name, direction):
    [host] = [host for host in (service.redis, *service.workers) if host.name == name]
    run_beside(service, host, 4.0, is_cut=True, **direction)


def test_slow_line_to_redis_loses_no_job(service):
    run_beside(service, service.redis, 6.0, delay_seconds=0.1, bytes_per_second=125_000)


def test_lossy_line_to_redis_loses_no_job(service):
    run_beside(service, service.redis, 6.0, loss=0.05)


def test_clocks_an_hour_apart_change_nothing(service):
    service.clocks[service.workers[0]].set_ahead(3600)
    service.clocks[service.proxy].set_ahead(-3600)
    service.run(lambda: time.sleep(4.0))
    assert service.journal.violations == []
    assert service.counts["completed"] > 20


def test_worker_host_that_comes_back_after_a_day_brings_nothing_back(network):
    with Service(network, run_seconds=0.08) as service:
        gone, day = service.workers[0], 25 * 3600

        def strike():
            service.suspend_with_jobs(gone)
            time.sleep(3.0)  # jobs go on meanwhile, at the other worker

        service.run(strike, before_seconds=3.0)
        assert service.journal.violations == []
        assert service.counts["ran more than once"] > 0
        for clock in service.clocks.values():
            clock.set_ahead(day)
        wait_until(lambda: not service.read_keys("job:*:status"), 60, "all results having expired")
        service.resume(gone)
        service.forget_jobs()
        service.wait_until_ready()
        service.run(lambda: time.sleep(3.0))
        assert service.journal.violations == []
