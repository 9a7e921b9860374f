"""The seed document's own three terminals, on a port that is free here."""

import subprocess
import sys

import pytest

from tests.e2e.processes import ROOT, call, submit, wait_for_job, wait_until_healthy
from tests.servers import free_port


def test_the_seeds_three_terminals_serve_its_curl_lines(start, outside_server):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    uvicorn = ("uvicorn", "src.proxy.app:app", "--host", "0.0.0.0", "--port", port, "--reload")
    proxy = start(*uvicorn, redis_url=outside_server.url)
    worker = start("src.backend.worker", redis_url=outside_server.url)
    wait_until_healthy(url)

    assert call("GET", f"{url}/health")[1] == {
        "status": "healthy", "components": {"redis": "ok", "worker": "ok"},
    }  # fmt: skip
    job_id = submit(url)
    view = wait_for_job(url, job_id)
    assert view["result"]["prediction"] == 0
    assert view["result"]["class_name"] == "setosa"
    status, answer = call("POST", f"{url}/predict/test")
    assert status == 202
    assert wait_for_job(url, answer["job_id"])["status"] == "completed"
    status, answer = call("POST", f"{url}/predict", {"data": [[6.3, 3.3, 6.0, 2.5]]})
    view = wait_for_job(url, answer["job_id"])
    assert (view["result"]["prediction"], view["result"]["class_name"]) == (2, "virginica")
    assert call("GET", f"{url}/metadata")[1]["name"] == "iris"
    assert worker.stop() == 0
    proxy.stop()
    for program in (proxy, worker):
        assert "Traceback" not in program.output


def test_plain_programs_on_the_seeds_keys_are_producer_and_reader(start, outside_server):
    start("src.backend.worker", redis_url=outside_server.url)
    with outside_server.client() as client:
        client.set("job:b44613:data", "[[5.1, 3.5, 1.4, 0.2]]")
        client.lpush("queue:iris", "b44613")
        from tests.servers import wait_until

        wait_until(lambda: client.get("job:b44613:status") == b"completed", 60, "the job's end")
        assert b'"class_name":"setosa"' in client.get("job:b44613:result")


@pytest.mark.parametrize("program", ["src.proxy.app", "src.backend.worker"])
def test_environment_that_lacks_inferq_gets_a_hint(program):
    code = f"import sys; sys.modules['inferq'] = None; import {program}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "uv sync" in line
