"""TLS, ACL users and passwords, on a real redis-server."""

import asyncio
import shutil
import subprocess
import traceback

import pytest

from inferq.errors import InvalidSettingError, RedisUnavailableError
from inferq.jobs import Outcome, Status
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.producer.producer import Producer
from inferq.queue.producer.submission import Submission
from inferq.queue.redis_client.connection import connect
from inferq.settings import Settings
from tests.integration.queue.consumer.claiming import claim_next
from tests.servers import REDIS_BINARY, Server, free_port

DATA = b"[[5.1,3.5,1.4,0.2]]"
RULES = (
    "~app:* &app:events +@read +@write +@connection +@transaction +@scripting "
    "+publish +subscribe +unsubscribe +time +info +dbsize"
)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("certificates")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    names = ("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    files = ("-keyout", folder / "key.pem", "-out", folder / "cert.pem")
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
    return folder


async def run_one_job(settings):
    producer, consumer = Producer.from_settings(settings), Consumer(settings, "worker-1", ["iris"])
    subscriber = producer.open_subscriber()
    try:
        consumer.check_server()
        consumer.announce({"iris": b"{}"})
        job_id = await producer.submit(Submission("iris", DATA))
        with subscriber.subscribe(job_id) as waiter:
            while not subscriber.is_subscribed:
                await asyncio.sleep(0.01)
            [job] = claim_next(consumer)
            consumer.renew({job: 60.0})
            consumer.finish([Outcome(job, result=b"1")])
            while waiter.notified is not Status.COMPLETED:
                assert await waiter.wait(60)
        consumer.recover()
        consumer.requeue_orphans()
        job = await producer.read(job_id)
        assert await producer.read_models() == {"iris": b"{}"}
        assert await producer.read_workers() == []
        consumer.retire()
        return job
    finally:
        await subscriber.aclose()
        await producer.close()
        consumer.close()


async def test_everything_works_over_tls(certificates):
    if REDIS_BINARY is None:
        pytest.skip("redis-server is not installed")
    port = free_port()
    tls = ("--tls-port", str(port), "--tls-cert-file", str(certificates / "cert.pem"))
    tls += ("--tls-key-file", str(certificates / "key.pem"), "--tls-auth-clients", "no")
    server = Server("redis", *tls, "--tls-ca-cert-file", str(certificates / "cert.pem")).start()
    try:
        url = f"rediss://localhost:{port}/0?ssl_ca_certs={certificates / 'cert.pem'}"
        assert (await run_one_job(Settings(redis_url=url))).status is Status.COMPLETED
        with pytest.raises(RedisUnavailableError, match="certificate"):
            await run_one_job(Settings(redis_url=f"rediss://localhost:{port}/0"))
    finally:
        server.stop()


async def test_acl_user_needs_only_what_is_documented(redis_client, settings):
    redis_client.execute_command("ACL", "SETUSER", "app", "on", ">s3cret", "resetkeys", *RULES.split())
    try:
        url = settings.redis_url.replace("redis://", "redis://app:s3cret@")
        job = await run_one_job(settings.model_copy(update={"redis_url": url, "key_prefix": "app:"}))
        assert job.status is Status.COMPLETED
    finally:
        redis_client.execute_command("ACL", "DELUSER", "app")


@pytest.mark.parametrize("credentials", ["", "app:wr0ng@", ":wr0ng@"])
async def test_refused_password_is_a_clear_error_without_the_secret(redis_client, settings, credentials):
    redis_client.execute_command("ACL", "SETUSER", "app", "on", ">s3cret", "~*", "+@all")
    redis_client.execute_command("ACL", "SETUSER", "default", "resetpass", ">s3cret")
    try:
        url = settings.redis_url.replace("redis://", f"redis://{credentials}")
        here = settings.model_copy(update={"redis_url": url})
        producer, consumer = Producer.from_settings(here), Consumer(here, "worker-1", ["iris"])
        with pytest.raises(RedisUnavailableError) as from_producer:
            await producer.submit(Submission("iris", DATA))
        with pytest.raises(RedisUnavailableError) as from_consumer:
            consumer.claim(1)
        for caught in (from_producer, from_consumer):
            assert "wr0ng" not in caught.value.message
            assert "s3cret" not in caught.value.message
        consumer.close()
        await producer.close()
    finally:
        redis_client.execute_command("ACL", "SETUSER", "default", "nopass")
        redis_client.execute_command("ACL", "DELUSER", "app")


@pytest.mark.parametrize("password", ["s3cr/et", "s3cr?et", "s3cr#et"])
def test_url_that_cannot_be_read_does_not_show_a_part_of_its_password(settings, password):
    broken = settings.model_copy(update={"redis_url": f"redis://:{password}@localhost:6379/0"})
    with pytest.raises(InvalidSettingError, match="%2F") as caught:
        connect(broken)
    assert "s3cr" not in "".join(traceback.format_exception(caught.value))
