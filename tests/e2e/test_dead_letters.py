"""`inferq dead` and `inferq key`, as people and programs call them."""

import json
import os
import subprocess
import sys

import httpx
import pytest

from inferq.errors import InvalidInputError
from inferq.jobs import Outcome
from inferq.models.repository.model_folder import load_model
from inferq.proxy.app import create_app
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.producer.producer import Producer
from inferq.queue.producer.submission import Submission
from inferq.settings import Settings
from tests.e2e.processes import ROOT
from tests.servers import Server, wait_until

DATA = b"[[5.1,3.5,1.4,0.2]]"


@pytest.fixture(scope="module")
def server():
    server = Server("valkey").start()
    yield server
    server.stop()


@pytest.fixture
def settings(server):
    with server.client() as client:
        client.flushall()
    return Settings(redis_url=server.url)


@pytest.fixture
async def failed(server, settings):
    """Three jobs that have failed, the latest first."""
    producer, consumer = Producer.from_settings(settings), Consumer(settings, "worker-1", ["iris"])
    consumer.announce({"iris": load_model(ROOT / "models" / "iris").document.to_json()})
    ids = [await producer.submit(Submission("iris", DATA)) for _ in range(3)]
    for reason in ("first", "second", "[red]third[/red] " + 200 * "x"):
        [job] = consumer.claim(1)
        consumer.finish([Outcome(job, error=InvalidInputError(reason))])
        next_millisecond(server)  # or two would have failed at the same time
    consumer.close()
    await producer.close()
    return ids[::-1]


def next_millisecond(server):
    with server.client() as client:
        seconds, micros = client.time()
        now = (seconds, micros + 1000)
        wait_until(lambda: client.time() > now)


def inferq(server, *arguments, **options):
    environment = os.environ | {"INFERQ_REDIS_URL": server.url}
    return subprocess.run(
        [sys.executable, "-m", "inferq", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        stdin=subprocess.DEVNULL,
        timeout=60,
        **options,
    )


def test_nothing_failed_is_said(server, settings):
    assert inferq(server, "dead", "list").stdout == "No job has failed.\n"
    assert inferq(server, "dead", "list", "--json").stdout == ""


async def test_failed_jobs_are_listed_the_latest_first(server, failed):
    lines = inferq(server, "dead", "list").stdout.splitlines()
    assert lines[0].split() == ["job", "model", "kind", "attempts", "failed", "at", "error"]
    assert [set(failed) & set(line.split()) for line in lines[1:4]] == [{job_id} for job_id in failed]
    assert "[red]third[/red]" in lines[1]
    assert "…" in lines[1]
    listed = inferq(server, "dead", "list", "--json", "--limit", "2", "--model", "iris").stdout.splitlines()
    assert [json.loads(line)["job_id"] for line in listed] == failed[:2]


async def test_job_is_shown_with_its_attempts(server, failed):
    shown = json.loads(inferq(server, "dead", "show", failed[2]).stdout)
    assert shown["error"] == "first"
    assert [attempt["worker"] for attempt in shown["history"]] == ["worker-1"]


async def test_jobs_are_tried_again_by_id_and_the_unknown_are_named(server, settings, failed):
    done = inferq(server, "dead", "retry", failed[0], "nosuch")
    assert (done.returncode, done.stdout) == (1, "1 of 2 jobs: retry done.\n")
    assert "There is no job 'nosuch'" in done.stderr
    again = inferq(server, "dead", "retry", failed[0])
    assert again.returncode == 1
    assert "The job is pending" in again.stderr


async def test_all_are_dropped_only_after_a_yes(server, failed):
    asked = inferq(server, "dead", "drop", "--all")
    assert (asked.returncode, asked.stderr) == (
        1, "inferq: 3 jobs would be concerned. Say --yes, since nobody can be asked here.\n",
    )  # fmt: skip
    done = inferq(server, "dead", "drop", "--all", "--yes")
    assert (done.returncode, done.stdout) == (0, "3 of 3 jobs: drop done.\n")
    with server.client() as client:
        assert list(client.scan_iter("job:*")) == []


@pytest.mark.parametrize("arguments", [(), ("x", "--all"), ("x", "--model", "iris")])
def test_jobs_are_named_or_all_are_meant(server, settings, arguments):
    done = inferq(server, "dead", "retry", *arguments)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


def test_server_that_is_away_is_one_line():
    done = subprocess.run(
        [sys.executable, "-m", "inferq", "dead", "list", "--redis-url", "redis://127.0.0.1:1"],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"INFERQ_REDIS_TIMEOUT_SECONDS": "0.3"},
    )
    assert done.returncode == 5
    assert "Redis" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


async def test_key_that_was_made_opens_the_service(server, settings):
    shown = inferq(server, "key", "ann").stdout.splitlines()
    key, entry = (line.rpartition(" ")[2] for line in shown)
    app = create_app(settings.model_copy(update={"api_keys": entry}))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://proxy") as client:
        assert (await client.get("/models")).status_code == 401
        answer = await client.get("/models", headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == 200
    await app.state.services.producer.close()


def test_key_needs_a_name(server):
    done = inferq(server, "key", "a:b")
    assert done.returncode == 1
    assert "is no name for a key" in done.stderr


async def test_shard_that_is_away_is_named_and_makes_the_exit_code(server, failed):
    urls = f"{server.url},redis://127.0.0.1:1"
    listed = inferq(server, "dead", "list", "--json", "--redis-url", urls)
    assert (listed.returncode, len(listed.stdout.splitlines())) == (0, 3)
    assert listed.stderr.startswith("inferq: Shard 1: ")
    assert len(listed.stderr.splitlines()) == 1
    done = inferq(server, "dead", "retry", "--all", "--yes", "--redis-url", urls)
    assert (done.returncode, done.stdout) == (1, "3 of 3 jobs: retry done.\n")
