import os
import socket
import subprocess
import sys
from datetime import UTC, datetime

from inferq.jobs import WorkerInfo
from inferq.queue.consumer.consumer import Consumer
from tests.servers import free_port


def check(url, *options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "inferq.worker.healthcheck", *options],
        env={**os.environ, "INFERQ_REDIS_URL": url},
        capture_output=True,
        text=True,
    )


def report_worker_on(host, settings) -> None:
    info = WorkerInfo(id=f"{host}-1", host=host, pid=1, models=("iris",), started_at=datetime.now(UTC))
    Consumer(settings, info.id, ["iris"]).heartbeat(info, {"iris": b"{}"}, 300.0)


def test_host_with_a_reported_worker_is_healthy(settings):
    report_worker_on(socket.gethostname(), settings)
    assert check(settings.redis_url).returncode == 0


def test_worker_that_one_of_two_shards_knows_is_healthy(settings):
    shard = settings.model_copy(update={"redis_url": settings.redis_url.removesuffix("/0") + "/1"})
    report_worker_on(socket.gethostname(), shard)
    assert check(f"{settings.redis_url},{shard.redis_url}").returncode == 0


def test_worker_of_another_host_does_not_count(settings):
    report_worker_on("elsewhere", settings)
    answer = check(settings.redis_url)
    assert answer.returncode == 1
    assert answer.stderr.startswith(f"No worker on {socket.gethostname()} ")
    assert check(settings.redis_url, "--live").returncode == 1


def test_redis_away_is_one_line_and_exit_code_1():
    answer = check(f"redis://127.0.0.1:{free_port()}/0")
    assert answer.returncode == 1
    assert answer.stderr.startswith("inferq healthcheck: ")
    assert answer.stderr.count("\n") == 1


def test_redis_away_is_not_held_against_the_liveness_of_a_worker():
    assert check(f"redis://127.0.0.1:{free_port()}/0", "--live").returncode == 0


def test_option_that_there_is_not_is_refused():
    answer = check("redis://127.0.0.1/0", "--alive")
    assert answer.returncode == 1
    assert answer.stderr == "inferq healthcheck: expected --live or nothing, got --alive\n"
