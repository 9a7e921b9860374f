"""Failed jobs by what went wrong."""

import pytest

from inferq.errors import InvalidInputError, ResultTooLargeError
from inferq.jobs import Outcome
from inferq.queue import JobFilter
from inferq.queue.inspection import error_groups as module
from inferq.queue.producer.submission import Submission

DATA = b"[[5.1,3.5,1.4,0.2]]"
ANY = JobFilter()


async def fail(producer, consumer, errors, owner="", model="iris"):
    ids = await producer.submit_batch([Submission(model, DATA, owner=owner) for _ in errors])
    claimed = consumer.claim(len(errors))
    consumer.finish([Outcome(job, error=error) for job, error in zip(claimed, errors, strict=True)])
    return ids


async def test_jobs_with_the_same_error_but_for_numbers_are_one_group_the_largest_first(producer, consumer):
    await fail(producer, consumer, [InvalidInputError(f"Row {number} is bad.") for number in range(3)])
    [latest] = await fail(producer, consumer, [InvalidInputError("Row 99 is bad.")])
    [other] = await fail(producer, consumer, [InvalidInputError("No rows.")])

    found = await producer.read_error_groups(["iris"], only=ANY)

    assert found.is_complete
    many, one = found.groups
    assert (many.error_kind, many.error, many.model, many.count) == (
        "invalid-input",
        "Row … is bad.",
        "iris",
        4,
    )
    assert (one.error, one.count, one.example_job_id) == ("No rows.", 1, other)
    job = await producer.read(many.example_job_id)
    assert many.latest_at == job.finished_at == (await producer.read(latest)).finished_at


async def test_kinds_and_models_are_groups_of_their_own_and_a_filter_leaves_some_out(producer, consumer):
    await fail(producer, consumer, [InvalidInputError("No.")], owner="ann")
    await fail(producer, consumer, [ResultTooLargeError("No.")] * 2, owner="ben")
    await producer.cancel(await producer.submit(Submission("other", DATA, owner="ben")))

    async def count(models=("iris", "other"), only=ANY, owner=None):
        found = await producer.read_error_groups(models, only=only, owner=owner)
        return {(group.model, group.error_kind): group.count for group in found.groups}

    late = {("other", "cancelled"): 1}
    too_large = {("iris", "result-too-large"): 2}
    assert await count() == {("iris", "invalid-input"): 1} | too_large | late
    assert await count(["iris"], owner="ben") == too_large
    assert await count(only=JobFilter(error="CANCELLED")) == late
    assert await count(only=JobFilter(owner="ann")) == {("iris", "invalid-input"): 1}
    assert await count([]) == {}


async def test_so_many_failed_jobs_are_read_and_so_many_groups_told(producer, consumer, monkeypatch):
    monkeypatch.setattr(module, "MOST_GROUPED", 20)
    monkeypatch.setattr(module, "_READ_AT_ONCE", 10)
    words = [chr(ord("a") + number) for number in range(25)]
    await fail(producer, consumer, [InvalidInputError(f"No {word}.") for word in words])
    found = await producer.read_error_groups(["iris"], only=ANY)
    assert (sum(group.count for group in found.groups), found.is_complete) == (20, False)

    monkeypatch.setattr(module, "MOST_GROUPED", 100)
    monkeypatch.setattr(module, "MOST_GROUPS", 7)
    found = await producer.read_error_groups(["iris"], only=ANY)
    assert (len(found.groups), found.is_complete) == (7, False)


async def test_job_of_a_whole_id_is_found_however_many_have_failed(producer, consumer, monkeypatch):
    monkeypatch.setattr(module, "MOST_GROUPED", 0)
    [job_id] = await fail(producer, consumer, [InvalidInputError("Row 3 is bad.")], owner="ann")
    failed_at = (await producer.read(job_id)).finished_at
    only = JobFilter(id_prefix=job_id)
    group = module.ErrorGroup("invalid-input", "Row … is bad.", "iris", 1, failed_at, job_id)
    assert await producer.read_error_groups(["iris"], only=only) == module.ErrorGroups([group], True)
    assert await producer.read_error_groups(["iris"], only=only, owner="ben") == module.ErrorGroups([], True)
    assert not (await producer.read_error_groups(["other"], only=only)).groups


@pytest.mark.parametrize("key", ["job:{}:error", "queue:iris:dead"])
async def test_corrupt_keys_break_no_grouping(producer, consumer, redis_client, key):
    [one, _] = await fail(producer, consumer, [InvalidInputError("No.")] * 2)
    redis_client.delete(key.format(one))
    redis_client.hset(key.format(one), "odd", "odd")
    found = await producer.read_error_groups(["iris"], only=ANY)
    assert sum(group.count for group in found.groups) == (2 if "error" in key else 0)
