import contextlib
import socket
import threading

import pytest
from structlog.testing import capture_logs

from inferq.egress.url_policy import UrlPolicy
from inferq.errors import InvalidInputError, RedisUnavailableError
from inferq.jobs import Outcome, WebhookStatus
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.producer.producer import Producer
from inferq.queue.producer.submission import Submission
from inferq.queue.redis_client.outage import Outage
from inferq.queue.webhook_outbox import WebhookOutbox
from inferq.settings import Settings
from inferq.worker.background import webhook_delivery
from inferq.worker.background.webhook_delivery import MOST_UNDER_WAY, WebhookDelivery
from tests.integration.worker.processes import settled
from tests.receivers import SECRET
from tests.servers import free_port, wait_until

DATA = b"[[5.1,3.5,1.4,0.2]]"


async def test_end_is_delivered_once_signed_and_with_the_job(start_delivery, receiver, producer, end_job):
    job_id = await end_job(receiver.url)
    start_delivery()
    webhook = await settled(producer, job_id)

    assert (webhook.status, webhook.attempts, webhook.error) == (WebhookStatus.DELIVERED, 1, None)
    [call] = receiver.calls
    assert call.message["type"] == "job.completed"
    assert call.message["timestamp"] == call.message["data"]["finished_at"]
    assert (call.message["data"]["job_id"], call.message["data"]["result"]) == (job_id, {"x": 1.1})
    assert call.message["data"]["webhook"]["status"] == "pending"
    assert call.headers["content-type"] == "application/json"
    assert call.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert call.headers["user-agent"].startswith("inferq/")


async def test_end_is_delivered_with_the_ids_of_the_request(
    start_delivery, receiver, producer, consumer, end_job
):
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await producer.submit(
        Submission("iris", DATA, webhook=receiver.url, request_id="order/17", traceparent=trace)
    )
    [job] = consumer.claim(1)
    consumer.finish([Outcome(job, result=b"1")])
    await end_job(receiver.url)
    start_delivery()
    wait_until(lambda: len(receiver.calls) == 2, what="both deliveries")
    found = {
        (
            call.message["data"]["request_id"],
            call.headers.get("x-request-id"),
            call.headers.get("traceparent"),
        )
        for call in receiver.calls
    }
    assert found == {("order/17", "order/17", trace), (None, None, None)}


async def test_end_with_a_large_result_is_delivered_without_it(start_delivery, receiver, producer, end_job):
    job_id = await end_job(receiver.url, result=b'"%b"' % (b"x" * 1_000_000))
    start_delivery()
    assert (await settled(producer, job_id)).status is WebhookStatus.DELIVERED
    [call] = receiver.calls
    assert (call.message["data"]["status"], call.message["data"]["result"]) == ("completed", None)
    assert call.message["result_path"] == f"/job/{job_id}"


async def test_ends_of_failed_and_cancelled_jobs_are_delivered_too(
    start_delivery, receiver, producer, end_job
):
    failed = await end_job(receiver.url, error=InvalidInputError("No such flower."))
    cancelled = await producer.submit(Submission("iris", DATA, webhook=receiver.url))
    await producer.cancel(cancelled)
    start_delivery()
    for job_id in (failed, cancelled):
        await settled(producer, job_id)
    messages = {call.message["data"]["job_id"]: call.message for call in receiver.calls}
    assert {message["type"] for message in messages.values()} == {"job.failed"}
    assert messages[failed]["data"]["error"] == "No such flower."
    assert messages[cancelled]["data"]["error_kind"] == "cancelled"


async def test_receiver_that_fails_is_tried_again_under_the_same_id(
    start_delivery, make_receiver, producer, end_job
):
    receiver = make_receiver(500, 429, 204)
    job_id = await end_job(receiver.url)
    with capture_logs() as logged:
        start_delivery()
        webhook = await settled(producer, job_id)
    assert (webhook.status, webhook.attempts) == (WebhookStatus.DELIVERED, 3)
    assert len({call.headers["webhook-id"] for call in receiver.calls}) == 1
    assert [call.message["data"]["webhook"]["attempts"] for call in receiver.calls] == [0, 1, 2]
    failures = [line for line in logged if line["event"] == "webhook_failed"]
    assert [line["error"] for line in failures] == [
        "The receiver answered 500.",
        "The receiver answered 429.",
    ]
    assert failures[0]["receiver"] == f"http://127.0.0.1:{receiver.port}"


