import json
import os
import shutil
import signal
import sys

import pytest

from inferq.errors import ErrorKind
from inferq.jobs import Status
from inferq.queue.producer.producer import Producer
from inferq.queue.producer.submission import Submission
from inferq.settings import Settings
from tests.integration.worker.processes import WorkerProcess, ended, reported
from tests.models import load_models
from tests.onnx_models import write_failing_model, write_labels, write_one_long_node, write_slow_loop
from tests.records import turn_clock
from tests.servers import wait_until

DATA = b"[[5.1,3.5,1.4,0.2]]"
LEASE_SECONDS = Settings().lease_seconds


async def test_worker_announces_its_models_runs_jobs_and_leaves_on_sigterm(start_worker, producer):
    worker = start_worker()
    job = await ended(producer, await producer.submit(Submission("iris", DATA)))

    assert job.status is Status.COMPLETED
    assert b'"class_name":"setosa"' in job.result
    [live] = await reported(producer)
    assert (live.pid, live.models) == (worker.process.pid, ("iris",))
    document = json.loads((await producer.read_models())["iris"])
    assert (document["name"], document["version"]) == ("iris", job.model_version)

    code, log = worker.stop()
    assert code == 0, log
    assert "Traceback" not in log
    assert await producer.read_workers() == []
    assert await producer.read_last_heartbeat() is not None


@pytest.mark.skipif(sys.platform != "linux", reason="a policy of Linux")
async def test_worker_takes_no_processor_from_those_who_serve(start_worker, producer):
    worker = start_worker()
    await ended(producer, await producer.submit(Submission("iris", DATA)))
    assert os.sched_getscheduler(worker.process.pid) == os.SCHED_BATCH


async def test_worker_that_cannot_mark_its_pod_says_so_and_works_on(start_worker, producer):
    worker = start_worker(pod_name="worker-1")
    await worker.until_logged("deletion_cost_not_set")
    assert (await ended(producer, await producer.submit(Submission("iris", DATA)))).status is Status.COMPLETED
    assert worker.stop()[0] == 0


async def test_bad_data_from_outside_fails_its_job_with_a_sentence(start_worker, producer, redis_client):
    start_worker()
    for job_id, data in {"short": b"[[1,2,3]]", "text": b"no json", "empty": b"[[]]"}.items():
        redis_client.set(f"job:{job_id}:data", data)
        redis_client.lpush("queue:iris", job_id)
    good = await ended(producer, await producer.submit(Submission("iris", DATA)))
    short = await ended(producer, "short")

    assert good.status is Status.COMPLETED
    assert short.status is Status.FAILED
    assert "4" in short.error
    assert "3" in short.error
    for job_id in ("text", "empty"):
        job = await ended(producer, job_id)
        assert (job.status, job.attempts) == (Status.FAILED, 1)
        assert "Traceback" not in job.error


async def test_lost_job_of_an_outside_producer_is_rescued_though_recovery_fails(
    start_worker, producer, redis_client
):
    redis_client.set("queue:iris:retries", "no sorted set")
    redis_client.set("job:lost:data", DATA)
    redis_client.set("job:lost:status", "pending")
    start_worker()
    assert (await ended(producer, "lost")).status is Status.COMPLETED


async def test_run_that_fails_gives_a_failed_job_and_a_living_worker(start_worker, producer, tmp_path):
    failing = write_failing_model(tmp_path / "failing")
    worker = start_worker(models_dir=tmp_path, max_attempts=2)
    model = load_models(tmp_path)[failing.name]
    assert model.name == "failing"
    job = await ended(producer, await producer.submit(Submission("failing", b"[99]")))

    assert (job.status, job.attempts) == (Status.FAILED, 2)
    assert "after 2 attempts" in job.error
    good = await ended(producer, await producer.submit(Submission("failing", b"[0]")))
    assert good.status is Status.COMPLETED
    assert worker.process.poll() is None


async def test_answer_that_model_toml_contradicts_fails_at_once(start_worker, producer, tmp_path):
    folder = write_labels(tmp_path / "labels")
    (folder / "model.toml").write_text('class_names = ["a", "b"]')
    good = [await producer.submit(Submission("labels", b"[1]")) for _ in range(5)]
    bad = await producer.submit(Submission("labels", b"[7]"))
    start_worker(models_dir=tmp_path, max_attempts=3)
    job = await ended(producer, bad)
    assert (job.status, job.error_kind, job.attempts) == (Status.FAILED, ErrorKind.INVALID_MODEL, 1)
    assert "class 7" in job.error
    assert "as a table from each label to its name" in job.error
    assert [(await ended(producer, job_id)).status for job_id in good] == [Status.COMPLETED] * 5


