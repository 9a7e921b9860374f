import json
from datetime import UTC, datetime

import httpx
import pytest

from inferq.client.answers import PartialAnswerWarning
from inferq.client.job_search import JobSearch, change_jobs, read_page
from inferq.errors import InvalidInputError
from tests.unit.client.drive import drive

REPORT = {"matched": 3, "changed": 2, "skipped": 1, "skipped_by_kind": {"job-state": 1}, "cursor": None}


def answer(**members):
    return httpx.Response(200, json=REPORT | members)


def test_page_is_asked_for_with_all_that_is_wanted():
    search = JobSearch("failed", error="50 % & more", since=datetime(2026, 1, 31, 12, tzinfo=UTC))
    _, [call] = drive(read_page(search, 5, "c", 0), httpx.Response(200, json={"jobs": [], "next": None}))
    assert dict(httpx.URL(call.path).params) == {
        "status": "failed",
        "error": "50 % & more",
        "since": "2026-01-31T12:00:00+00:00",
        "limit": "5",
        "cursor": "c",
    }


def test_time_without_a_zone_is_refused():
    search = JobSearch(until=datetime(2026, 1, 31, 12))
    with pytest.raises(InvalidInputError, match="until needs a time zone"):
        search.list_members()


def test_action_goes_on_until_its_end_and_adds_up_what_was_done():
    steps = change_jobs("delete", JobSearch(model="iris"), 0, is_dry_run=False)
    total, calls = drive(steps, answer(cursor="c"), answer(skipped_by_kind={"job-not-found": 1}))
    assert total == {
        "matched": 6,
        "changed": 4,
        "skipped": 2,
        "skipped_by_kind": {"job-state": 1, "job-not-found": 1},
    }
    bodies = [json.loads(call.body) for call in calls]
    assert [body["cursor"] for body in bodies] == [None, "c"]
    assert bodies[0]["filter"] == {"model": "iris"}


def test_shards_that_do_not_answer_are_told_of_all_calls_of_an_action():
    steps = change_jobs("delete", JobSearch(model="iris"), 0, is_dry_run=True)
    answers = [answer(cursor="c"), answer(cursor="d", unavailable_shards=[3]), answer(unavailable_shards=[1])]
    total, _ = drive(steps, *answers)
    assert total["unavailable_shards"] == [1, 3]


def test_page_without_the_jobs_of_a_shard_is_warned_of():
    page = httpx.Response(200, json={"jobs": [], "next": None, "unavailable_shards": [1]})
    with pytest.warns(PartialAnswerWarning, match="Shard 1 does not answer: what is in it is missing"):
        drive(read_page(JobSearch(), 5, None, 0), page)


@pytest.mark.parametrize(
    ("action", "is_dry_run", "is_safe"),
    [("retry", False, False), ("retry", True, True), ("cancel", False, True), ("delete", False, True)],
)
def test_only_a_retry_is_not_made_again_where_no_answer_came(action, is_dry_run, is_safe):
    _, [call] = drive(change_jobs(action, JobSearch(model="iris"), 2, is_dry_run=is_dry_run), answer())
    assert call.is_safe is is_safe