async def test_webhook_is_given_up_visibly(start_delivery, make_receiver, producer, end_job):
    receiver = make_receiver(503)
    job_id = await end_job(receiver.url)
    with capture_logs() as logged:
        start_delivery(webhook_attempts=3)
        webhook = await settled(producer, job_id)
        wait_until(lambda: logged and logged[-1]["event"] == "webhook_given_up", what="the log line")
    assert (webhook.status, webhook.attempts) == (WebhookStatus.GIVEN_UP, 3)
    assert webhook.error == "The receiver answered 503."
    assert (logged[-1]["job_id"], logged[-1]["error"]) == (job_id, webhook.error)
    assert len(receiver.calls) == 3


async def test_receiver_that_is_gone_is_not_tried_again(start_delivery, make_receiver, producer, end_job):
    receiver = make_receiver(410)
    start_delivery()
    webhook = await settled(producer, await end_job(receiver.url))
    assert (webhook.status, webhook.attempts) == (WebhookStatus.GIVEN_UP, 1)


async def test_redirection_is_not_followed(start_delivery, make_receiver, producer, end_job):
    inside = make_receiver()
    receiver = make_receiver(307, location=inside.url)
    start_delivery(webhook_attempts=2)
    webhook = await settled(producer, await end_job(receiver.url))
    assert webhook.status is WebhookStatus.GIVEN_UP
    assert webhook.error == "The receiver answered 307; redirections are not followed."
    assert (len(receiver.calls), inside.calls) == (2, [])


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["93.184.215.14", "127.0.0.1"], ["::ffff:127.0.0.1"]])
async def test_name_that_comes_to_mean_a_private_address_is_not_called(
    start_delivery, receiver, producer, end_job, addresses
):
    async def rebound(host, port):
        return addresses

    start_delivery(resolver=rebound, webhook_private_addresses=False, webhook_attempts=1)
    webhook = await settled(producer, await end_job(f"http://hooks.example.com:{receiver.port}/hook"))
    assert webhook.status is WebhookStatus.GIVEN_UP
    assert "an address that is not public" in webhook.error
    assert not any(address in webhook.error for address in addresses)
    assert receiver.calls == []


async def test_connection_goes_to_the_address_that_was_checked_and_the_name_is_asked_once(
    start_delivery, receiver, producer, end_job
):
    asked = []

    async def resolver(host, port):
        asked.append((host, port))
        return ["127.0.0.1"]

    start_delivery(resolver=resolver)
    host = f"hooks.example.com:{receiver.port}"
    webhook = await settled(producer, await end_job(f"http://{host}/hook"))
    assert (webhook.status, asked) == (WebhookStatus.DELIVERED, [("hooks.example.com", receiver.port)])
    assert receiver.calls[0].headers["host"] == host


async def test_every_address_is_tried_until_one_answers(start_delivery, receiver, producer, end_job):
    async def resolver(host, port):
        return ["127.0.0.2", "127.0.0.1"]

    start_delivery(resolver=resolver)
    webhook = await settled(producer, await end_job(f"http://hooks.example.com:{receiver.port}/"))
    assert (webhook.status, webhook.attempts) == (WebhookStatus.DELIVERED, 1)


async def test_url_is_checked_again_when_it_is_called(start_delivery, receiver, producer, end_job):
    start_delivery(webhook_allowed_hosts="example.com", webhook_attempts=1)
    webhook = await settled(producer, await end_job(receiver.url))
    assert webhook.error.startswith("Not sent: webhook names a host that is not allowed")
    assert receiver.calls == []


async def test_proxies_of_the_environment_are_not_used(
    start_delivery, receiver, producer, end_job, monkeypatch
):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    start_delivery()
    assert (await settled(producer, await end_job(receiver.url))).status is WebhookStatus.DELIVERED