async def test_sigterm_lets_the_running_job_finish_and_leaves_the_rest(start_worker, producer):
    worker = start_worker(simulated_run_seconds=1, log_level="debug")
    ids = [await producer.submit(Submission("iris", DATA)) for _ in range(20)]
    await worker.until_logged("jobs_started")
    code, log = worker.stop()

    assert code == 0, log
    begun = log.count("jobs_started")  # more than one where this process was not served meanwhile
    jobs = [await producer.read(job_id) for job_id in ids]
    assert {job.status for job in jobs[:begun]} == {Status.COMPLETED}
    assert {(job.status, job.attempts) for job in jobs[begun:]} == {(Status.PENDING, 0)}


async def test_job_longer_than_the_grace_period_is_requeued_uncharged(start_worker, producer):
    worker = start_worker(simulated_run_seconds=60, shutdown_seconds=0.2, log_level="debug")
    job_id = await producer.submit(Submission("iris", DATA))
    await worker.until_logged("jobs_started")
    code, log = worker.stop()

    assert code == 0, log
    job = await producer.read(job_id)
    assert (job.status, job.attempts, job.queue_position) == (Status.PENDING, 0, 1)


async def test_job_within_the_model_after_the_grace_period_is_requeued_too(start_worker, producer, tmp_path):
    write_slow_loop(tmp_path / "slow")
    worker = start_worker(models_dir=tmp_path, shutdown_seconds=0.2, log_level="debug")
    job_id = await producer.submit(Submission("slow", b"[2000000000]"))  # minutes
    await worker.until_logged("jobs_started")
    code, log = worker.stop()

    assert code == 0, log
    job = await producer.read(job_id)
    assert (job.status, job.attempts, job.queue_position) == (Status.PENDING, 0, 1)


async def test_job_of_a_killed_worker_is_run_by_another(start_worker, producer, redis_client):
    doomed = start_worker(simulated_run_seconds=60)
    job_id = await producer.submit(Submission("iris", DATA))
    wait_until(lambda: redis_client.get(f"job:{job_id}:status") == b"processing", what="the job's start")
    doomed.process.kill()
    doomed.process.wait()
    turn_clock(redis_client, LEASE_SECONDS + 1)
    start_worker()

    job = await ended(producer, job_id)
    assert (job.status, job.attempts) == (Status.COMPLETED, 2)


async def test_worker_survives_redis_going_away_and_coming_back(own_redis_server):
    producer = Producer.from_settings(Settings(redis_url=own_redis_server.url))
    worker = WorkerProcess(own_redis_server.url)
    try:
        before = await producer.submit(Submission("iris", DATA))
        assert (await ended(producer, before)).status is Status.COMPLETED
        own_redis_server.kill()
        await worker.until_logged("redis_unavailable")
        own_redis_server.start()
        job_id = await producer.submit(Submission("iris", DATA))
        assert (await ended(producer, job_id)).status is Status.COMPLETED
        await worker.until_logged("redis_available_again")  # once each of its threads is served again
    finally:
        code, log = worker.stop()
        await producer.close()
    assert code == 0, log
    assert log.count("redis_unavailable") == log.count("redis_available_again") == 1, log


async def test_worker_that_is_cut_off_for_a_moment_goes_on(own_redis_server):
    producer = Producer.from_settings(Settings(redis_url=own_redis_server.url))
    worker = WorkerProcess(own_redis_server.url)
    try:
        for _ in range(3):
            job_id = await producer.submit(Submission("iris", DATA))
            assert (await ended(producer, job_id)).status is Status.COMPLETED
            with own_redis_server.client() as client:
                client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    finally:
        code, log = worker.stop()
        await producer.close()
    assert code == 0, log
    assert "redis_unavailable" not in log


def test_worker_with_nothing_to_serve_ends_with_a_line_and_exit_code_1_though_redis_is_away(tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "model.onnx").write_bytes(b"no model")
    worker = WorkerProcess("redis://127.0.0.1:1", models_dir=tmp_path)
    _, log = worker.process.communicate(timeout=60)
    assert worker.process.returncode == 1
    left_out, last = log.splitlines()
    assert "model_left_out" in left_out
    assert last.startswith("inferq worker: ")
    assert "broken/model.onnx" in last


def test_setting_that_is_not_valid_is_named(redis_url):
    worker = WorkerProcess(redis_url, lease_seconds="soon")
    _, log = worker.process.communicate(timeout=60)
    assert worker.process.returncode == 1
    assert "INFERQ_LEASE_SECONDS" in log
    assert log.count("\n") == 1


