"""What the commands say where shards of the queue do not answer."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from inferq.cli.app import app

COUNTS = {"matched": 2, "changed": 2, "skipped": 0, "skipped_by_kind": {}, "cursor": None}
ANSWERS = {
    ("GET", "/jobs"): {"jobs": [], "next": None},
    ("GET", "/jobs/errors"): {"groups": [], "is_complete": True},
    ("POST", "/jobs/actions"): COUNTS,
    ("DELETE", "/jobs"): {"cancelled": 2},
    ("GET", "/queue"): {"models": {}},
    ("GET", "/models/iris/shadow"): {"model": "iris", "candidates": []},
}


class _Service(BaseHTTPRequestHandler):
    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = ANSWERS[self.command, self.path.partition("?")[0]]
        body = json.dumps(answer | {"unavailable_shards": [1, 3]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *_arguments):
        return None


@pytest.fixture(scope="module")
def url():
    with ThreadingHTTPServer(("127.0.0.1", 0), _Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    "command",
    [
        "jobs",
        "jobs --json",
        "jobs errors --json",
        "jobs delete --model iris --dry-run",
        "jobs delete --model iris --yes",
        "jobs retry --model iris --yes",
        "jobs cancel --model iris",
        "queue",
        "models shadow iris",
    ],
)
def test_shards_that_do_not_answer_are_named_once(url, command):
    shown = CliRunner().invoke(app, command.split(), env={"INFERQ_URL": url})
    assert shown.exit_code == 0, shown.output
    assert shown.stderr == "inferq: Shards 1, 3 do not answer: what is in them is missing here.\n"
