"""`inferq doctor` against real servers, and faults that are made there."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import asdict

import pytest

from inferq.doctor import proxy_checks
from inferq.doctor.diagnosis import diagnose
from tests.servers import Server, free_port

KEY = "iq_of_this_test_alone"
SECRET = "whsec_c2VjcmV0IG9mIHRoaXMgdGVzdCBhbG9uZSwgMzIgYg=="


@pytest.fixture(scope="module")
def server():
    """A server without workers, for faults."""
    server = Server("valkey").start()
    yield server
    server.stop()


@pytest.fixture
def configure(server):
    """Changes the server's configuration for a test."""
    with server.client() as client:
        before = client.config_get("*")

        def configure(**options):
            for name, value in options.items():
                client.config_set(name.replace("_", "-"), value)

        yield configure
        for name in ("maxmemory", "maxmemory-policy", "appendonly", "appendfsync"):
            client.config_set(name, before[name])


def check(**overrides):
    """Level and text of each check, the worst of those with one name."""
    order = ("ok", "warning", "error")
    found = {}
    for one in diagnose(**overrides):
        level, text = found.get(one.check, ("ok", ""))
        worst = max(level, one.level.value, key=order.index)
        found[one.check] = (worst, f"{text}{one.message} {one.remedy}\n")
    return found


