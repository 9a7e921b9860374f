"""Listings of those jobs alone that have something in common."""

from datetime import timedelta

import pytest

from inferq.errors import ErrorKind, InvalidInputError, ModelError
from inferq.jobs import Outcome, Status
from inferq.queue import JobFilter
from inferq.queue.inspection import listing as module
from inferq.queue.producer.submission import Submission

DATA = b"[[5.1,3.5,1.4,0.2]]"
ERRORS = [InvalidInputError("No such COLUMN: 17%."), ModelError("Grün, 犬.")]


async def list_all(producer, models=("iris", "other"), **query):
    found, after = [], None
    while True:
        page = await producer.listing.read_page(models, after=after, **query)
        found += page.jobs
        after = page.last
        if after is None:
            assert len({job.id for job in found}) == len(found)
            return found


@pytest.fixture
async def jobs(producer, consumer):
    """Jobs in all states, of two owners and of none."""
    for owner in ("ann", "ben", ""):
        await producer.submit_batch([Submission("iris", DATA, owner=owner) for _ in range(6)])
        await producer.submit(Submission("other", DATA, owner=owner))
        one, two, done, _running = consumer.claim(4)
        failures = [Outcome(job, error=error) for job, error in zip((one, two), ERRORS, strict=True)]
        consumer.finish([*failures, Outcome(done, result=b"1")])
        await producer.cancel(two.id)  # it waited for another try
    return await list_all(producer)


def make_filters(jobs):
    moments = sorted({job.finished_at or job.submitted_at for job in jobs})
    middle = moments[len(moments) // 2]
    return [
        JobFilter(owner="ann"),
        JobFilter(owner=""),
        JobFilter(owner="an"),
        JobFilter(error_kind=ErrorKind.INVALID_INPUT),
        JobFilter(error_kind=ErrorKind.CANCELLED, owner="ben"),
        JobFilter(error_kind=ErrorKind.CRASHED),
        JobFilter(error="no such column"),
        JobFilter(error="17%."),
        JobFilter(error="%d"),
        JobFilter(id_prefix=jobs[0].id[:2]),
        JobFilter(id_prefix=jobs[0].id),
        JobFilter(id_prefix="nosuch"),
        JobFilter(since=middle),
        JobFilter(until=middle),
        JobFilter(since=middle, until=middle),
        JobFilter(since=middle + timedelta(days=1)),
        JobFilter(owner="ann", error="COLUMN", error_kind=ErrorKind.INVALID_INPUT, since=moments[0]),
    ]


@pytest.mark.parametrize("status", [None, *Status])
async def test_listing_holds_exactly_the_jobs_that_fit(producer, jobs, status):
    assert len(jobs) == 21
    expected_of_all = 0
    for only in make_filters(jobs):
        expected = [job.id for job in jobs if only.fits(job) and status in (None, job.status)]
        found = await list_all(producer, status=status, only=only, limit=2)
        assert [job.id for job in found] == expected, only
        expected_of_all += len(expected)
    assert expected_of_all


async def test_key_finds_its_own_jobs_and_those_without_an_owner(producer, jobs):
    [one, *_] = [job for job in jobs if job.owner == "ben"]
    for only in (JobFilter(id_prefix=one.id), JobFilter(owner="ben"), JobFilter(error="column")):
        found = await list_all(producer, only=only, owner="ann")
        expected = [job.id for job in jobs if only.fits(job) and job.is_readable_by("ann")]
        assert [job.id for job in found] == expected


async def test_page_without_a_fitting_job_ends_early_and_the_next_one_goes_on(
    producer, consumer, monkeypatch
):
    monkeypatch.setattr(module, "MOST_SCANNED", 40)
    monkeypatch.setattr(module, "SCANNED_AT_ONCE", 20)
    wanted = await producer.submit(Submission("iris", DATA, owner="ann"))
    await producer.submit_batch([Submission("iris", DATA) for _ in range(200)])
    only = JobFilter(owner="ann")
    first = await producer.listing.read_page(["iris"], only=only, limit=5)
    assert (first.jobs, first.last is None) == ([], False)
    assert [job.id for job in await list_all(producer, ["iris"], only=only, limit=5)] == [wanted]


async def test_failed_jobs_among_many_are_found_without_reading_the_others(producer, consumer, redis_client):
    await producer.submit_batch([Submission("iris", DATA) for _ in range(3000)])
    claimed = consumer.claim(3000)
    error = InvalidInputError("No.")
    consumer.finish([Outcome(job, error=error) for job in claimed[:12]])
    consumer.finish([Outcome(job, result=b"1") for job in claimed[12:]])
    for query in ({"status": Status.FAILED}, {"only": JobFilter(error="no")}):
        redis_client.config_resetstat()
        page = await producer.listing.read_page(["iris"], **query)
        assert (len(page.jobs), page.last) == (12, None)
        assert redis_client.info("commandstats")["cmdstat_evalsha"]["calls"] == 2  # to find, and to read


async def test_filter_of_bytes_that_are_no_text_finds_a_job_from_outside(producer, consumer, redis_client):
    job_id = b"job-\xff\x00"
    redis_client.set(b"job:" + job_id + b":data", DATA)
    redis_client.lpush("queue:iris", job_id)
    consumer.claim(1)
    name = job_id.decode("utf-8", "surrogateescape")
    found = await list_all(producer, only=JobFilter(id_prefix=name[:5]))
    assert [job.id for job in found] == [name]
