"""How attempts end."""

import pytest

from inferq.errors import ErrorKind, InvalidInputError, ModelError
from inferq.jobs import Outcome, Status
from inferq.provenance import Provenance
from inferq.queue.consumer.consumer import Consumer
from inferq.queue.producer.submission import Submission
from tests.integration.queue.consumer.claiming import complete
from tests.servers import wait_until

DATA = b"[[5.1,3.5,1.4,0.2]]"


async def test_finish_repeated_changes_nothing(producer, consumer):
    await producer.submit(Submission("iris", DATA))
    [job] = consumer.claim(1)

    assert complete(consumer, job) == ["completed"]
    assert complete(consumer, job, b'{"prediction":2}') == ["stale"]
    assert (await producer.read(job.id)).result == b'{"prediction":0}'


async def test_bad_input_fails_at_once_with_its_message(producer, consumer):
    job_id = await producer.submit(Submission("iris", DATA))
    [job] = consumer.claim(1)

    assert consumer.finish([Outcome(job, error=InvalidInputError("Expected 4 features, got 3."))]) == [
        "failed"
    ]

    failed = await producer.read(job_id)
    assert (failed.status, failed.error) == (Status.FAILED, "Expected 4 features, got 3.")
    assert failed.error_kind is ErrorKind.INVALID_INPUT


@pytest.mark.parametrize("text", ["a lone \ud800", "\x00", "x" * 100_000])
async def test_whatever_an_error_says_is_stored_and_bounded(producer, consumer, text):
    job_id = await producer.submit(Submission("iris", DATA))
    assert consumer.finish([Outcome(consumer.claim(1)[0], error=InvalidInputError(text))]) == ["failed"]
    stored = (await producer.read(job_id)).error
    assert stored[:20] == text[:20].encode("utf-8", "backslashreplace").decode()
    assert len(stored) < 4100


async def test_model_error_is_retried_and_fails_after_the_last_attempt(producer, consumer):
    job_id = await producer.submit(Submission("iris", DATA))
    verdicts = []
    for _ in range(3):
        [job] = wait_until(lambda: (consumer.recover(), consumer.claim(1))[1], what="the retry")
        verdicts += consumer.finish([Outcome(job, error=ModelError("It broke."))])

    assert verdicts == ["retrying", "retrying", "failed"]
    failed = await producer.read(job_id)
    assert (failed.attempts, failed.error) == (3, "It broke. (after 3 attempts)")


async def test_released_job_is_next_again_and_not_charged(producer, consumer):
    first = await producer.submit(Submission("iris", DATA))
    await producer.submit(Submission("iris", DATA))
    jobs = consumer.claim(1)

    assert consumer.requeue(jobs) == ["requeued"]

    assert (await producer.read(first)).status is Status.PENDING
    [again] = consumer.claim(1)
    assert (again.id, again.attempt) == (first, 1)


async def test_first_success_counts_even_when_the_lease_has_passed_on(settings, producer):
    short = settings.model_copy(update={"lease_seconds": 0.1})
    consumer = Consumer(short, "slow", ["iris"])
    job_id = await producer.submit(Submission("iris", DATA))
    [job] = consumer.claim(1)
    wait_until(lambda: consumer.recover().lapsed, what="the lapsed lease")

    assert complete(consumer, job) == ["late"]
    assert (await producer.read(job_id)).status is Status.COMPLETED
    assert consumer.claim(1) == []
    consumer.close()


FIRST, SECOND = Provenance("1", "0a1b", "onnxruntime-1.32.0", "CPU"), Provenance("2", "5f4e")


@pytest.mark.parametrize("webhook", [None, "https://example.com"])
async def test_job_tells_what_it_ran_with_where_that_is_not_what_its_claim_said(settings, producer, webhook):
    consumer = Consumer(settings, "worker-1", ["iris"], {"iris": str(FIRST)})
    for _ in range(3):
        await producer.submit(Submission("iris", DATA, webhook=webhook))
    as_claimed, differs, same = consumer.claim(3)

    outcomes = [
        Outcome(as_claimed, result=b"1"),
        Outcome(differs, result=b"1", made_by=str(SECOND)),
        Outcome(same, result=b"1", made_by=str(FIRST)),
    ]
    assert consumer.finish(outcomes) == ["completed"] * 3

    found = [(await producer.read(job.id)).made_by for job in (as_claimed, differs, same)]
    assert found == [FIRST, SECOND, FIRST]
    assert (await producer.read_stats()).models["iris"].running == 0
    consumer.close()


async def test_failed_attempt_tells_what_it_ran_with(producer, consumer):
    job_id = await producer.submit(Submission("iris", DATA))
    [job] = consumer.claim(1)
    assert consumer.finish([Outcome(job, error=ModelError("No."), made_by=str(SECOND))]) == ["retrying"]
    assert (await producer.read(job_id)).made_by == SECOND


async def test_late_success_tells_what_it_ran_with_and_not_what_others_claimed_since(settings, producer):
    short = settings.model_copy(update={"lease_seconds": 0.1})
    slow = Consumer(short, "slow", ["iris"], {"iris": str(FIRST)})
    other = Consumer(settings, "other", ["iris"], {"iris": str(SECOND)})
    job_id = await producer.submit(Submission("iris", DATA))
    [job] = slow.claim(1)
    wait_until(lambda: slow.recover().lapsed, what="the lapsed lease")
    wait_until(lambda: (other.recover(), other.claim(1))[1], what="the second claim")
    assert (await producer.read(job_id)).made_by == SECOND

    assert complete(slow, job) == ["late"]
    assert (await producer.read(job_id)).made_by == FIRST
    slow.close()
    other.close()
