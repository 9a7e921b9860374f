"""Which version serves, and which share of the jobs runs on others."""

from types import SimpleNamespace

import orjson
import pytest
from structlog.testing import capture_logs

from inferq.jobs import ClaimedJob
from inferq.models.repository.repository_scan import scan_repository
from inferq.rollout import Rollout
from inferq.tensors.signature import Datatype, ModelDocument, Tensor
from inferq.worker.serving.served_models import NotServedError, ServedTable, ServedVersion
from inferq.worker.serving.serving_plan import plan_serving, read_rollouts


def make_version(version, size=4, model="iris"):
    document = ModelDocument(
        name=model,
        version=version,
        versions=[version],
        inputs=[Tensor(name="x", datatype=Datatype.FP32, shape=[-1, size])],
        outputs=[],
    )
    return ServedVersion(SimpleNamespace(document=document, split_rows=0), None, None)


@pytest.fixture
def folders(tmp_path):
    for name in ("iris/1", "iris/2", "iris/10", "text"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "model.onnx").touch()
    return scan_repository(tmp_path).folders


LOADED = {f"iris@{version}": make_version(version) for version in ("1", "2", "10")}


def plan(folders, rollout=None, loaded=LOADED, left_out=None, before=None, elsewhere=()):
    rollouts = {"iris": rollout} if rollout else {}
    return plan_serving(folders, elsewhere, loaded, left_out or {}, rollouts, before or ServedTable())


def serving(table):
    found = table.versions.get("iris")
    return found and found.document.version


def test_newest_serves_and_each_version_has_a_queue_of_its_own(folders):
    table = plan(folders, loaded=LOADED | {"text": make_version("abc", model="text")})
    assert serving(table) == "10"
    assert list(table.documents) == ["iris@1", "iris@2", "iris@10", "iris", "text"]
    documents = {name: orjson.loads(text) for name, text in table.documents.items()}
    assert documents["iris"]["versions"] == documents["iris@1"]["versions"] == ["1", "2", "10"]
    assert documents["iris"]["rollout"]["serve"] == "10"
    assert documents["iris@2"]["version"] == "2"
    assert documents["text"]["versions"] == ["abc"]
    assert not any("rollout" in documents[name] for name in ("iris@1", "text"))


def test_what_the_rollout_names_serves(folders):
    assert serving(plan(folders, Rollout(serve="2"))) == "2"
    assert not plan(folders, Rollout(is_unloaded=True)).versions


def test_version_that_cannot_be_served_leaves_the_one_before(folders):
    failed = {name: one for name, one in LOADED.items() if name != "iris@10"}
    left_out = {"iris@10": "It is broken."}
    assert serving(plan(folders, loaded=failed, left_out=left_out)) == "2"
    before = ServedTable({"iris": LOADED["iris@1"]})
    with capture_logs() as logged:
        assert serving(plan(folders, Rollout(serve="10"), failed, left_out, before)) == "1"
    assert [(line["event"], line["instead"]) for line in logged] == [("rollout_not_followed", "1")]
    assert serving(plan(folders, Rollout(serve="10"), failed, left_out)) == "2"


def test_model_of_which_no_version_can_be_served_is_left_out_with_the_reasons(folders):
    left_out = {f"iris@{version}": f"{version} is broken." for version in ("1", "2", "10")}
    table = plan(folders, loaded={}, left_out=left_out)
    assert not table.versions
    assert table.left_out["iris"] == "iris@1: 1 is broken. iris@2: 2 is broken. iris@10: 10 is broken."


def test_worker_without_the_version_that_serves_takes_no_job_that_names_none(folders):
    only = {
        "loaded": {"iris@2": LOADED["iris@2"]},
        "elsewhere": {"iris@1", "iris@10"},
    }  # INFERQ_MODELS=iris@2
    table = plan(folders, **only)
    assert list(table.versions) == ["iris@2"]
    assert serving(plan(folders, Rollout(serve="2"), **only)) == "2"


def test_version_that_is_not_loaded_yet_does_not_serve(folders):
    assert serving(plan(folders, loaded={"iris@2": LOADED["iris@2"]})) == "2"


def test_shares_are_given_to_versions_with_the_same_inputs_alone(folders):
    loaded = LOADED | {"iris@2": make_version("2", size=5)}
    with capture_logs() as logged:
        rollout = Rollout(serve="1", shares={"2": 0.2, "10": 0.3, "7": 0.1}, shadow={"2": 1.0})
        table = plan(folders, rollout, loaded)
    assert table.rollouts["iris"] == Rollout(serve="1", shares={"10": 0.3})
    assert [line["version"] for line in logged] == ["2", "7", "2"]


def test_jobs_are_divided_by_their_ids_and_those_of_a_version_run_on_it(folders):
    table = plan(folders, Rollout(serve="1", shares={"10": 0.5}))
    jobs = [ClaimedJob(str(number), "iris", b"", 1, "token") for number in range(200)]
    parts = {served.document.version: part for served, part in table.split(jobs)}
    assert set(parts) == {"1", "10"}
    assert 60 < len(parts["10"]) < 140
    assert {served.document.version: part for served, part in table.split(jobs[::-1])} == {
        version: part[::-1] for version, part in parts.items()
    }
    [(served, part)] = table.split([job._replace(model="iris@2") for job in jobs])
    assert (served.document.version, len(part)) == ("2", 200)
    with pytest.raises(NotServedError):
        table.split([jobs[0]._replace(model="iris@7")])


def test_version_that_is_to_serve_and_cannot_is_told_of(folders):
    told = plan(folders, Rollout(serve="9")).left_out
    assert told.keys() == {"iris"}
    assert told["iris"].startswith("Version 9 is to serve, and cannot; 10 does.")
    assert not plan(folders, Rollout(serve="2")).left_out


def test_rollout_of_model_toml_is_that_of_all_versions(tmp_path, folders):
    (tmp_path / "iris" / "model.toml").write_text("[rollout]\nserve = '2'\nshares = {10 = 0.25}\n")
    (tmp_path / "text" / "model.toml").write_text("[rollout")
    declared, problems = read_rollouts(folders, {"text": Rollout(serve="1")})
    assert declared == {"iris": Rollout(serve="2", shares={"10": 0.25}), "text": Rollout(serve="1")}
    assert "is not valid TOML" in problems["text"]
    assert problems.keys() == {"text"}
