"""The mark of a pod whose worker is in a long run, told to a server that speaks Kubernetes' API."""

import http.server
import json
import shutil
import ssl
import subprocess
import threading
import time
from types import SimpleNamespace

import pytest
import structlog

from inferq.queue.redis_client.outage import Outage
from inferq.worker.background.deletion_cost import ANNOTATION, DeletionCost


class Processor:
    """Holds jobs, by which a pod is marked."""

    def __init__(self, *leases):
        self.hold(*leases)

    def hold(self, *leases):
        self.held = [SimpleNamespace(token=lease) for lease in leases]


class Api:
    """The API server: takes patches of one pod, from one account."""

    def __init__(self, folder):
        self.calls, self.annotations, self.answer = [], {}, (200, {})
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_PATCH(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                api.calls.append((self.path, self.headers["Authorization"], self.headers["Content-Type"]))
                status, answer = api.answer
                if status == 200:
                    api.annotations |= body["metadata"]["annotations"]
                self.send_response(status)
                self.end_headers()
                self.wfile.write(answer if isinstance(answer, bytes) else json.dumps(answer).encode())

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "ca.crt", folder / "ca.key")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://localhost:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def cost(self):
        return self.annotations.get(ANNOTATION)

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("account")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder / "ca.key")
    name = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "1")
    command = ["openssl", "req", "-x509", *key, *name, "-out", folder / "ca.crt"]
    subprocess.run(command, check=True, capture_output=True)
    (folder / "token").write_text("first\n")
    (folder / "namespace").write_text("models")
    return folder


@pytest.fixture
def api(account):
    api = Api(account)
    yield api
    api.close()


def make_part(api, account, processor, **options):
    options = {"long_seconds": 0.05, **options}
    return DeletionCost("worker-1", processor, Outage(), api=api.url, account=account, **options)


def run_until(part, condition):
    deadline = time.monotonic() + 60
    while not condition():
        part.run_once()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_pod_is_marked_once_while_a_job_is_held_for_long(api, account):
    part = make_part(api, account, Processor("one", "two"))
    run_until(part, lambda: api.cost)
    for _ in range(3):
        part.run_once()
    assert api.cost == "100"
    call = ("/api/v1/namespaces/models/pods/worker-1", "Bearer first", "application/merge-patch+json")
    assert api.calls == [call, call]  # at its start, to remove what may be left, and once it is marked


def test_short_runs_one_after_the_other_mark_nothing(api, account):
    processor = Processor()
    part = make_part(api, account, processor, long_seconds=600)
    for lease in ("one", "two", "two", "three"):
        processor.hold(lease)
        part.run_once()
    assert (api.cost, len(api.calls)) == (None, 1)


def test_mark_stays_between_long_runs_and_goes_some_time_after(api, account):
    processor = Processor("one")
    part = make_part(api, account, processor, kept_seconds=600)
    run_until(part, lambda: api.cost)
    processor.hold("two")
    part.run_once()
    assert (api.cost, len(api.calls)) == ("100", 2)
    processor.hold()
    part.run_once()
    assert api.cost == "100"
    part._kept_seconds = 0.0  # the time is over
    part.run_once()
    assert api.cost is None
    assert len(api.calls) == 3


def test_token_is_read_anew(api, account):
    part = make_part(api, account, Processor("one"))
    part.run_once()
    (account / "token").write_text("second")
    run_until(part, lambda: api.cost)
    (account / "token").write_text("first\n")
    assert [authorization for _, authorization, _ in api.calls] == ["Bearer first", "Bearer second"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((403, {"message": 'pods "worker-1" is forbidden'}), '403 pods "worker-1" is forbidden'),
        ((500, b"<html>"), "500 "),
        ((500, {"kind": "Status"}), "500 "),
    ],
)
def test_refusal_is_logged_and_not_repeated_at_once(api, account, answer, reason):
    api.answer = answer
    part = make_part(api, account, Processor())
    with structlog.testing.capture_logs() as logs:
        part.run_once()
        part.run_once()
    assert [(entry["event"], entry["reason"]) for entry in logs] == [("deletion_cost_not_set", reason)]
    assert len(api.calls) == 1


def test_server_with_another_certificate_is_not_trusted(api, account, tmp_path):
    other = tmp_path / "account"
    shutil.copytree(account, other)
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    subprocess.run(
        [*command, "-keyout", other / "k", "-out", other / "ca.crt"], check=True, capture_output=True
    )
    with structlog.testing.capture_logs() as logs:
        make_part(api, other, Processor()).run_once()
    assert "CERTIFICATE_VERIFY_FAILED" in logs[0]["reason"]
    assert api.calls == []


def test_outside_of_a_pod_it_says_what_is_missing(api, tmp_path):
    with structlog.testing.capture_logs() as logs:
        make_part(api, tmp_path, Processor()).run_once()
    assert "token" in logs[0]["reason"]


def test_part_runs_by_itself_and_stops(api, account):
    part = make_part(api, account, Processor("one"), long_seconds=-1)
    part.start()
    deadline = time.monotonic() + 60
    while not api.cost and time.monotonic() < deadline:
        time.sleep(0.01)
    part.stop()
    assert api.cost == "100"