def run_doctor(*arguments, before="", **environment):
    return subprocess.run(
        [sys.executable, "-c", f"{before}\nfrom inferq.cli.app import main\nmain()", "doctor", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | environment,
    )


def test_service_that_is_well_has_no_error(service, redis_server):
    done = run_doctor("--json", "--redis-url", redis_server.url, "--url", service)
    assert (done.returncode, done.stderr) == (0, "")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert {one["level"] for one in found} <= {"ok", "warning"}
    assert all(one.keys() == {"check", "level", "message", "remedy"} for one in found)
    checks = {one["check"] for one in found if one["level"] == "ok"}
    assert checks >= {
        *("redis", "redis-version", "redis-eviction", "redis-durability", "redis-memory", "redis-role"),
        *("redis-writes", "clock", "workers", "models", "repository", "versions", "proxy", "api-keys"),
    }
    assert "iris" in done.stdout


def test_warning_is_an_exit_code_only_where_strictness_is_asked_for(service, redis_server):
    arguments = ("--redis-url", redis_server.url, "--url", service)
    done = run_doctor(*arguments, INFERQ_SIMULATED_RUN_SECONDS="1")
    assert done.returncode == 0
    assert "INFERQ_SIMULATED_RUN_SECONDS is 1: every job takes so long." in done.stdout
    assert run_doctor(*arguments, "--strict", INFERQ_SIMULATED_RUN_SECONDS="1").returncode == 1


def test_redis_that_is_away_is_said_and_the_rest_is_checked(service):
    away = f"redis://:{KEY}@127.0.0.1:{free_port()}/0"
    done = run_doctor("--url", service, INFERQ_REDIS_URL=away, INFERQ_HEARTBEAT_SECONDS="60")
    assert done.returncode == 5
    assert KEY not in done.stdout + done.stderr
    assert "redis://:***@127.0.0.1" in done.stdout
    for words in ("counts as alive for 180 s", "repository", f"The proxy at {service} is healthy."):
        assert words in done.stdout


def test_clock_of_this_machine_that_is_wrong_is_an_error(server):
    shim = "import time\nreal = time.time\ntime.time = lambda: real() + 3600"
    done = run_doctor("--json", "--redis-url", server.url, before=shim)
    [clock] = [one for line in done.stdout.splitlines() if (one := json.loads(line))["check"] == "clock"]
    assert clock["level"] == "error"
    assert "ahead of the server's" in clock["message"]


def test_server_without_workers_is_an_error(server):
    found = check(redis_url=server.url)
    assert found["workers"][0] == "error"
    assert found["redis-writes"][0] == "ok"


def test_server_that_may_delete_jobs_or_is_nearly_full_is_named(server, configure):
    configure(maxmemory=100_000_000, maxmemory_policy="allkeys-lru")
    assert check(redis_url=server.url)["redis-eviction"][0] == "error"
    with server.client() as client:
        used = client.info("memory")["used_memory"]
    configure(maxmemory=round(used * 1.12), maxmemory_policy="noeviction")
    level, text = check(redis_url=server.url)["redis-memory"]
    assert level != "ok"
    assert "of maxmemory" in text


def test_server_that_takes_no_jobs_is_an_error(server, configure):
    configure(maxmemory=1)
    level, text = check(redis_url=server.url)["redis-writes"]
    assert level == "error"
    assert "maxmemory" in text


def test_server_that_keeps_nothing_is_named(server, configure):
    configure(appendonly="no")
    level, text = check(redis_url=server.url)["redis-durability"]
    assert level == "warning"
    assert "loses all jobs" in text
    assert check(redis_url=server.url, durability="fsync")["redis-durability"][0] == "error"


def test_server_that_is_a_replica_is_an_error(server):
    with server.client() as client:
        client.replicaof("127.0.0.1", 1)
        try:
            assert check(redis_url=server.url)["redis-role"][0] == "error"
        finally:
            client.replicaof("no", "one")


def test_keys_that_another_program_has_written_over_are_named(server):
    with server.client() as client:
        client.set("models", "odd")
        try:
            found = check(redis_url=server.url)
        finally:
            client.delete("models")
    assert (found["redis"][0], found["queue"][0]) == ("ok", "error")


def test_proxy_beyond_loopback_without_keys_is_warned_of(service, server, monkeypatch):
    assert check(url=service, redis_url=server.url)["api-keys"][0] == "ok"
    monkeypatch.setattr(proxy_checks, "find_own_address", lambda: "127.0.0.1")
    level, text = check(url=service, redis_url=server.url)["api-keys"]
    assert level == "warning"
    assert "everybody who reaches 127.0.0.1" in text


def test_no_proxy_is_an_error_only_where_one_is_named(server, monkeypatch):
    port = free_port()
    level, text = check(redis_url=server.url, url=f"http://127.0.0.1:{port}")["proxy"]
    assert level == "error"
    assert f"127.0.0.1:{port}" in text
    level, text = check(redis_url=server.url, url=f"htp://user:{KEY}@host")["proxy"]
    assert level == "error"
    assert KEY not in text
    assert check(redis_url=server.url, api_key="two words")["proxy"][0] == "error"
    monkeypatch.delenv("INFERQ_URL", raising=False)
    assert check(redis_url=server.url)["proxy"][0] == "ok"


def test_proxy_that_wants_another_key_is_said_so(server):
    port = free_port()
    environment = {
        "INFERQ_REDIS_URL": server.url,
        "INFERQ_API_KEYS": f"me:{hashlib.sha256(KEY.encode()).hexdigest()}",
    }
    proxy = subprocess.Popen(
        [sys.executable, "-m", "inferq", "proxy", "--port", str(port)], env=os.environ | environment
    )
    url = f"http://127.0.0.1:{port}"
    try:
        while check(redis_url=server.url, url=url, api_key=KEY)["proxy"][0] == "error":
            assert proxy.poll() is None
        found = check(redis_url=server.url, url=url, api_key=KEY)
        assert found["api-keys"] == ("ok", "The proxy wants a key. \n")
        assert "is degraded: worker:" in found["proxy"][1]
        level, text = check(redis_url=server.url, url=url, api_key="other")["proxy"]
        assert level == "warning"
        assert "is none that it knows" in text
    finally:
        proxy.terminate()
        proxy.wait(60)


def test_no_secret_is_ever_shown(server):
    port = server.url.rpartition(":")[2]
    secrets = {
        "redis_url": f"redis://user:{KEY}@127.0.0.1:{port}",
        "api_keys": f"me:{hashlib.sha256(KEY.encode()).hexdigest()},me:{'0' * 64}",
        "api_key": f"{KEY}_other",
        "webhook_secret": SECRET,
        "url": f"http://user:{KEY}@127.0.0.1:1",
    }
    shown = json.dumps([asdict(one) for one in diagnose(**secrets)])
    assert "redis://user:***@127.0.0.1" in shown
    assert len(shown) > 1000
    for secret in (KEY, SECRET[6:], hashlib.sha256(KEY.encode()).hexdigest(), "0" * 64):
        assert secret not in shown


def test_rollout_of_a_version_that_nobody_serves_is_an_error(service, redis_server):
    with redis_server.client() as client:
        client.hset("models:rollouts", "iris", '{"serve":"9"}')
        try:
            level, text = check(redis_url=redis_server.url, url=service)["rollouts"]
        finally:
            client.hdel("models:rollouts", "iris")
    assert level == "error"
    assert (
        "iris is to be served in version 9, which no live worker has. Live workers have 96a938666450" in text
    )


def test_server_of_each_shard_is_checked_and_one_that_is_away_named(server):
    found = list(diagnose(redis_url=f"{server.url},redis://127.0.0.1:1", url="http://127.0.0.1:1"))
    servers = [one.message for one in found if one.check == "redis"]
    assert servers[0].startswith("Shard 0: Valkey at")
    assert servers[1].startswith("Shard 1: redis://127.0.0.1:1: ")
    assert any(one.check == "workers" for one in found)  # as the other shard tells
