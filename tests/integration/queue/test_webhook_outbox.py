import pytest

from inferq.jobs import Outcome, WebhookStatus
from inferq.queue.webhook_outbox import DeliveryOutcome, DeliveryVerdict, WebhookOutbox
from tests.records import change_record

DATA = b"[[5.1,3.5,1.4,0.2]]"
URL = "https://example.com/hook?key=1"


@pytest.fixture
def reports(settings):
    reports = WebhookOutbox(settings)
    yield reports
    reports.close()


@pytest.fixture
async def ended(producer, consumer):
    """An ended job whose end is to be reported."""
    job_id = await producer.submit("iris", DATA, webhook=URL)
    consumer.finish([Outcome(job, result=b"{}") for job in consumer.claim(1)])
    return job_id


async def webhook_of(producer, job_id):
    return (await producer.read(job_id)).webhook


async def test_report_is_handed_out_to_one_worker_until_its_lease_ends(reports, ended, redis_client):
    [report], dropped = reports.take(10, 60)
    assert (report.job_id, report.url, report.attempts, dropped) == (ended, URL, 0, 0)
    assert reports.take(10, 60) == ([], 0)
    redis_client.zadd("webhooks", {ended: 1})  # the lease has ended
    [again], _ = reports.take(10, 61)  # of another length, as both may be handed out in one millisecond
    assert (again.id, again.ended_ms) == (report.id, report.ended_ms)
    assert again.due_ms > report.due_ms
    [job] = reports.read([again])
    assert job.result == b"{}"


async def test_most_reports_of_one_call_are_bounded(reports, producer, consumer):
    await producer.submit("iris", DATA)
    for _ in range(5):
        await producer.submit("iris", DATA, webhook=URL)
    consumer.finish([Outcome(job, result=b"{}") for job in consumer.claim(9)])
    assert [len(reports.take(2, 60)[0]) for _ in range(4)] == [2, 2, 1, 0]


async def test_progress_of_a_report_is_seen_at_the_job(reports, producer, consumer, redis_client):
    job_id = await producer.submit("iris", DATA, webhook=URL)
    before = await webhook_of(producer, job_id)
    assert (before.url, before.status, before.attempts) == (URL, WebhookStatus.WAITING, 0)
    consumer.finish([Outcome(job, result=b"{}") for job in consumer.claim(1)])
    assert (await webhook_of(producer, job_id)).status is WebhookStatus.PENDING

    [report], _ = reports.take(1, 60)
    assert reports.settle(
        [DeliveryOutcome(report, DeliveryVerdict.AGAIN, "The receiver answered 500.", 0)]
    ) == ["again"]
    failed = await webhook_of(producer, job_id)
    assert (failed.status, failed.attempts) == (WebhookStatus.PENDING, 1)
    assert failed.error == "The receiver answered 500."
    assert failed.last_attempt_at is not None

    [report], _ = reports.take(1, 60)
    assert report.attempts == 1
    assert reports.settle([DeliveryOutcome(report, DeliveryVerdict.DELIVERED)]) == ["delivered"]
    done = await webhook_of(producer, job_id)
    assert (done.status, done.attempts, done.error) == (WebhookStatus.DELIVERED, 2, None)
    assert redis_client.zcard("webhooks") == 0


async def test_settling_twice_is_settling_once(reports, ended, producer, redis_client):
    [report], _ = reports.take(1, 60)
    given_up = DeliveryOutcome(report, DeliveryVerdict.GIVEN_UP, "The receiver answered 410.")
    assert [reports.settle([given_up]) for _ in range(2)] == [["given-up"], ["stale"]]
    webhook = await webhook_of(producer, ended)
    assert (webhook.status, webhook.attempts) == (WebhookStatus.GIVEN_UP, 1)
    assert redis_client.zcard("webhooks") == 0


async def test_whatever_a_receiver_made_go_wrong_is_stored(reports, ended):
    [report], _ = reports.take(1, 60)
    assert reports.settle([DeliveryOutcome(report, DeliveryVerdict.GIVEN_UP, "a lone \ud800")]) == [
        "given-up"
    ]


