import pytest

from inferq.jobs import Outcome, WebhookStatus
from inferq.queue.producer.submission import Submission
from inferq.queue.webhook_outbox import DeliveryOutcome, DeliveryVerdict, WebhookOutbox
from tests.records import change_record

DATA = b"[[5.1,3.5,1.4,0.2]]"
URL = "https://example.com/hook?key=1"


@pytest.fixture
def outbox(settings):
    outbox = WebhookOutbox(settings)
    yield outbox
    outbox.close()


@pytest.fixture
async def ended(producer, consumer):
    """An ended job whose end is to be reported."""
    job_id = await producer.submit(Submission("iris", DATA, webhook=URL))
    consumer.finish([Outcome(job, result=b"{}") for job in consumer.claim(1)])
    return job_id


async def webhook_of(producer, job_id):
    return (await producer.read(job_id)).webhook


async def test_entry_is_leased_to_one_worker_until_its_lease_ends(outbox, ended, redis_client):
    [entry], expired = outbox.lease(10, 60)
    assert (entry.job_id, entry.url, entry.attempts, expired) == (ended, URL, 0, [])
    assert outbox.lease(10, 60) == ([], [])
    redis_client.zadd("webhooks", {ended: 1})  # the lease has ended
    [again], _ = outbox.lease(10, 61)  # of another length, as both may be handed out in one millisecond
    assert (again.id, again.ended_ms) == (entry.id, entry.ended_ms)
    assert again.due_ms > entry.due_ms
    [job] = outbox.read_jobs([again])
    assert job.result == b"{}"


async def test_lease_brings_at_most_its_limit(outbox, producer, consumer):
    await producer.submit(Submission("iris", DATA))
    for _ in range(5):
        await producer.submit(Submission("iris", DATA, webhook=URL))
    consumer.finish([Outcome(job, result=b"{}") for job in consumer.claim(9)])
    assert [len(outbox.lease(2, 60)[0]) for _ in range(4)] == [2, 2, 1, 0]


async def test_progress_of_a_delivery_is_seen_at_the_job(outbox, producer, consumer, redis_client):
    job_id = await producer.submit(Submission("iris", DATA, webhook=URL))
    before = await webhook_of(producer, job_id)
    assert (before.url, before.status, before.attempts) == (URL, WebhookStatus.WAITING, 0)
    consumer.finish([Outcome(job, result=b"{}") for job in consumer.claim(1)])
    assert (await webhook_of(producer, job_id)).status is WebhookStatus.PENDING

    [entry], _ = outbox.lease(1, 60)
    assert outbox.ack([DeliveryOutcome(entry, DeliveryVerdict.AGAIN, "The receiver answered 500.", 0)]) == [
        "again"
    ]
    failed = await webhook_of(producer, job_id)
    assert (failed.status, failed.attempts) == (WebhookStatus.PENDING, 1)
    assert failed.error == "The receiver answered 500."
    assert failed.last_attempt_at is not None

    [entry], _ = outbox.lease(1, 60)
    assert entry.attempts == 1
    assert outbox.ack([DeliveryOutcome(entry, DeliveryVerdict.DELIVERED)]) == ["delivered"]
    done = await webhook_of(producer, job_id)
    assert (done.status, done.attempts, done.error) == (WebhookStatus.DELIVERED, 2, None)
    assert redis_client.zcard("webhooks") == 0


async def test_ack_repeated_changes_nothing(outbox, ended, producer, redis_client):
    [entry], _ = outbox.lease(1, 60)
    given_up = DeliveryOutcome(entry, DeliveryVerdict.GIVEN_UP, "The receiver answered 410.")
    assert [outbox.ack([given_up]) for _ in range(2)] == [["given-up"], ["stale"]]
    webhook = await webhook_of(producer, ended)
    assert (webhook.status, webhook.attempts) == (WebhookStatus.GIVEN_UP, 1)
    assert redis_client.zcard("webhooks") == 0


async def test_whatever_a_receiver_made_go_wrong_is_stored(outbox, ended):
    [entry], _ = outbox.lease(1, 60)
    assert outbox.ack([DeliveryOutcome(entry, DeliveryVerdict.GIVEN_UP, "a lone \ud800")]) == ["given-up"]