async def test_run_that_takes_too_long_is_stopped_retried_and_fails_as_timed_out(start_worker, producer):
    worker = start_worker(simulated_run_seconds=60, max_attempts=2)
    job = await ended(producer, await producer.submit(Submission("iris", DATA, timeout_seconds=0.2)))

    assert (job.status, job.attempts) == (Status.FAILED, 2)
    assert job.error == "The job timed out after 0.2 s. (after 2 attempts)"
    assert [attempt.kind for attempt in job.history] == [ErrorKind.TIMED_OUT] * 2
    assert worker.process.poll() is None


async def test_model_says_how_long_its_runs_may_take(start_worker, producer, tmp_path):
    shutil.copytree("models/iris", tmp_path / "iris")
    with (tmp_path / "iris" / "model.toml").open("a") as config:
        config.write("\ntimeout_seconds = 0.2\n")
    start_worker(simulated_run_seconds=60, max_attempts=1, models_dir=tmp_path)
    job = await ended(producer, await producer.submit(Submission("iris", DATA)))
    assert job.error == "The job timed out after 0.2 s."


async def test_run_is_stopped_between_two_nodes_of_the_graph(start_worker, producer, tmp_path):
    write_slow_loop(tmp_path / "slow")
    worker = start_worker(models_dir=tmp_path, max_attempts=1)
    job = await ended(
        producer, await producer.submit(Submission("slow", b"[2000000000]", timeout_seconds=0.3))
    )
    assert job.error == "The job timed out after 0.3 s."
    job = await ended(producer, await producer.submit(Submission("slow", b"[2]")))
    assert job.status is Status.COMPLETED
    assert "worker_replaces_itself" not in worker.stop()[1]


async def test_run_that_does_not_stop_is_contained_and_the_service_goes_on(start_worker, producer, tmp_path):
    write_one_long_node(tmp_path / "long")
    settings = {"models_dir": tmp_path, "max_attempts": 1, "run_stop_grace_seconds": 0.2}
    worker = start_worker(**settings)
    pid = worker.process.pid
    # by then the node that cannot be stopped is under way
    job = await ended(producer, await producer.submit(Submission("long", b"[6000]", timeout_seconds=2.0)))
    assert job.error == "The job timed out after 2 s."
    good = await ended(producer, await producer.submit(Submission("long", b"[2]")))
    assert good.status is Status.COMPLETED
    code, log = worker.stop()
    assert (code, worker.process.pid) == (0, pid)
    assert log.count("worker_replaces_itself") == 1
    assert log.count("worker_ready") == 2
    [line] = [line for line in log.splitlines() if "job_ended" in line]
    assert f"job_id={job.id} " in line
    assert "error_kind=timed-out" in line


async def test_cancelled_run_is_stopped_and_the_worker_takes_the_next(start_worker, producer, redis_client):
    start_worker(simulated_run_seconds=60)
    job_id = await producer.submit(Submission("iris", DATA))
    wait_until(lambda: redis_client.get(f"job:{job_id}:status") == b"processing", what="the job's start")
    await producer.cancel(job_id)
    other = await producer.submit(Submission("iris", DATA))
    wait_until(lambda: redis_client.get(f"job:{other}:status") == b"processing", what="the next job's start")
    job = await producer.read(job_id)
    assert (job.status, job.error_kind) == (Status.FAILED, ErrorKind.CANCELLED)


async def test_stopped_worker_that_wakes_up_late_changes_nothing(start_worker, producer, redis_client):
    sleeper = start_worker(simulated_run_seconds=5)
    job_id = await producer.submit(Submission("iris", DATA))
    wait_until(lambda: redis_client.get(f"job:{job_id}:status") == b"processing", what="the job's start")
    sleeper.process.send_signal(signal.SIGSTOP)
    turn_clock(redis_client, LEASE_SECONDS + 1)
    other = start_worker()
    done = await ended(producer, job_id)
    assert (done.status, done.attempts) == (Status.COMPLETED, 2)
    sleeper.process.send_signal(signal.SIGCONT)
    next_id = await producer.submit(Submission("iris", DATA))
    assert (await ended(producer, next_id)).status is Status.COMPLETED

    assert other.stop()[0] == 0
    code, log = sleeper.stop()
    assert (code, await producer.read(job_id)) == (0, done), log


async def test_worker_that_is_stopped_before_redis_came_was_never_ready():
    worker = WorkerProcess("redis://127.0.0.1:1")
    try:
        await worker.until_logged("redis_unavailable")
        code, log = worker.stop()
    finally:
        worker.end()
    assert code == 0
    assert log.count("\n") == 1
