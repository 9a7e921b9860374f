import json

import httpx
import pandas
import polars
import pyarrow
import pytest

from inferq.client.job_batches import JobBatches
from inferq.client.job_body import JobOptions, ServiceCache
from inferq.errors import BodyTooLargeError, InvalidInputError
from tests.unit.client.drive import drive, problem


def accepted(count):
    return httpx.Response(202, json={"job_ids": [f"job-{number}" for number in range(count)]})


def test_jobs_are_grouped_by_the_bytes_of_a_request_too():
    batches = JobBatches([["x" * 1000]] * 5, JobOptions(), ServiceCache(largest_body_bytes=2200), 0)
    _, asked = drive(batches.submit_all(), accepted(2), accepted(2), accepted(1))
    assert [len(json.loads(call.body)["jobs"]) for call in asked] == [2, 2, 1]
    assert all(len(call.body) <= 2200 for call in asked)


def test_first_refusal_of_a_body_teaches_how_long_one_may_be():
    cache = ServiceCache()
    items = [[number, "x" * 1000] for number in range(5)]
    too_large = problem(413, "body-too-large")
    ids, asked = drive(
        JobBatches(items, JobOptions(), cache, 0).submit_all(),
        too_large,
        accepted(2),
        accepted(2),
        accepted(1),
    )
    assert len(ids) == 5
    assert cache.largest_body_bytes < 3000
    sent = [json.loads(call.body)["jobs"] for call in asked[1:]]
    assert [job["data"][0] for group in sent for job in group] == [0, 1, 2, 3, 4]
    with pytest.raises(BodyTooLargeError):
        drive(JobBatches([1], JobOptions(), cache, 0).submit_all(), too_large)


def test_nothing_is_sent_before_every_job_can_be_written():
    batches = JobBatches(
        [["x" * 1000]] * 5 + [object()], JobOptions(), ServiceCache(largest_body_bytes=2200), 0
    )
    with pytest.raises(InvalidInputError):
        drive(batches.submit_all())


def test_group_reads_no_further_than_it_needs():
    items = iter([[1], [2], [3]])
    drive(JobBatches(items, JobOptions(), ServiceCache(), 0, 2).submit_batch(), accepted(2))
    assert next(items) == [3]


@pytest.mark.parametrize(
    "items",
    [pandas.DataFrame({"a": [1]}), polars.DataFrame({"a": [1]}), pyarrow.table({"a": [1]}), {"a": 1}, "abc"],
    ids=type,
)
def test_one_thing_is_not_taken_for_several(items):
    with pytest.raises(InvalidInputError, match="items must be"):
        JobBatches(items, JobOptions(), ServiceCache(), 0)
