"""Jobs page by page: in order, without gap or repeat whatever happens meanwhile, and only the keys' own."""

import pytest

from inferq.errors import InvalidInputError, ModelError
from inferq.jobs import Outcome, Priority, Status
from inferq.queue.inspection import listing as module
from inferq.queue.producer.submission import Submission
from tests.servers import wait_until

DATA = b"[[5.1,3.5,1.4,0.2]]"
ENDS = {Status.COMPLETED: {"result": b"1"}, Status.FAILED: {"error": InvalidInputError("No.")}}


@pytest.fixture
def listing(producer):
    return producer.listing


async def submit(producer, count, **members):
    return await producer.submit_batch([Submission("iris", DATA, **members) for _ in range(count)])


def end(consumer, count, status):
    taken = consumer.claim(count)
    consumer.finish([Outcome(job, **ENDS[status]) for job in taken])
    return [job.id for job in taken]


async def pages(listing, between=lambda: None, models=("iris",), **query):
    """All pages; something may happen between them."""
    found, after = [], None
    while True:
        page = await listing.read_page(models, after=after, **query)
        found.append(page.jobs)
        after = page.last
        if after is None:
            return found
        between()


def ids_of(found):
    return [job.id for jobs in found for job in jobs]


async def test_jobs_that_have_not_ended_come_first_model_by_model_then_the_ended(listing, producer, consumer):
    done = [*(await submit(producer, 2)), *(await submit(producer, 1))]
    for status in (Status.COMPLETED, Status.FAILED, Status.COMPLETED):
        before = (await producer.read(done[0])).submitted_at
        end(consumer, 1, status)
        while before == (await producer.read((await submit(producer, 1, priority=Priority.LOW))[0])):
            pass
    running = await submit(producer, 1, priority=Priority.HIGH)
    consumer.claim(1)
    waiting = await submit(producer, 2)
    other = await producer.submit_batch([Submission("other", DATA)])

    found = (await listing.read_page(["other", "iris"])).jobs

    assert [job.id for job in found][:3] == [*waiting[::-1], *running]
    assert [job.id for job in found if job.model == "other"] == other
    statuses = [job.status for job in found]
    assert statuses == sorted(statuses, key=lambda status: status.is_final)
    ends = [job.finished_at for job in found if job.status.is_final]
    assert ends == sorted(ends, reverse=True)
    assert {job.id for job in found if job.status.is_final} == set(done)


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 7, 25, 100])
@pytest.mark.parametrize("status", [None, *Status])
async def test_listing_ends_where_the_jobs_do(listing, producer, consumer, status, limit):
    await submit(producer, 25)
    for ended in (Status.COMPLETED, Status.FAILED):
        end(consumer, 8, ended)  # many within the same millisecond
    running = consumer.claim(5)
    expected = {None: 25, Status.PENDING: 4, Status.PROCESSING: 5, Status.COMPLETED: 8, Status.FAILED: 8}

    found = await pages(listing, status=status, limit=limit)

    assert len(set(ids_of(found))) == len(ids_of(found)) == expected[status]
    assert [len(jobs) for jobs in found[:-1]] == [limit] * (len(found) - 1)
    assert 0 < len(found[-1]) <= limit
    assert running


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED])
async def test_ended_jobs_are_listed_without_gap_or_repeat_while_others_end(
    listing, producer, consumer, status
):
    await submit(producer, 90)
    there = end(consumer, 40, status)

    found = await pages(listing, lambda: end(consumer, 3, status), status=status, limit=6)

    assert sorted(ids_of(found)) == sorted(there)


async def test_waiting_jobs_are_listed_without_gap_or_repeat_while_they_are_taken_and_others_come(
    listing, producer, consumer
):
    ids = await submit(producer, 60)
    taken = []

    found = await pages(
        listing, lambda: taken.extend(end(consumer, 3, Status.FAILED)), status=Status.PENDING, limit=7
    )

    assert len(set(ids_of(found))) == len(ids_of(found))
    assert set(ids) - set(taken) <= set(ids_of(found)) <= set(ids)


async def test_all_jobs_are_listed_while_they_end_and_those_may_come_again_as_ended(
    listing, producer, consumer
):
    ids = await submit(producer, 80)
    end(consumer, 10, Status.COMPLETED)

    found = await pages(listing, lambda: end(consumer, 4, Status.COMPLETED), limit=9)

    assert set(ids_of(found)) == set(ids)
    seen = [(job.id, job.status) for jobs in found for job in jobs]
    assert len(set(seen)) == len(seen)
    for jobs in found:
        assert len({job.id for job in jobs}) == len(jobs)


async def test_running_jobs_are_listed_without_repeat_while_their_leases_are_renewed(
    listing, producer, consumer
):
    ids = await submit(producer, 9)
    running = consumer.claim(9)

    found = await pages(
        listing, lambda: consumer.renew(dict.fromkeys(running[::2], 60.0)), status=Status.PROCESSING, limit=2
    )

    assert ids_of(found) == ids[::-1]


