import json
import os
import shutil
import subprocess
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.e2e.processes import ROOT
from tests.servers import free_port, wait_until


def run_script(url, shell="sh"):
    """Runs the script, which takes for "at once" what a busy machine may need."""
    return subprocess.run(
        [shell, str(ROOT / "test_async.sh"), url],
        env=os.environ | {"LONGEST_ANSWER_MS": "5000"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.fixture
def service(start, tmp_path):
    def start_service(**settings):
        port = free_port()
        program = start("inferq", "up", "--port", port, "--data-dir", tmp_path, **settings)
        wait_until(lambda: "/job/JOB_ID" in program.output, 90, "the greeting")
        return f"http://127.0.0.1:{port}"

    return start_service


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_script_proves_the_three_claims_on_a_real_service(service, shell):
    assert shutil.which(shell)
    result = run_script(service(simulated_run_seconds=10) + "/", shell)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "PASSED" in result.stdout


def test_script_says_when_the_job_is_too_fast_to_prove_anything(service):
    result = run_script(service())
    assert result.returncode == 5
    assert "INFERQ_SIMULATED_RUN_SECONDS=3" in result.stderr


def test_script_says_when_nothing_answers():
    result = run_script(f"http://127.0.0.1:{free_port()}")
    assert result.returncode == 4
    assert "does not answer" in result.stderr


class Imitation(BaseHTTPRequestHandler):
    """A service with a fault of its own: what the script must find.

    The job has completed when it has been asked for twice after the second submit.
    """

    fault = ""
    submits = 0
    asked = 0

    def do_GET(self):
        if self.path.startswith("/job/"):
            Imitation.asked += Imitation.submits > 1
            done = Imitation.asked > 2
            status = "completed" if done and self.fault != "never completes" else "processing"
            if (done and self.fault == "fails") or (
                Imitation.submits > 1 and self.fault == "fails meanwhile"
            ):
                status = "failed"
            result = {"prediction": 0} if status == "completed" and self.fault != "no result" else None
            times = {"submitted_at": "2026-01-01T00:00:00.000Z", "finished_at": "2026-01-01T00:00:59.500Z"}
            self.answer(200, {"job_id": "x", "status": status, "result": result} | times)
            return
        if self.fault == "blocks others" and Imitation.submits:
            time.sleep(5.5)
        worker = {
            "leaves a model out": "models left out: broken",
            "has no worker": "no worker has ever reported",
        }
        if self.fault in worker:
            components = {"redis": "ok", "worker": worker[self.fault]}
            self.answer(200, {"status": "degraded", "components": components})
            return
        self.answer(200, {"status": "healthy", "components": {}})

    def do_POST(self):
        Imitation.submits += 1
        if self.fault == "answers late":
            time.sleep(5.5)
        self.answer(202, {"job_id": "x"})

    def answer(self, status, body):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body, separators=(",", ":")).encode())

    def log_message(self, *_):
        pass


@contextmanager
def imitation(fault):
    Imitation.fault, Imitation.submits, Imitation.asked = fault, 0, 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), Imitation)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("", 0),
        ("leaves a model out", 0),
        ("has no worker", 4),
        ("answers late", 1),
        ("fails", 2),
        ("fails meanwhile", 2),
        ("no result", 2),
        ("blocks others", 3),
    ],
)
def test_script_finds_the_claim_that_does_not_hold(fault, code):
    with imitation(fault) as url:
        result = run_script(url)
    assert result.returncode == code, result.stdout + result.stderr
