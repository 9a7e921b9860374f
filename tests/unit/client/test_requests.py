import httpx
import pytest

from inferq.client.job_body import JobOptions, ServiceCache
from inferq.client.requests import cancel, submit
from inferq.errors import JobStateError
from tests.unit.client.drive import drive, problem


def test_cancel_whose_first_answer_was_lost_is_well():
    cancelled = {"job_id": "a", "status": "failed", "error_kind": "cancelled"}
    done, _ = drive(cancel("a", 0), problem(409, "job-state"), httpx.Response(200, json=cancelled))
    assert done == cancelled
    with pytest.raises(JobStateError):
        drive(
            cancel("a", 0),
            problem(409, "job-state"),
            httpx.Response(200, json={"job_id": "a", "status": "completed", "error_kind": None}),
        )


def test_every_submit_has_a_key_by_which_it_can_be_repeated():
    _, [one] = drive(
        submit([[1]], JobOptions(), None, ServiceCache(), 0), httpx.Response(202, json={"job_id": "a"})
    )
    _, [other] = drive(
        submit([[1]], JobOptions(), None, ServiceCache(), 0), httpx.Response(202, json={"job_id": "a"})
    )
    assert one.is_safe
    assert len({one.headers["Idempotency-Key"], other.headers["Idempotency-Key"]}) == 2