async def test_receiver_that_sends_byte_after_byte_has_no_more_time_than_others(
    start_delivery, producer, end_job
):
    """A limit for each read alone would let it hold a connection for ever."""
    ending = threading.Event()

    def drip(server):
        with contextlib.suppress(OSError):
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                while not ending.wait(0.05):
                    connection.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server,))
        thread.start()
        start_delivery(webhook_timeout_seconds=1.0, webhook_attempts=1)
        webhook = await settled(producer, await end_job(f"http://127.0.0.1:{server.getsockname()[1]}/"))
        ending.set()
        server.shutdown(socket.SHUT_RDWR)  # on a loaded machine the time may be up before the call came
        thread.join()
    assert webhook.status is WebhookStatus.GIVEN_UP
    assert webhook.error == "The receiver did not answer within 1 s."


async def test_answer_of_any_length_is_an_answer(start_delivery, producer, end_job):
    def serve(server):
        connection, _ = server.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            while True:
                connection.sendall(b"x" * 65536)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        start_delivery()
        webhook = await settled(producer, await end_job(f"http://127.0.0.1:{server.getsockname()[1]}/"))
        thread.join(60)
        assert not thread.is_alive()  # it was hung up on
    assert webhook.status is WebhookStatus.DELIVERED


async def test_receivers_that_do_not_answer_do_not_keep_others_waiting(
    start_delivery, make_receiver, producer, end_job
):
    hanging, quick = make_receiver(), make_receiver()
    slow_url = hanging.url.replace("/hook", "/slow")
    hung = [await end_job(slow_url) for _ in range(3 * MOST_UNDER_WAY)]
    quick_job = await end_job(quick.url)
    delivery = start_delivery(webhook_timeout_seconds=0.5)
    assert (await settled(producer, quick_job)).status is WebhookStatus.DELIVERED
    webhooks = [(await producer.read(job_id)).webhook for job_id in hung]
    assert {webhook.status for webhook in webhooks} == {WebhookStatus.PENDING}
    assert sum(webhook.attempts for webhook in webhooks) < 2 * MOST_UNDER_WAY
    wait_until(lambda: delivery.open_circuits == 1, what="the circuit of the receiver that hangs")


async def test_receiver_is_called_again_where_redis_went_away_before_a_call(
    start_delivery, receiver, producer, end_job, monkeypatch
):
    """The call was the one that decides whether the receiver answers again."""
    read_jobs, reads = WebhookOutbox.read_jobs, []

    def read_and_fail_once(outbox, entries):
        reads.append(entries)
        if len(reads) == 2:
            receiver.release.set()
            raise RedisUnavailableError("It is away.")
        return read_jobs(outbox, entries)

    monkeypatch.setattr(WebhookOutbox, "read_jobs", read_and_fail_once)
    monkeypatch.setattr(webhook_delivery, "LEASE_SLACK_SECONDS", 0.2)
    job_id = await end_job(receiver.url.replace("/hook", "/slow"))
    start_delivery(webhook_timeout_seconds=1)
    assert (await settled(producer, job_id)).status is WebhookStatus.DELIVERED


async def test_delivery_is_stored_after_redis_was_away(own_redis_server, receiver):
    settings = Settings(
        redis_url=own_redis_server.url,
        webhook_secret=SECRET,
        webhook_private_addresses=True,
    )
    producer, consumer = Producer.from_settings(settings), Consumer(settings, "worker-1", ["iris"])
    delivery = WebhookDelivery(settings, UrlPolicy.for_webhooks(settings), Outage())
    try:
        url = receiver.url.replace("/hook", "/slow")
        job_id = await producer.submit(Submission("iris", DATA, webhook=url))
        consumer.finish([Outcome(job, result=b"{}") for job in consumer.claim(1)])
        delivery.start()
        wait_until(lambda: receiver.calls, what="the delivery")
        own_redis_server.kill()
        receiver.release.set()
        own_redis_server.start()
        webhook = await settled(producer, job_id)
    finally:
        delivery.stop()
        consumer.close()
        await producer.close()
    assert (webhook.status, len(receiver.calls)) == (WebhookStatus.DELIVERED, 1)