async def test_page_goes_on_after_a_job_that_is_gone(listing, producer, consumer):
    ids = await submit(producer, 10)
    end(consumer, 10, Status.FAILED)
    first = await listing.read_page(["iris"], status=Status.FAILED, limit=4)
    await producer.delete(first.jobs[-1].id)
    await producer.retry(first.jobs[0].id)

    rest = await listing.read_page(["iris"], status=Status.FAILED, after=first.last, limit=10)

    assert {job.id for job in first.jobs} | {job.id for job in rest.jobs} == set(ids)
    assert len(rest.jobs) == 6


async def test_expired_and_resubmitted_jobs_are_passed_over(listing, producer, consumer, redis_client):
    ids = await submit(producer, 6)
    end(consumer, 6, Status.FAILED)
    redis_client.delete(*redis_client.keys(f"job:{ids[1]}:*"))
    redis_client.set(f"job:{ids[2]}:data", DATA)
    redis_client.set(f"job:{ids[2]}:status", "pending")

    found = await pages(listing, status=Status.FAILED, limit=2)

    assert set(ids_of(found)) == set(ids) - {ids[1], ids[2]}
    assert [len(jobs) for jobs in found] == [2, 2]


async def test_jobs_that_completed_together_are_listed_in_order_of_their_ids(listing, producer, consumer):
    await submit(producer, 12)
    together, later = end(consumer, 7, Status.COMPLETED), end(consumer, 5, Status.COMPLETED)
    found = await pages(listing, limit=2)
    assert [len(jobs) for jobs in found] == [2] * 6
    assert set(ids_of(found)[:5]) <= {*later, *together}  # it may have been the same millisecond
    ended = [(job.finished_at, job.id) for jobs in found for job in jobs]
    assert ended == sorted(ended, reverse=True)
    assert {job_id for _, job_id in ended} == {*together, *later}


async def test_job_that_completed_again_is_listed_once(listing, producer, consumer, redis_client):
    await submit(producer, 1)
    [first] = end(consumer, 1, Status.COMPLETED)
    seconds, microseconds = redis_client.time()
    wait_until(lambda: redis_client.time() > (seconds, microseconds + 1000), what="another time of its end")
    other = await submit(producer, 1)
    redis_client.set(f"job:{first}:data", DATA)
    redis_client.lpush("queue:iris", first)
    assert {*end(consumer, 2, Status.COMPLETED)} == {first, *other}
    assert sorted(ids_of(await pages(listing))) == sorted([first, *other])


async def test_job_waiting_for_a_retry_is_pending(listing, producer, consumer):
    [job_id] = await submit(producer, 1)
    consumer.finish([Outcome(job, error=ModelError("No.")) for job in consumer.claim(1)])
    assert ids_of(await pages(listing, status=Status.PENDING)) == [job_id]


async def test_page_is_filled_from_among_the_jobs_of_others(listing, producer, consumer):
    mine = []
    for _ in range(5):
        await submit(producer, 30, owner="ben")
        mine += await submit(producer, 1, owner="ann")
    mine += await submit(producer, 1)
    end(consumer, 70, Status.COMPLETED)

    found = await pages(listing, owner="ann", limit=3)

    assert [len(jobs) for jobs in found] == [3, 3]
    assert sorted(ids_of(found)) == sorted(mine)


async def test_scan_for_a_page_is_bounded_and_the_next_one_goes_on(listing, producer, monkeypatch):
    monkeypatch.setattr(module, "MOST_SCANNED", 10)
    monkeypatch.setattr(module, "SCANNED_AT_ONCE", 5)
    mine = await submit(producer, 3, owner="ann")
    await submit(producer, 60, owner="ben")

    found = await pages(listing, owner="ann", limit=2)

    assert ids_of(found) == mine[::-1]
    assert 3 < len(found) < 15


async def test_page_ends_where_results_are_large(listing, producer, consumer, monkeypatch):
    monkeypatch.setattr(module, "LARGEST_PAGE_BYTES", 1000)
    await submit(producer, 4)
    consumer.finish([Outcome(job, result=b'"%b"' % (b"x" * 700)) for job in consumer.claim(4)])

    found = await pages(listing, status=Status.COMPLETED, limit=10)

    assert [len(jobs) for jobs in found] == [2, 2]


async def test_corrupt_keys_break_no_listing(listing, producer, consumer, redis_client):
    [job_id] = await submit(producer, 1)
    redis_client.zadd("queue:iris:open:normal", {b"\xff\xfe": 7, "nosuch": 8, "odd": 9})
    redis_client.hset("jobs:records", "odd", "no record")
    redis_client.set("queue:iris:leases", "no set")
    redis_client.set("queue:iris:dead", "no set")

    for limit in (1, 2, 50):
        assert ids_of(await pages(listing, limit=limit)) == [job_id]
    for status in (Status.PROCESSING, Status.FAILED):
        assert ids_of(await pages(listing, status=status)) == []