async def test_deferred_delivery_counts_no_attempt(outbox, ended, producer):
    [entry], _ = outbox.lease(1, 60)
    assert outbox.ack([DeliveryOutcome(entry, DeliveryVerdict.DEFERRED, delay_seconds=0)]) == ["deferred"]
    assert (await webhook_of(producer, ended)).attempts == 0
    [again], _ = outbox.lease(1, 60)
    assert again.attempts == 0


async def test_worker_that_lost_its_lease_can_only_tell_of_success(outbox, ended, producer, redis_client):
    [lost], _ = outbox.lease(1, 60)
    redis_client.zadd("webhooks", {ended: 1})
    [held], _ = outbox.lease(1, 61)  # of another length, as both may be handed out in one millisecond
    for verdict in (DeliveryVerdict.AGAIN, DeliveryVerdict.GIVEN_UP, DeliveryVerdict.DEFERRED):
        assert outbox.ack([DeliveryOutcome(lost, verdict, "No.")]) == ["stale"]
    assert outbox.ack([DeliveryOutcome(lost, DeliveryVerdict.DELIVERED)]) == ["delivered"]
    assert outbox.ack([DeliveryOutcome(held, DeliveryVerdict.GIVEN_UP, "No.")]) == ["stale"]
    assert (await webhook_of(producer, ended)).status is WebhookStatus.DELIVERED


async def test_entry_of_a_job_that_has_expired_is_removed_and_nothing_comes_back(outbox, ended, redis_client):
    [entry], _ = outbox.lease(1, 60)
    for key in redis_client.keys(f"job:{ended}:*"):
        redis_client.delete(key)
    for verdict in DeliveryVerdict:
        assert outbox.ack([DeliveryOutcome(entry, verdict, "No.")]) == ["stale"]
    redis_client.zadd("webhooks", {ended: 1, "nosuch": 1, b"\xff:": 1})  # all are due
    redis_client.hset("jobs:records", "nosuch", "no record")
    assert sorted(outbox.lease(10, 60).expired) == sorted([ended, "nosuch", "\ufffd:"])
    assert redis_client.keys("*webhooks*") == redis_client.keys(f"job:{ended}:*") == []


async def test_job_that_is_run_again_is_reported_again(outbox, producer, redis_client):
    job_id = await producer.submit(Submission("iris", DATA, webhook=URL))
    await producer.cancel(job_id)
    [first], _ = outbox.lease(1, 60)
    outbox.ack([DeliveryOutcome(first, DeliveryVerdict.GIVEN_UP, "No.")])
    await producer.retry(job_id)

    webhook = await webhook_of(producer, job_id)
    assert (webhook.status, webhook.attempts, webhook.error) == (WebhookStatus.WAITING, 0, None)
    assert outbox.ack([DeliveryOutcome(first, DeliveryVerdict.DELIVERED)]) == ["stale"]
    change_record(redis_client, job_id, submitted_ms=1)
    await producer.cancel(job_id)
    [second], _ = outbox.lease(1, 60)
    assert (second.id, second.attempts) == (first.id, 0)
    assert second.ended_ms >= first.ended_ms


async def test_job_retried_while_its_entry_waits_is_not_reported_before_it_ends(outbox, producer):
    job_id = await producer.submit(Submission("iris", DATA, webhook=URL))
    await producer.cancel(job_id)
    await producer.retry(job_id)
    assert outbox.lease(1, 60) == ([], [])


async def test_large_result_is_read(outbox, producer, consumer):
    large = b'"%b"' % (b"x" * 100_000)
    await producer.submit(Submission("iris", DATA, webhook=URL))
    consumer.finish([Outcome(job, result=large) for job in consumer.claim(1)])
    [job] = outbox.read_jobs(outbox.lease(1, 60)[0])
    assert job.result == large


async def test_outbox_works_after_the_server_forgot_its_scripts(outbox, ended, redis_client):
    redis_client.script_flush()
    [entry], _ = outbox.lease(1, 60)
    redis_client.script_flush()
    assert outbox.ack([DeliveryOutcome(entry, DeliveryVerdict.DELIVERED)]) == ["delivered"]
