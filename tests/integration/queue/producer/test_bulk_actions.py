"""What is done with all jobs that a filter finds."""

import pytest

from inferq.errors import ErrorKind, InvalidInputError
from inferq.jobs import Outcome, Status
from inferq.queue import JobAction, JobFilter
from inferq.queue.producer import bulk_actions as module
from inferq.queue.producer.producer import Producer
from inferq.queue.producer.submission import Submission

DATA = b"[[5.1,3.5,1.4,0.2]]"
ANY = JobFilter()


@pytest.fixture
async def jobs(producer, consumer):
    """Two jobs in each state, one of which is another key's."""
    ids = {}
    for status in (Status.COMPLETED, Status.FAILED, Status.PROCESSING, Status.PENDING):
        ids[status] = [
            await producer.submit(Submission("iris", DATA, owner=owner)) for owner in ("ann", "ben")
        ]
        if status is not Status.PENDING:
            claimed = consumer.claim(2)
            if status is Status.COMPLETED:
                consumer.finish([Outcome(job, result=b"1") for job in claimed])
            elif status is Status.FAILED:
                consumer.finish([Outcome(job, error=InvalidInputError("No.")) for job in claimed])
    return ids


async def read_statuses(producer, ids):
    return [job and job.status for job in await producer.read_many(ids)]


async def act(producer, action, **query):
    return await producer.act_on_jobs(JobAction(action), ["iris"], **{"only": ANY} | query)


@pytest.mark.parametrize(
    ("action", "concerned", "becomes"),
    [
        ("retry", [Status.FAILED], Status.PENDING),
        ("cancel", [Status.PENDING, Status.PROCESSING], Status.FAILED),
        ("delete", [Status.COMPLETED, Status.FAILED], None),
    ],
)
async def test_action_changes_the_jobs_that_it_is_for_and_no_others(
    producer, jobs, action, concerned, becomes
):
    everything = [one for ids in jobs.values() for one in ids]
    before = await read_statuses(producer, everything)
    counted = await act(producer, action, is_dry_run=True)
    assert (counted.matched, counted.changed) == (2 * len(concerned), 0)
    assert await read_statuses(producer, everything) == before

    report = await act(producer, action, owner="ann")
    assert (report.matched, report.changed, report.skipped, report.last) == (
        len(concerned),
        len(concerned),
        {},
        None,
    )
    for status, (anns, bens) in jobs.items():
        changed, kept = await read_statuses(producer, [anns, bens])
        assert kept is status
        assert changed is (becomes if status in concerned else status)

    report = await act(producer, action, only=JobFilter(id_prefix=jobs[concerned[0]][1]))
    assert report.changed == 1
    assert (await act(producer, action, status=concerned[0], only=JobFilter(owner="ann"))).changed <= 1


async def test_job_of_a_whole_id_is_found_however_many_others_there_are(producer, jobs, monkeypatch):
    monkeypatch.setattr(module, "MOST_SCANNED", 0)
    only = JobFilter(id_prefix=jobs[Status.FAILED][0])
    assert (await act(producer, "delete", only=only, owner="ben")).matched == 0
    report = await act(producer, "delete", only=only, is_dry_run=True)
    assert (report.matched, report.changed, report.last) == (1, 0, None)
    assert (await act(producer, "delete", only=only)).changed == 1
    assert await producer.read_many(jobs[Status.FAILED][:1]) == [None]
    assert (await act(producer, "delete", only=JobFilter(id_prefix=jobs[Status.PENDING][0]))).matched == 0


async def test_calls_go_on_until_all_are_changed(producer, consumer, monkeypatch):
    monkeypatch.setattr(module, "MOST_CHANGED", 5)
    monkeypatch.setattr(module, "_SCANNED_AT_ONCE", 3)
    await producer.submit_batch([Submission("iris", DATA) for _ in range(20)])
    consumer.finish([Outcome(job, error=InvalidInputError("No.")) for job in consumer.claim(20)])
    after, calls, changed = None, 0, 0
    while calls == 0 or after is not None:
        report = await act(producer, "retry", after=after)
        assert report.changed == report.matched <= 7
        after, calls, changed = report.last, calls + 1, changed + report.changed
    assert (changed, calls) == (20, 4)
    assert (await act(producer, "retry")).matched == 0  # to repeat it does no harm


async def test_count_ends_after_so_many_entries_and_goes_on(producer, monkeypatch):
    monkeypatch.setattr(module, "MOST_SCANNED", 10)
    monkeypatch.setattr(module, "_SCANNED_AT_ONCE", 5)
    await producer.submit_batch([Submission("iris", DATA) for _ in range(12)])
    first = await act(producer, "cancel", is_dry_run=True)
    rest = await act(producer, "cancel", is_dry_run=True, after=first.last)
    assert (first.matched, rest.matched, rest.last) == (10, 2, None)


async def test_jobs_with_which_it_cannot_be_done_are_skipped_with_the_reason(
    settings, producer, consumer, redis_client
):
    ids = await producer.submit_batch([Submission("iris", DATA) for _ in range(4)])
    consumer.finish([Outcome(job, error=InvalidInputError("No.")) for job in consumer.claim(4)])
    redis_client.delete(f"job:{ids[0]}:data")
    full = Producer.from_settings(settings.model_copy(update={"max_queued": 2}))
    report = await act(full, "retry")
    await full.close()
    assert (report.matched, report.changed, report.skipped.total()) == (4, 2, 2)
    assert report.skipped == {ErrorKind.QUEUE_FULL: 1, ErrorKind.JOB_STATE: 1}


@pytest.mark.parametrize(
    ("action", "query"),
    [
        ("retry", {"status": Status.PENDING}),
        ("cancel", {"status": Status.FAILED}),
        ("delete", {"status": Status.PROCESSING}),
        ("cancel", {"only": JobFilter(error="No")}),
    ],
)
async def test_action_on_jobs_that_it_is_not_for_is_refused(producer, action, query):
    with pytest.raises(InvalidInputError, match=f"'{action}' is for jobs"):
        await act(producer, action, **query)
