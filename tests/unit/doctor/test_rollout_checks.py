from dataclasses import replace
from datetime import UTC, datetime

from inferq.doctor.finding import Level
from inferq.doctor.rollout_checks import check_generation, check_rollouts, check_versions, list_versions
from inferq.jobs import WorkerInfo
from inferq.rollout import Rollout


def make_worker(**versions):
    """A worker that has models in several versions, of which the first one serves."""
    served = {}
    for model, several in versions.items():
        served |= {model: several[0]} | {f"{model}@{version}": version for version in several}
    return WorkerInfo(*("worker-1", "here", 1, tuple(served), datetime.now(UTC)), model_versions=served)


def make_flat_worker(version):
    return WorkerInfo(
        *("worker-2", "here", 1, ("iris",), datetime.now(UTC)), model_versions={"iris": version}
    )


def judge(findings):
    return [(one.level.value, one.message) for one in findings if one.level is not Level.OK]


def test_versions_are_counted_by_worker_however_the_repository_is_laid_out():
    workers = [make_worker(iris=["2", "1"], other=["1"]), make_worker(iris=["2"]), make_flat_worker("abc")]
    assert list_versions(workers) == {"iris": {"1": 1, "2": 2, "abc": 1}, "other": {"1": 1}}


def test_rollout_whose_versions_are_served_is_well():
    rollouts = {"iris": Rollout(serve="1", shares={"2": 0.1}, shadow={"2": 1})}
    [finding] = check_rollouts(rollouts, [make_worker(iris=["1", "2"])])
    assert finding.level is Level.OK


def test_version_that_is_to_serve_and_that_nobody_has_is_an_error_and_shares_are_warnings():
    rollouts = {"iris": Rollout(serve="3", shares={"4": 0.1}, shadow={"5": 1})}
    found = judge(check_rollouts(rollouts, [make_worker(iris=["2", "1"])]))
    assert [level for level, _ in found] == ["error", "warning", "warning"]
    assert (
        "iris is to be served in version 3, which no live worker has. Live workers have 1, 2." in found[0][1]
    )
    assert "a share of the jobs for version 4" in found[1][1]
    assert "a shadow for version 5" in found[2][1]


def test_rollout_of_a_model_that_is_unloaded_or_without_workers_is_no_fault():
    assert (
        judge(check_rollouts({"iris": Rollout(is_unloaded=True, serve="3")}, [make_worker(other=["1"])]))
        == []
    )
    assert judge(check_rollouts({"iris": Rollout(serve="3")}, [])) == []


def test_version_that_only_some_workers_of_a_model_serve_is_named():
    workers = [make_worker(iris=["2", "1"]), make_worker(iris=["2"]), make_worker(other=["1"])]
    assert judge(check_versions(workers)) == [
        ("warning", "iris@1 is served by 1 of the 2 workers that serve iris.")
    ]
    assert judge(check_versions([make_worker(iris=["2", "1"])] * 2)) == []
    assert judge(check_versions([make_flat_worker("abc"), make_flat_worker("def")])) == []


def test_worker_that_has_not_followed_the_last_change_is_named():
    worker = make_worker(iris=["1"])
    assert judge(check_generation(0, [replace(worker, repository_generation=0), worker])) == []
    late, behind = (replace(worker, repository_generation=number) for number in (7, 6))
    assert judge(check_generation(7, [late, behind])) == [
        ("warning", "worker-1 has not followed the last change of versions yet.")
    ]
