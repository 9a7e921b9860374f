"""The logs of a proxy and a worker follow a request, and hold neither data nor secrets."""

import hashlib
import json
import shutil

import httpx
import pytest

from tests.e2e.processes import wait_until_healthy
from tests.onnx_models import write_failing_model
from tests.receivers import SECRET, Receiver
from tests.servers import free_port, wait_until

KEY = "iq_5ecret-key"
PASSWORD = "5ecret-password"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def receiver():
    receiver = Receiver(500)
    yield receiver
    receiver.close()


@pytest.fixture
def service(start, outside_server, tmp_path):
    """A proxy, and what starts workers, which log all they can: iris, and a model that fails on data."""
    with outside_server.client() as client:
        client.config_set("requirepass", PASSWORD)
    shutil.copytree("models/iris", tmp_path / "iris")
    write_failing_model(tmp_path / "table")
    port = free_port()
    settings = {
        "redis_url": outside_server.url.replace("://", f"://:{PASSWORD}@"),
        "models_dir": tmp_path,
        "log_format": "json",
        "log_level": "debug",
        "access_log": "all",
        "api_keys": f"ann:{hashlib.sha256(KEY.encode()).hexdigest()}",
        "webhook_secret": SECRET,
        "webhook_private_addresses": True,
        "webhook_attempts": 1,
        "max_attempts": 1,
    }
    proxy = start("inferq", "proxy", "--port", port, **settings)
    return f"http://127.0.0.1:{port}", proxy, lambda: start("inferq.worker.main", **settings)


def read_lines(program):
    return [json.loads(line) for line in list(program.lines)]


def find(program, event, **members):
    return [
        line for line in read_lines(program) if line["event"] == event and members.items() <= line.items()
    ]


def test_logs_follow_a_request_and_hold_neither_data_nor_secrets(service, receiver):
    url, proxy, start_worker = service
    worker = start_worker()
    wait_until_healthy(url)
    headers = {"Authorization": f"Bearer {KEY}", "X-Secret": "5ecret-header"}

    def submit(request_id, body, expected=202):
        own = {"X-Request-ID": request_id, "Idempotency-Key": f"5ecret-{request_id}", "traceparent": TRACE}
        answer = httpx.post(f"{url}/predict?x=5ecret-query", json=body, headers=headers | own, timeout=60)
        assert answer.status_code == expected, answer.text
        return answer.json().get("job_id")

    webhook = f"{receiver.url}/5ecret-path?token=5ecret-token"
    bad_webhook = "http://user:5ecret@example.com/"
    good = submit("good", {"data": [[5.55501, 3.5, 1.4, 0.2]], "webhook": webhook})
    failing = submit("failing", {"data": [5550199], "model": "table"})
    submit("refused", {"data": [["5ecret-data", 1, 2, 3]]}, 422)
    submit("no-webhook", {"data": [[1, 2, 3, 4]], "webhook": bad_webhook}, 422)
    httpx.get(f"{url}/queue", headers={"Authorization": "Bearer 5ecret-wrong"}, timeout=60)

    wait_until(
        lambda: find(worker, "webhook_given_up", job_id=good, request_id="good"), what="the webhook's end"
    )
    wait_until(lambda: find(worker, "job_ended", job_id=failing), what="the failure")
    wait_until(lambda: len(find(proxy, "request_ended", path="/queue")) == 1, what="the last request")
    ended = {"job_id": good, "request_id": "good", "outcome": "completed", "model": "iris", "attempt": 1}
    wait_until(lambda: find(worker, "job_ended", **ended), what="the end of the first job")
    assert find(worker, "job_ended", job_id=failing, request_id="failing", error_kind="model-error")
    assert find(proxy, "request_ended", job_id=good, request_id="good", status=202, owner="ann")
    assert find(proxy, "request_ended", request_id="refused", status=422, path="/predict")
    for program in (proxy, worker):
        for secret in ("5ecret", SECRET, SECRET.removeprefix("whsec_"), "55501", "5550199"):
            assert secret not in program.output


def test_every_job_that_ends_in_no_run_has_one_line(service):
    url, proxy, start_worker = service
    worker = start_worker()
    wait_until_healthy(url)
    worker.stop()
    headers = {"Authorization": f"Bearer {KEY}"}

    def call(method, path, request_id, **options):
        own = headers | {"X-Request-ID": request_id}
        answer = httpx.request(method, f"{url}{path}", headers=own, timeout=60, **options)
        assert answer.is_success, answer.text
        return answer.json()

    def submit(name, **members):
        return call("POST", "/predict", name, json={"data": [[5.55501, 3.5, 1.4, 0.2]]} | members)["job_id"]

    late = submit("late", expires_in=0.01)
    one, found = submit("one"), submit("found")
    waiting = submit("waiting", model="table", data=[5550199])
    call("DELETE", f"/job/{one}", "order-1")
    call("POST", "/jobs/actions", "order-2", json={"action": "cancel", "filter": {"id_prefix": found}})
    call("DELETE", "/jobs?model=table&status=pending", "order-3")
    second = start_worker()
    wait_until(lambda: find(second, "job_ended"), what="the end of the job that expired")
    last = submit("last")
    wait_until(lambda: find(second, "job_ended", job_id=last), what="the end of the last job")

    def list_ends(program):
        lines = find(program, "job_ended")
        return [
            (line["job_id"], line["model"], line["request_id"], line["outcome"], line.get("error_kind"))
            for line in lines
        ]

    assert list_ends(proxy) == [
        (one, "iris", "one", "failed", "cancelled"),
        (found, "iris", "found", "failed", "cancelled"),
        (waiting, "table", "waiting", "failed", "cancelled"),
    ]
    assert list_ends(second) == [
        (late, "iris", "late", "failed", "expired"), (last, "iris", "last", "completed", None),
    ]  # fmt: skip
    for program in (proxy, worker, second):
        assert "55501" not in program.output
        assert "5ecret" not in program.output
