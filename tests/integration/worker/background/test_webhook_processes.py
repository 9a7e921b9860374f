"""Webhooks of whole worker processes, and receivers behind TLS."""

import shutil
import ssl
import subprocess

import pytest

from inferq.jobs import Status, WebhookStatus
from inferq.queue.producer.submission import Submission
from tests.integration.worker.processes import ended, settled
from tests.receivers import SECRET, Receiver
from tests.servers import wait_until

DATA = b"[[5.1,3.5,1.4,0.2]]"
ON = {"webhook_secret": SECRET, "webhook_private_addresses": True}


async def test_worker_killed_in_mid_delivery_is_followed_by_another_with_the_same_id(
    start_worker, receiver, producer, redis_client
):
    first = start_worker(**ON, webhook_timeout_seconds=60, webhook_attempts=1)
    job_id = await producer.submit(Submission("iris", DATA, webhook=receiver.url.replace("/hook", "/slow")))
    wait_until(lambda: receiver.calls, what="the first delivery")
    first.process.kill()
    first.process.wait()
    receiver.release.set()
    redis_client.zadd("webhooks", {job_id: 0})  # its lease has ended
    start_worker(**ON)
    webhook = await settled(producer, job_id)

    assert (webhook.status, webhook.attempts) == (WebhookStatus.DELIVERED, 1)
    assert len(receiver.calls) == 2
    assert len({call.headers["webhook-id"] for call in receiver.calls}) == 1


async def test_worker_told_to_stop_does_not_wait_for_a_slow_receiver_and_loses_no_report(
    start_worker, receiver, producer, redis_client
):
    worker = start_worker(**ON, webhook_timeout_seconds=600, shutdown_seconds=600)
    job_id = await producer.submit(Submission("iris", DATA, webhook=receiver.url.replace("/hook", "/slow")))
    wait_until(lambda: receiver.calls, what="the first delivery")
    code, log = worker.stop()
    assert code == 0, log
    assert "Traceback" not in log
    assert redis_client.zrange("webhooks", 0, -1) == [job_id.encode()]
    assert (await producer.read(job_id)).webhook.status is WebhookStatus.PENDING


async def test_slow_receiver_does_not_hold_up_the_jobs(start_worker, receiver, producer):
    start_worker(**ON, webhook_timeout_seconds=600)
    slow = receiver.url.replace("/hook", "/slow")
    for _ in range(20):
        await producer.submit(Submission("iris", DATA, webhook=slow))
    wait_until(lambda: len(receiver.calls) == 16, what="as many deliveries as there may be at once")
    for _ in range(20):
        job = await ended(producer, await producer.submit(Submission("iris", DATA, webhook=slow)))
        assert job.status is Status.COMPLETED


async def test_worker_without_a_secret_leaves_reports_to_others(start_worker, receiver, producer):
    start_worker()
    job_id = await producer.submit(Submission("iris", DATA, webhook=receiver.url))
    await ended(producer, job_id)
    other = start_worker(**ON)
    assert (await settled(producer, job_id)).status is WebhookStatus.DELIVERED
    assert "webhook" not in other.stop()[1]


@pytest.fixture
def certificate(tmp_path, monkeypatch):
    """A certificate of hooks.example.com, and the authority that this machine is to trust."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    key, file = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-keyout", key]
    name = ["-subj", "/CN=hooks.example.com", "-addext", "subjectAltName=DNS:hooks.example.com"]
    subprocess.run([*command, "-out", file, *name], check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    return file, key


@pytest.fixture
def tls_receiver(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    receiver = Receiver(tls=context)
    yield receiver
    receiver.close()


async def test_tls_goes_by_the_name_though_the_connection_goes_by_the_address(
    start_delivery, tls_receiver, producer, end_job
):
    async def resolver(host, port):
        return ["127.0.0.1"]

    start_delivery(resolver=resolver, webhook_attempts=1)
    right = await end_job(f"https://hooks.example.com:{tls_receiver.port}/hook")
    assert (await settled(producer, right)).status is WebhookStatus.DELIVERED
    other = await end_job(f"https://other.example.com:{tls_receiver.port}/hook")
    webhook = await settled(producer, other)
    assert webhook.status is WebhookStatus.GIVEN_UP
    assert "certificate verify failed" in webhook.error
    assert len(tls_receiver.calls) == 1
