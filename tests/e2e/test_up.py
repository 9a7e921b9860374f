import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.e2e.processes import (
    ROOT,
    call,
    command_of,
    descendants_of,
    is_healthy,
    is_running,
    submit,
    wait_for_job,
    wait_until_healthy,
)
from tests.onnx_models import write_deep_tree
from tests.servers import free_port, wait_until


@pytest.fixture
def service(start, tmp_path):
    """Starts `inferq up` and waits for the last line of its greeting."""

    def start_service(*options, **settings):
        port = free_port()
        data = tmp_path / "data of mine"  # a path with spaces, as people have
        program = start("inferq", "up", "--port", port, "--data-dir", data, *options, **settings)
        wait_until(
            lambda: "/job/JOB_ID" in program.output or program.process.poll() is not None, 90, "the greeting"
        )
        assert program.process.poll() is None, program.output
        return program, f"http://127.0.0.1:{port}"

    return start_service


def child(program, words):
    return next(pid for pid in descendants_of(program.process.pid) if words in command_of(pid))


def test_one_command_serves_predictions_and_says_how(service, monkeypatch, tmp_path):
    slow_import = "import sys, time\nif 'up' in sys.orig_argv:\n    time.sleep(6)\n"
    (tmp_path / "sitecustomize.py").write_text(slow_import)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    began = time.monotonic()
    program, url = service()
    waited = time.monotonic() - began

    assert is_healthy(url)
    said = float(re.search(r"Ready in ([0-9.]+) s", program.output)[1])
    assert waited - 6 < said < waited + 0.1  # what a user waits, imports included
    for words in (url, f"{url}/docs", "redis://127.0.0.1:", "data of mine", "models"):
        assert words in program.output
    curl = next(line for line in program.lines if line.strip().startswith("curl -X POST"))
    answer = subprocess.run([*shlex.split(curl), "-s"], capture_output=True, text=True, check=True).stdout
    job_id = re.search(r'"job_id":"(\w+)"', answer)[1]
    assert wait_for_job(url, job_id)["result"]["class_name"] == "setosa"
    assert (
        len([pid for pid in descendants_of(program.process.pid) if "inferq.worker" in command_of(pid)]) == 2
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_stops_everything_in_time_and_leaves_nothing(service, number):
    program, url = service(simulated_run_seconds=1)
    submit(url)
    children = descendants_of(program.process.pid)
    assert len(children) == 4

    assert program.stop(number) == 0
    assert not any(is_running(pid) for pid in children)
    assert "Traceback" not in program.output


def test_ctrl_c_reaches_the_whole_terminal_and_still_ends_in_order(service):
    program, _ = service()
    children = descendants_of(program.process.pid)
    os.killpg(program.process.pid, signal.SIGINT)

    assert program.wait() == 0
    assert not any(is_running(pid) for pid in children)
    assert "Traceback" not in program.output


@pytest.mark.parametrize("words", ["inferq.worker", " proxy", "valkey-server"])
def test_program_that_is_killed_is_started_again(service, words):
    program, url = service()
    killed = child(program, words)
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: "it starts again" in program.output, what="the line about it")
    wait_until(
        lambda: any(
            words in command_of(pid) and pid != killed for pid in descendants_of(program.process.pid)
        ),
        what="the new process",
    )
    wait_until_healthy(url)

    assert wait_for_job(url, submit(url))["status"] == "completed"


@pytest.mark.parametrize("is_outside", [False, True])
def test_children_end_when_up_itself_is_killed(service, outside_server, is_outside):
    program, _ = service(*(("--redis-url", outside_server.url) if is_outside else ()))
    children = descendants_of(program.process.pid)
    program.process.kill()
    wait_until(lambda: not any(is_running(pid) for pid in children), 60, "the end of all children")


def test_data_directory_of_a_killed_up_is_taken_over_only_after_its_server_has_ended(
    service, start, tmp_path
):
    holder, _ = service()
    server = child(holder, "valkey-server")
    os.kill(server, signal.SIGSTOP)  # it cannot end yet, so it could still write
    try:
        holder.stop(signal.SIGKILL)
        late = start("inferq", "up", "--port", free_port(), "--data-dir", tmp_path / "data of mine")
        expect_one_clear_line(late, "valkey-server", str(holder.process.pid), "--data-dir")
    finally:
        os.kill(server, signal.SIGCONT)

    _, url = service()
    assert wait_for_job(url, submit(url))["status"] == "completed"