async def test_deferred_report_counts_no_attempt(reports, ended, producer):
    [report], _ = reports.take(1, 60)
    assert reports.settle([DeliveryOutcome(report, DeliveryVerdict.DEFERRED, delay_seconds=0)]) == [
        "deferred"
    ]
    assert (await webhook_of(producer, ended)).attempts == 0
    [again], _ = reports.take(1, 60)
    assert again.attempts == 0


async def test_worker_that_lost_its_lease_can_only_tell_of_success(reports, ended, producer, redis_client):
    [lost], _ = reports.take(1, 60)
    redis_client.zadd("webhooks", {ended: 1})
    [held], _ = reports.take(1, 61)  # of another length, as both may be handed out in one millisecond
    for verdict in (DeliveryVerdict.AGAIN, DeliveryVerdict.GIVEN_UP, DeliveryVerdict.DEFERRED):
        assert reports.settle([DeliveryOutcome(lost, verdict, "No.")]) == ["stale"]
    assert reports.settle([DeliveryOutcome(lost, DeliveryVerdict.DELIVERED)]) == ["delivered"]
    assert reports.settle([DeliveryOutcome(held, DeliveryVerdict.GIVEN_UP, "No.")]) == ["stale"]
    assert (await webhook_of(producer, ended)).status is WebhookStatus.DELIVERED


async def test_report_of_a_job_that_has_expired_is_dropped_and_nothing_comes_back(
    reports, ended, redis_client
):
    [report], _ = reports.take(1, 60)
    for key in redis_client.keys(f"job:{ended}:*"):
        redis_client.delete(key)
    for verdict in DeliveryVerdict:
        assert reports.settle([DeliveryOutcome(report, verdict, "No.")]) == ["stale"]
    redis_client.zadd("webhooks", {ended: 1, "nosuch": 1, b"\xff:": 1})  # all are due
    redis_client.hset("jobs:records", "nosuch", "no record")
    assert reports.take(10, 60)[1] == 3
    assert redis_client.keys("*webhooks*") == redis_client.keys(f"job:{ended}:*") == []


async def test_job_that_is_run_again_is_reported_again(reports, producer, redis_client):
    job_id = await producer.submit("iris", DATA, webhook=URL)
    await producer.cancel(job_id)
    [first], _ = reports.take(1, 60)
    reports.settle([DeliveryOutcome(first, DeliveryVerdict.GIVEN_UP, "No.")])
    await producer.revive(job_id)

    webhook = await webhook_of(producer, job_id)
    assert (webhook.status, webhook.attempts, webhook.error) == (WebhookStatus.WAITING, 0, None)
    assert reports.settle([DeliveryOutcome(first, DeliveryVerdict.DELIVERED)]) == ["stale"]
    change_record(redis_client, job_id, submitted_ms=1)
    await producer.cancel(job_id)
    [second], _ = reports.take(1, 60)
    assert (second.id, second.attempts) == (first.id, 0)
    assert second.ended_ms >= first.ended_ms


async def test_job_revived_while_its_report_waits_is_not_reported_before_it_ends(reports, producer):
    job_id = await producer.submit("iris", DATA, webhook=URL)
    await producer.cancel(job_id)
    await producer.revive(job_id)
    assert reports.take(1, 60) == ([], 0)


async def test_large_result_is_read(reports, producer, consumer):
    large = b'"%b"' % (b"x" * 100_000)
    await producer.submit("iris", DATA, webhook=URL)
    consumer.finish([Outcome(job, result=large) for job in consumer.claim(1)])
    [job] = reports.read(reports.take(1, 60)[0])
    assert job.result == large


async def test_reports_work_after_the_server_forgot_its_scripts(reports, ended, redis_client):
    redis_client.script_flush()
    [report], _ = reports.take(1, 60)
    redis_client.script_flush()
    assert reports.settle([DeliveryOutcome(report, DeliveryVerdict.DELIVERED)]) == ["delivered"]
