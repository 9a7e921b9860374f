import pytest
from pydantic import ValidationError

from inferq.rollout import Rollout

IDS = [f"{number:032x}" for number in range(2000)]


def test_share_of_jobs_runs_on_another_version_always_the_same_jobs():
    rollout = Rollout(shares={"2": 0.1, "3": 0.3})
    chosen = [rollout.choose_version(job_id) for job_id in IDS]
    assert chosen == [rollout.choose_version(job_id) for job_id in IDS]
    assert 120 < chosen.count("2") < 280
    assert 500 < chosen.count("3") < 700


def test_shadow_is_drawn_apart_from_the_share():
    rollout = Rollout(shares={"3": 0.5}, shadow={"3": 0.5})
    both = sum(rollout.choose_version(one) == rollout.choose_shadow(one) == "3" for one in IDS)
    assert 400 < both < 600


def test_no_job_or_each_one():
    assert {Rollout().choose_version(job_id) for job_id in IDS} == {None}
    assert {Rollout(shadow={"2": 1.0}).choose_shadow(job_id) for job_id in IDS} == {"2"}


@pytest.mark.parametrize("values", [{"shares": {"2": 1.5}}, {"serve": "a/b"}, {"other": 1}])
def test_what_is_no_rollout_is_refused(values):
    with pytest.raises(ValidationError):
        Rollout.model_validate(values)