def test_variables_of_an_http_proxy_do_not_keep_up_from_its_own_proxy(service, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("no_proxy", "")
    program, _ = service("--workers", "1")
    assert "Ready in" in program.output


def test_closed_terminal_stops_everything(service):
    program, _ = service("--workers", "1")
    children = descendants_of(program.process.pid)
    assert program.stop(signal.SIGHUP) == 0
    assert not any(is_running(pid) for pid in children)


@pytest.mark.parametrize("opened", [os.openpty, os.pipe], ids=["terminal", "pipe"])
def test_output_that_is_gone_stops_nothing_and_keeps_nothing_from_an_orderly_end(opened, tmp_path):
    port = free_port()
    reader, writer = opened()
    process = subprocess.Popen(
        [sys.executable, "-m", "inferq", "up", "--workers=1", f"--port={port}", f"--data-dir={tmp_path}"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("INFERQ_")},
        stdout=writer,
        stderr=writer,
        start_new_session=True,
    )
    os.close(writer)
    try:
        output = b""
        while b"JOB_ID" not in output:
            output += os.read(reader, 4096) or pytest.fail(output.decode())
        os.close(reader)
        before = descendants_of(process.pid)
        os.kill(
            next(pid for pid in before if "inferq.worker" in command_of(pid)), signal.SIGKILL
        )  # makes it talk
        url = f"http://127.0.0.1:{port}"
        assert wait_for_job(url, submit(url), 60)["status"] == "completed"

        children = descendants_of(process.pid)
        process.send_signal(signal.SIGHUP)
        assert process.wait(60) == 0
        assert not any(is_running(pid) for pid in children)
    finally:
        process.kill()
        process.wait()


def test_listening_on_all_ipv6_addresses_becomes_ready_too(service):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    program, _ = service("--workers", "1", "--host", "::")
    url = re.search(r"Proxy +(\S+)", program.output)[1]
    assert url.startswith("http://[::1]:")
    assert is_healthy(url)


def test_ready_means_its_own_workers_not_those_that_the_outside_server_has_already(
    start, service, outside_server
):
    start("src.backend.worker", redis_url=outside_server.url)
    with outside_server.client() as client:
        wait_until(lambda: client.zcard("workers") == 1, 60, "the worker that was there before")
        program, _ = service("--workers", "1", "--redis-url", outside_server.url)
        assert client.zcard("workers") == 2, program.output


def test_restart_loses_no_job(service):
    program, url = service("--workers", "1", simulated_run_seconds=30)
    jobs = [submit(url) for _ in range(5)]
    wait_until(lambda: call("GET", f"{url}/job/{jobs[0]}")[1]["status"] == "processing", what="a running job")
    assert program.stop() == 0

    _, url = service("--workers", "1")
    views = [wait_for_job(url, job_id) for job_id in jobs]
    assert [view["status"] for view in views] == ["completed"] * 5
    assert [view["attempts"] for view in views] == [1] * 5


def test_outside_server_is_used_instead_of_the_embedded_one(service, outside_server):
    program, url = service("--redis-url", outside_server.url)
    job_id = submit(url)

    assert wait_for_job(url, job_id)["status"] == "completed"
    with outside_server.client() as client:
        assert client.get(f"job:{job_id}:status") == b"completed"
    assert not any("valkey-server" in command_of(pid) for pid in descendants_of(program.process.pid))


def expect_one_clear_line(program, *words):
    assert program.wait() == 1, program.output
    assert "Traceback" not in program.output
    errors = [line for line in program.lines if line.startswith("inferq")]
    assert len(errors) == 1, program.output
    for word in words:
        assert word in errors[0]


def test_address_that_is_not_ours_is_one_clear_line(start, tmp_path):
    program = start("inferq", "up", "--host", "nonsense.invalid", "--data-dir", tmp_path)
    expect_one_clear_line(program, "nonsense.invalid", "--host")


def test_models_of_an_earlier_start_are_forgotten(service, tmp_path):
    shutil.copytree(ROOT / "models" / "iris", tmp_path / "models" / "flower")
    shutil.copytree(ROOT / "models" / "iris", tmp_path / "models" / "iris")
    program, url = service("--workers", "1", "--models", tmp_path / "models")
    assert call("GET", f"{url}/models")[1]["models"] == ["flower", "iris"]
    program.stop()
    _, url = service("--workers", "1")
    assert call("GET", f"{url}/models")[1]["models"] == ["iris"]


def test_port_in_use_is_one_clear_line(start, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        program = start("inferq", "up", "--port", port, "--data-dir", tmp_path)
        expect_one_clear_line(program, str(port), "in use", "--port")


def test_data_directory_in_use_is_one_clear_line(service, start, tmp_path):
    holder, url = service()
    program = start("inferq", "up", "--port", free_port(), "--data-dir", tmp_path / "data of mine")
    expect_one_clear_line(program, str(holder.process.pid), "--data-dir")
    assert is_healthy(url)


def test_unreadable_model_is_one_clear_line_and_leaves_nothing(start, tmp_path):
    (tmp_path / "models" / "broken").mkdir(parents=True)
    (tmp_path / "models" / "broken" / "model.onnx").write_bytes(b"no model")
    program = start(
        "inferq", "up", "--port", free_port(), "--data-dir", tmp_path, "--models", tmp_path / "models"
    )
    expect_one_clear_line(program, "broken", "model.onnx")
    assert descendants_of(program.process.pid) == []
    assert "Proxy" not in program.output


def test_models_that_cannot_be_served_or_kill_a_worker_are_named_and_the_others_served(start, tmp_path):
    models = tmp_path / "models"
    shutil.copytree(ROOT / "models" / "iris", models / "iris")
    (models / "broken").mkdir()
    (models / "broken" / "model.onnx").write_bytes(b"no model")
    for name in ("deep", "deeper", "deepest"):  # as many as the deaths after which `up` gives a child up
        write_deep_tree(models / name)
    port = free_port()
    program = start("inferq", "up", "--port", port, "--data-dir", tmp_path, "--models", models)
    wait_until(lambda: "Ready in" in program.output, 100, "the start")
    for name in ("broken", "deep", "deeper", "deepest"):
        assert f"Left out {name}: " in program.output
    url = f"http://127.0.0.1:{port}"
    assert wait_for_job(url, submit(url))["status"] == "completed"
    health = call("GET", f"{url}/health")[1]
    assert health["status"] == "degraded"
    assert "broken, deep, deeper, deepest" in health["components"]["worker"]
    assert program.stop() == 0


def test_outside_server_that_refuses_the_database_is_one_clear_line(start, outside_server):
    url = outside_server.url.removesuffix("0") + "99"
    program = start("inferq", "up", "--port", free_port(), "--redis-url", url)
    expect_one_clear_line(program, "DB index is out of range.")


def test_outside_server_out_of_reach_is_one_clear_line(start, tmp_path):
    program = start(
        "inferq", "up", "--port", free_port(), "--redis-url", f"redis://:geheim@127.0.0.1:{free_port()}"
    )
    expect_one_clear_line(program, "--redis-url")
    assert "geheim" not in program.output


def test_bad_setting_is_one_clear_line(start, tmp_path):
    program = start("inferq", "up", "--data-dir", tmp_path, lease_seconds="soon")
    expect_one_clear_line(program, "INFERQ_LEASE_SECONDS")


def test_several_proxies_share_the_port_and_outlive_each_other(service):
    program, url = service("--proxies", 2, "--workers", 1)
    proxies = [pid for pid in descendants_of(program.process.pid) if "inferq proxy" in command_of(pid)]
    assert len(proxies) == 2
    wait_until(lambda: program.output.count("proxy_listening") == 2, what="both of them")
    ids = [submit(url) for _ in range(20)]
    for job_id in ids:
        wait_for_job(url, job_id)
    os.kill(proxies[0], signal.SIGKILL)
    wait_until(lambda: re.search(r"proxy-\d ended", program.output), 60, "the line about the proxy that died")
    wait_until(
        lambda: (
            len([pid for pid in descendants_of(program.process.pid) if "inferq proxy" in command_of(pid)])
            == 2
        ),
        60,
        "the new proxy",
    )
    wait_for_job(url, submit(url))


def test_blobs_in_an_object_store_are_there_after_the_next_start(service, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{free_port()}")  # of another store
    program, url = service("--blobs")
    assert re.search(r"Blobs +http://127\.0\.0\.1:\d+ \(S3", program.output)
    assert child(program, "weed mini")
    _, answer = call("POST", f"{url}/predict", {"data": [[5.1, 3.5, 1.4, 0.2]] * 20_000})
    result = wait_for_job(url, answer["job_id"])["result"]
    assert len(str(result)) > 64 * 1024
    assert program.stop() == 0

    program, url = service("--blobs")
    assert wait_for_job(url, answer["job_id"])["result"] == result
    children = descendants_of(program.process.pid)
    program.process.kill()
    wait_until(lambda: not any(is_running(pid) for pid in children), 60, "the end of all children")
